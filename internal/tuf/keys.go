package tuf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
)

// key verifies signatures. Two keys with the same identity are one key,
// whatever ids they go by.
type key struct {
	identity string
	verify   func(message, signature []byte) bool
}

// parseKeys reads an object of keys by id. A key that cannot be used, because
// its kind is unknown or its id is not its hash, is left out: its signatures do
// not count. That is no error, so that a root may introduce keys that only later clients know.
func parseKeys(f *fields) map[string]key {
	members := f.members("keys")
	if len(members) > MaxKeys {
		f.fail("%d keys where at most %d are allowed", len(members), MaxKeys)
		return nil
	}
	keys := map[string]key{}
	for id, raw := range members {
		object := &fields{where: f.where + ": key " + clip(id), object: f.membersOf("keys", raw)}
		kind, scheme := object.text("keytype"), object.text("scheme")
		value := &fields{where: object.where, object: object.members("keyval")}
		public := value.text("public")
		if object.err == nil {
			object.err = value.err
		}
		if object.err != nil {
			f.fail("%v", object.err)
			return nil
		}
		if !idMatches(id, raw, kind, scheme, public) {
			continue
		}
		if k, ok := newKey(kind, scheme, public); ok {
			keys[id] = k
		}
	}
	return keys
}

// idMatches tells whether a key's id is the hash of its canonical form (section 4.2):
// of the members that the specification defines, or of all that there are, as
// implementations differ.
func idMatches(id string, raw json.RawMessage, kind, scheme, public string) bool {
	defined, err := appendCanonical(nil, map[string]any{
		"keytype": kind, "scheme": scheme, "keyval": map[string]any{"public": public},
	})
	if err == nil && hashHex(defined) == id {
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

func newKey(kind, scheme, public string) (key, bool) {
	switch {
	case kind == "ed25519" && scheme == "ed25519":
		return ed25519Key(public)
	case (kind == "ecdsa" || kind == "ecdsa-sha2-nistp256") && scheme == "ecdsa-sha2-nistp256":
		return ecdsaKey(public)
	case kind == "rsa" && scheme == "rsassa-pss-sha256":
		return rsaKey(public)
	}
	return key{}, false
}

func ed25519Key(public string) (key, bool) {
	raw, err := hex.DecodeString(public)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return key{}, false
	}
	return key{"ed25519 " + string(raw), func(message, signature []byte) bool {
		return ed25519.Verify(raw, message, signature)
	}}, true
}

func ecdsaKey(public string) (key, bool) {
	k, ok := parsePEM(public).(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return key{}, false
	}
	point, err := k.ECDH()
	if err != nil {
		return key{}, false
	}
	return key{"ecdsa " + string(point.Bytes()), func(message, signature []byte) bool {
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(k, sum[:], signature)
	}}, true
}

const minRSA = 2048 // bits

func rsaKey(public string) (key, bool) {
	k, ok := parsePEM(public).(*rsa.PublicKey)
	if !ok || k.N.BitLen() < minRSA {
		return key{}, false
	}
	return key{"rsa " + string(k.N.Bytes()), func(message, signature []byte) bool {
		sum := sha256.Sum256(message)
		return rsa.VerifyPSS(k, crypto.SHA256, sum[:], signature, nil) == nil
	}}, true
}

// parsePEM reads a public key in PKIX form; nil if it is none.
func parsePEM(text string) any {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil
	}
	return public
}

// clip keeps hostile input out of messages, beyond what helps to find it.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
