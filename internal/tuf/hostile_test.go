package tuf

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
)

// A new root is checked by its own keys before anybody else's: an RSA key of a million bits would take minutes.
func TestLongKeys(t *testing.T) {
	for bits, want := range map[uint]bool{2048: true, 8192: true, 8193: false, 1 << 20: false} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		if got := newKey("rsa", "rsassa-pss-sha256", string(text)) != nil; got != want {
			t.Errorf("a key of %d bits was taken: %v", bits, got)
		}
	}
}

// Names are not read as the formats of messages.
func TestNamesInMessages(t *testing.T) {
	_, _, err := parseRoot([]byte(`{"signed": {"_type": "root", "spec_version": "1.0", "version": 1, "expires": "2030-01-01T00:00:00Z",
		"keys": {"%1000000s": {}}, "roles": {}}, "signatures": []}`))
	if !errors.Is(err, ErrMalformed) || len(err.Error()) > 200 {
		t.Errorf("%.300v", err)
	}
}
