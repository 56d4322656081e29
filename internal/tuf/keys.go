package tuf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
)

// key verifies signatures. Two keys with the same identity are one key,
// whatever ids they go by.
type key struct {
	identity string
	public   any // ed25519.PublicKey, *ecdsa.PublicKey or *rsa.PublicKey
}

// parseKeys reads an object of keys by id. A key that cannot be used, because
// its kind is unknown or its id is not its hash, is left out: its signatures do
// not count. That is no error, so that a root may introduce keys that only later clients know.
func parseKeys(f *fields) map[string]*key {
	members := f.members("keys")
	if len(members) > MaxKeys {
		f.fail("%d keys where at most %d are allowed", len(members), MaxKeys)
		return nil
	}
	keys := map[string]*key{}
	for id, raw := range members {
		k := f.inner("key "+clip(id), raw)
		kind, scheme := k.text("keytype"), k.text("scheme")
		public := ""
		if value := k.inner("keyval", k.object["keyval"]); value.has("public") {
			public = value.text("public")
		}
		if idMatches(id, raw, kind, scheme, public) {
			keys[id] = newKey(kind, scheme, public)
		}
	}
	return keys
}

// idMatches tells whether a key's id is the hash of its canonical form (section 4.2):
// of the members that the specification defines, or of all that there are, as
// implementations differ.
func idMatches(id string, raw json.RawMessage, kind, scheme, public string) bool {
	defined := `{"keytype":` + quote(kind) + `,"keyval":{"public":` + quote(public) + `},"scheme":` + quote(scheme) + `}`
	if hashHex([]byte(defined)) == id {
		return true
	}
	all, err := canonical(raw)
	return err == nil && hashHex(all) == id
}

func hashHex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func hash512Hex(data []byte) string {
	sum := sha512.Sum512(data)
	return hex.EncodeToString(sum[:])
}

// p256 is what an ECDSA key on the curve P-256 begins with in PKIX form; the uncompressed point
// follows. No other encoding of the same key is taken, so that equal keys are equal bytes.
const p256 = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"

// Bits of an RSA key. A signature by one of a million takes minutes to check, and a new root is checked by its own keys first.
const minRSA, maxRSA = 2048, 8192

// newKey returns nil for a key that is malformed, or of a kind that is not known.
func newKey(kind, scheme, public string) *key {
	switch kind + " " + scheme {
	case "ed25519 ed25519":
		raw, err := hex.DecodeString(public)
		if err == nil && len(raw) == ed25519.PublicKeySize {
			return &key{string(raw), ed25519.PublicKey(raw)}
		}
	case "ecdsa ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256 ecdsa-sha2-nistp256":
		der := decodePEM(public)
		if k, err := x509.ParsePKIXPublicKey(der); err == nil && strings.HasPrefix(string(der), p256) {
			return &key{string(der), k}
		}
	case "rsa rsassa-pss-sha256":
		k, err := x509.ParsePKIXPublicKey(decodePEM(public))
		if k, ok := k.(*rsa.PublicKey); err == nil && ok && k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA {
			return &key{string(k.N.Bytes()), k}
		}
	}
	return nil
}

// decodePEM is the first block of a text; nil if there is none.
func decodePEM(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	return block.Bytes
}

func (k *key) verify(message, signature []byte) bool {
	if public, ok := k.public.(ed25519.PublicKey); ok {
		return ed25519.Verify(public, message, signature)
	}
	sum := sha256.Sum256(message)
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, sum[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPSS(public, crypto.SHA256, sum[:], signature, nil) == nil
	}
	return false
}

// clip keeps hostile input out of messages, beyond what helps to find it.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
