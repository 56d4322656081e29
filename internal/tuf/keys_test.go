package tuf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"testing"
)

func derOf(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Which keys are keys. What is none does not count; it is no error.
func TestNewKey(t *testing.T) {
	p256Key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384Key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		t.Fatal(err)
	}
	edKey, _, _ := ed25519.GenerateKey(rand.Reader)
	ec := derOf(t, p256Key.Public())
	// The same key again: x509 reads over what follows the point within the sequence.
	longer := append([]byte{}, ec...)
	longer[1] += 2
	longer = append(longer, 5, 0)
	if _, err := x509.ParsePKIXPublicKey(longer); err != nil {
		t.Fatalf("the test shows nothing: %v", err)
	}
	offCurve := append([]byte{}, ec...)
	offCurve[len(ec)-1] ^= 1

	for name, c := range map[string]struct {
		kind, scheme, public string
		good                 bool
	}{
		"ed25519":                 {"ed25519", "ed25519", hex.EncodeToString(edKey), true},
		"short":                   {"ed25519", "ed25519", hex.EncodeToString(edKey[1:]), false},
		"no hex":                  {"ed25519", "ed25519", "xyz", false},
		"ecdsa":                   {"ecdsa", "ecdsa-sha2-nistp256", pemOf(ec), true},
		"ecdsa by its older name": {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", pemOf(ec), true},
		"ecdsa, encoded longer":   {"ecdsa", "ecdsa-sha2-nistp256", pemOf(longer), false},
		"not on the curve":        {"ecdsa", "ecdsa-sha2-nistp256", pemOf(offCurve), false},
		"P-384":                   {"ecdsa", "ecdsa-sha2-nistp256", pemOf(derOf(t, p384Key.Public())), false},
		"an RSA key as ecdsa":     {"ecdsa", "ecdsa-sha2-nistp256", pemOf(derOf(t, rsaKey.Public())), false},
		"no PEM":                  {"ecdsa", "ecdsa-sha2-nistp256", "x", false},
		"rsa":                     {"rsa", "rsassa-pss-sha256", pemOf(derOf(t, rsaKey.Public())), true},
		"rsa, 2047 bits":          {"rsa", "rsassa-pss-sha256", pemOf(derOf(t, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), minRSA-2), E: 65537})), false},
		"an ECDSA key as rsa":     {"rsa", "rsassa-pss-sha256", pemOf(ec), false},
		"rsa by another scheme":   {"rsa", "rsa-pkcs1v15-sha256", pemOf(derOf(t, rsaKey.Public())), false},
		"unknown":                 {"sigstore-oidc", "Fulcio", "", false},
	} {
		if k := newKey(c.kind, c.scheme, c.public); (k != nil) != c.good {
			t.Errorf("%s: %+v", name, k)
		}
	}
}
