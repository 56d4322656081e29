package repo

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"filippo.io/age"
)

// Key files end in one of these.
const (
	KeySuffix       = ".key" // private
	PublicKeySuffix = ".pub"
)

const (
	lockedKey   = "UPDATE-REPO ENCRYPTED PRIVATE KEY"
	unlockedKey = "UPDATE-REPO UNENCRYPTED PRIVATE KEY"
	keepSecret  = "this file signs releases; whoever has it and its passphrase can publish"

	keyFileLimit  = 64 << 10
	workFactor    = 18 // of scrypt: 2^18 steps, about a second
	maxWorkFactor = 22
)

var (
	// ErrPassphrase: the passphrase does not open the key file.
	ErrPassphrase = errors.New("wrong passphrase")

	// ErrKeyMode: others than its owner may read or write a private key file. chmod 600 it, and if it
	// has no passphrase consider the key stolen.
	ErrKeyMode = errors.New("private key readable or writable by others")
)

// KeyFile is a private key on a disk: one PEM block whose headers say what it is, and whose body, PKCS #8, is
// encrypted to a passphrase by age (scrypt) unless the file says UNENCRYPTED.
type KeyFile struct {
	Path string
	Role string // what it was made for; metadata alone decides what it may sign

	// Ask returns the passphrase. It is called when the first signature is wanted.
	Ask func(*KeyFile) (string, error)

	public *PublicKey
	locked bool
	body   []byte
	key    *PrivateKey
}

// MarshalKey makes the content of a private key file. An empty passphrase leaves it unencrypted.
func MarshalKey(k *PrivateKey, role, passphrase string) ([]byte, error) {
	return marshalKey(k, role, passphrase, workFactor)
}

func marshalKey(k *PrivateKey, role, passphrase string, work int) ([]byte, error) {
	body, err := k.der()
	if err != nil {
		return nil, err
	}
	public, err := k.public.MarshalJSON()
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: unlockedKey, Bytes: body, Headers: map[string]string{
		"KEEP-SECRET": keepSecret,
		"Key-Id":      k.public.ID,
		"Public-Key":  base64.StdEncoding.EncodeToString(public),
		"Role":        role,
	}}
	if passphrase != "" {
		block.Type = lockedKey
		if block.Bytes, err = lock(body, passphrase, work); err != nil {
			return nil, err
		}
	}
	return pem.EncodeToMemory(block), nil
}

func lock(body []byte, passphrase string, work int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(work)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // writes the last chunk
		return nil, err
	}
	return b.Bytes(), nil
}

// WriteKey writes a new private key file, readable by its owner alone, and its public half beside it. Neither
// may exist.
func WriteKey(path string, k *PrivateKey, role, passphrase string) error {
	data, err := MarshalKey(k, role, passphrase)
	if err != nil {
		return err
	}
	if err := writeNew(path, data, 0o600); err != nil {
		return err
	}
	public, err := k.public.MarshalJSON()
	if err != nil {
		return err
	}
	return writeNew(PublicKeyPath(path), append(public, '\n'), 0o644)
}

// PublicKeyPath is where the public half of a private key file is.
func PublicKeyPath(path string) string {
	return path[:len(path)-len(filepath.Ext(path))] + PublicKeySuffix
}

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// OpenKeyFile reads a private key file and leaves it locked.
//
// Errors: ErrKeyMode, and those of the file system and of files that are no keys.
func OpenKeyFile(path string) (*KeyFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: %w", path, info.Mode().Perm(), ErrKeyMode)
	}
	data, err := io.ReadAll(io.LimitReader(f, keyFileLimit+1))
	if err != nil {
		return nil, err
	}
	k, err := parseKeyFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k.Path = path
	return k, nil
}

func parseKeyFile(data []byte) (*KeyFile, error) {
	block, rest := pem.Decode(data)
	switch {
	case len(data) > keyFileLimit, block == nil, len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("no private key file of update-repo")
	case block.Type != lockedKey && block.Type != unlockedKey:
		return nil, fmt.Errorf("no private key file of update-repo but a %s", block.Type)
	}
	raw, err := base64.StdEncoding.DecodeString(block.Headers["Public-Key"])
	if err != nil {
		return nil, fmt.Errorf("its public key: %w", err)
	}
	public, err := ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("its public key: %w", err)
	}
	if public.ID != block.Headers["Key-Id"] {
		return nil, errors.New("its key id is not that of its public key")
	}
	return &KeyFile{Role: block.Headers["Role"], public: public, locked: block.Type == lockedKey, body: block.Bytes}, nil
}

// Public is the public half, known without the passphrase.
func (k *KeyFile) Public() *PublicKey { return k.public }

// Locked tells whether a passphrase is needed, and has not been given yet.
func (k *KeyFile) Locked() bool { return k.locked && k.key == nil }

// Sign signs a message, and asks for the passphrase if that is needed.
func (k *KeyFile) Sign(message []byte) ([]byte, error) {
	if err := k.Ready(); err != nil {
		return nil, err
	}
	return k.key.Sign(message)
}

// Ready asks for the passphrase if that is needed, so that it is not asked for, or found to be wrong,
// in the middle of something.
func (k *KeyFile) Ready() error {
	if k.key != nil {
		return nil
	}
	if !k.locked {
		return k.open(k.body)
	}
	if k.Ask == nil {
		return fmt.Errorf("%s needs its passphrase", k.Path)
	}
	passphrase, err := k.Ask(k)
	if err != nil {
		return err
	}
	return k.Unlock(passphrase)
}

// Unlock decrypts the key. The error is ErrPassphrase if that is not its passphrase.
func (k *KeyFile) Unlock(passphrase string) error {
	if !k.Locked() {
		return nil
	}
	if passphrase == "" {
		return fmt.Errorf("%s: %w: it is empty", k.Path, ErrPassphrase)
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return err
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(k.body), identity)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("%s: %w", k.Path, ErrPassphrase)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k.Path, err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("%s: %w", k.Path, err)
	}
	return k.open(body)
}

// open takes the decrypted body, which has to be the private half of the public key.
func (k *KeyFile) open(body []byte) error {
	secret, err := x509.ParsePKCS8PrivateKey(body)
	if err != nil {
		return fmt.Errorf("%s: %w", k.Path, err)
	}
	key, err := newPrivateKey(secret)
	if err != nil {
		return fmt.Errorf("%s: %w", k.Path, err)
	}
	if key.public.ID != k.public.ID {
		return fmt.Errorf("%s: its private key does not belong to its public key", k.Path)
	}
	k.key = key
	return nil
}

// KeyFiles opens the private key files of a folder, sorted by name. A folder that is not there has none.
func KeyFiles(folder string) ([]*KeyFile, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []*KeyFile
	for _, e := range entries {
		if filepath.Ext(e.Name()) != KeySuffix {
			continue
		}
		k, err := OpenKeyFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
