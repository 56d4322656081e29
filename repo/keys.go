package repo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Signer makes signatures with one key. [PrivateKey] is one in memory,
// [KeyFile] one on a disk.
type Signer interface {
	// Public is the key as metadata has it.
	Public() *PublicKey

	// Sign signs a message, not its hash.
	Sign(message []byte) ([]byte, error)
}

// Kinds of keys that can be made.
const (
	Ed25519 = "ed25519"
	ECDSA   = "ecdsa" // P-256 with SHA-256
)

// PublicKey is the public half of a key.
type PublicKey struct {
	ID   string // as TUF computes it: the hex sha256 of the key's canonical JSON
	Kind string // Ed25519 or ECDSA

	key *metadata.Key
}

// newPublicKey takes the kinds of key that the client verifies.
func newPublicKey(key *metadata.Key) (*PublicKey, error) {
	public, err := key.ToPublicKey()
	if err != nil {
		return nil, err
	}
	kind := Ed25519
	switch k := public.(type) {
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, errors.New("an Ed25519 key has 32 bytes")
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() || key.Scheme != metadata.KeySchemeECDSA_SHA2_P256 {
			return nil, errors.New("of the ECDSA keys only those on P-256 are supported")
		}
		kind = ECDSA
	default:
		return nil, fmt.Errorf("keys of type %q are not supported", key.Type)
	}
	id, err := key.ID()
	if err != nil {
		return nil, err
	}
	return &PublicKey{ID: id, Kind: kind, key: key}, nil
}

func (k *PublicKey) verifies(message, signature []byte) bool {
	public, err := k.key.ToPublicKey()
	if err != nil {
		return false
	}
	switch p := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(p, sum[:], signature)
	}
	return false
}

// MarshalJSON is the key as TUF's metadata has it, which is what a public key file holds.
func (k *PublicKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.key) }

// ParsePublicKey reads a public key file.
func ParsePublicKey(data []byte) (*PublicKey, error) {
	var key metadata.Key
	if err := json.Unmarshal(data, &key); err != nil {
		return nil, fmt.Errorf("no public key file of update-repo: %w", err)
	}
	k, err := newPublicKey(&key)
	if err != nil {
		return nil, fmt.Errorf("no public key file of update-repo: %w", err)
	}
	return k, nil
}

// PrivateKey is a key in memory.
type PrivateKey struct {
	secret crypto.Signer
	public *PublicKey
}

// NewKey makes a key of a kind, [Ed25519] or [ECDSA].
func NewKey(kind string) (*PrivateKey, error) {
	switch kind {
	case Ed25519:
		_, secret, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return newPrivateKey(secret)
	case ECDSA:
		secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return newPrivateKey(secret)
	}
	return nil, fmt.Errorf("there are no keys of kind %q; use %s or %s", kind, Ed25519, ECDSA)
}

func newPrivateKey(secret any) (*PrivateKey, error) {
	signer, ok := secret.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a key that can sign")
	}
	key, err := metadata.KeyFromPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	public, err := newPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{secret: signer, public: public}, nil
}

// Public is the public half.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// Sign signs a message.
func (k *PrivateKey) Sign(message []byte) ([]byte, error) {
	if k.public.Kind == Ed25519 {
		return k.secret.Sign(rand.Reader, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return k.secret.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func (k *PrivateKey) der() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.secret) }
