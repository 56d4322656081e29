package repo

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeKey(t *testing.T, kind, passphrase string) (string, *PrivateKey) {
	t.Helper()
	k, err := NewKey(kind)
	must(t, err)
	data, err := marshalKey(k, "release", passphrase, 10) // 2^10: quick
	must(t, err)
	path := filepath.Join(t.TempDir(), "release"+KeySuffix)
	must(t, writeNew(path, data, 0o600))
	return path, k
}

func TestKeyFiles(t *testing.T) {
	for _, kind := range []string{Ed25519, ECDSA} {
		for _, passphrase := range []string{"", "correct horse"} {
			path, k := writeKey(t, kind, passphrase)
			data, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Contains(data, []byte("PRIVATE KEY")) || !bytes.Contains(data, []byte("KEEP-SECRET")) ||
				bytes.Contains(data, []byte("UNENCRYPTED")) != (passphrase == "") {
				t.Errorf("unmistakable? %s", data)
			}
			f, err := OpenKeyFile(path)
			must(t, err)
			if f.Public().ID != k.public.ID || f.Role != "release" || f.Locked() != (passphrase != "") {
				t.Errorf("%+v", f)
			}
			asked := 0
			f.Ask = func(*KeyFile) (string, error) { asked++; return passphrase, nil }
			for range 2 {
				_, err = f.Sign([]byte("message"))
				must(t, err)
			}
			if asked > 1 || asked == 0 && passphrase != "" {
				t.Errorf("asked %d times", asked)
			}
		}
	}
}

func TestKeyFilePassphrase(t *testing.T) {
	path, k := writeKey(t, Ed25519, "right")
	secret, err := k.der()
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	parsed, err := parseKeyFile(data)
	must(t, err)
	if _, err := x509.ParsePKCS8PrivateKey(parsed.body); err == nil || bytes.Contains(parsed.body, secret[len(secret)-32:]) {
		t.Error("the key is not encrypted")
	}
	for _, wrong := range []string{"wrong", "", "right "} {
		f, err := OpenKeyFile(path)
		must(t, err)
		f.Ask = func(*KeyFile) (string, error) { return wrong, nil }
		if _, err := f.Sign(nil); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
}

func TestKeyFileMode(t *testing.T) {
	path, _ := writeKey(t, Ed25519, "")
	for _, mode := range []os.FileMode{0o644, 0o640, 0o620, 0o602} {
		must(t, os.Chmod(path, mode))
		if _, err := OpenKeyFile(path); !errors.Is(err, ErrKeyMode) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	k, err := NewKey(Ed25519)
	must(t, err)
	fresh := filepath.Join(t.TempDir(), "a.key")
	must(t, WriteKey(fresh, k, "a", ""))
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new key has mode %v, %v", info.Mode(), err)
	}
	if err := WriteKey(fresh, k, "a", ""); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key was overwritten: %v", err)
	}
	data, err := os.ReadFile(PublicKeyPath(fresh))
	must(t, err)
	if p, err := ParsePublicKey(data); err != nil || p.ID != k.public.ID {
		t.Errorf("public key file: %+v, %v", p, err)
	}
}

func TestKeyFileDamaged(t *testing.T) {
	path, _ := writeKey(t, Ed25519, "")
	data, err := os.ReadFile(path)
	must(t, err)
	other, _ := writeKey(t, Ed25519, "")
	otherData, err := os.ReadFile(other)
	must(t, err)
	cut := strings.Index(string(data), "\n\n")
	mixed := string(data[:cut]) + string(otherData[strings.Index(string(otherData), "\n\n"):])
	for name, content := range map[string]string{
		"empty": "", "a seed of keygen": strings.Repeat("ab", 32), "trailing": string(data) + "x",
		"another id": strings.Replace(string(data), "Key-Id: ", "Key-Id: 0", 1),
	} {
		if _, err := parseKeyFile([]byte(content)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f, err := parseKeyFile([]byte(mixed))
	must(t, err)
	if _, err := f.Sign(nil); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("another key's body: %v", err)
	}
}

func FuzzParseKeyFile(f *testing.F) {
	k, err := NewKey(Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	for _, passphrase := range []string{"", "x"} {
		data, err := marshalKey(k, "root", passphrase, 2)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := parseKeyFile(data); err == nil && k.public.ID == "" {
			t.Error("a key without id")
		}
	})
}
