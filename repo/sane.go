package repo

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/tuf"
)

// The functions here make sure that metadata has all that the code, ours and go-tuf's, goes on to use:
// JSON may leave out anything, or say null.

func parseRoot(data []byte) (*rootMeta, error) {
	root, err := parseMeta[metadata.RootType](metadata.ROOT, data)
	if err != nil {
		return nil, err
	}
	return root, saneRoot(root)
}

// parseMeta reads what nobody has verified yet: strictly first, since go-tuf compares each signature with all others.
func parseMeta[T metadata.Roles](name string, data []byte) (m *metadata.Metadata[T], err error) {
	if err := tuf.CheckFile(name, data); err != nil {
		return nil, err
	}
	err = unmarshal(func() error { m, err = new(metadata.Metadata[T]).FromBytes(data); return err })
	return m, err
}

// unmarshal has go-tuf read JSON, in which it follows what is null.
func unmarshal(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed metadata: %v", p)
		}
	}()
	return read()
}

func saneRoot(root *rootMeta) error {
	if root == nil || root.Signed.Type != metadata.ROOT {
		return errors.New("a root is missing")
	}
	if !printable(product(root)) {
		return fmt.Errorf("its product is %q", product(root))
	}
	keys := keyring{keys: root.Signed.Keys}
	for _, name := range topRoles {
		role := root.Signed.Roles[name]
		if role == nil {
			return fmt.Errorf("root says nothing about %s", name)
		}
		if err := keys.check(role.KeyIDs); err != nil {
			return fmt.Errorf("root: %s: %w", name, err)
		}
	}
	return nil
}

// keyLimit is in bytes of a key's text: to check a signature by an RSA key of a million bits takes minutes.
const keyLimit = 4 << 10

// keyring are the keys of a root or of delegations. Each is looked at once, however many roles name it.
type keyring struct {
	keys map[string]*metadata.Key
	good map[string]bool
}

// check looks at the keys of a role.
func (k *keyring) check(ids []string) error {
	if len(ids) > tuf.MaxKeys {
		return fmt.Errorf("%d keys where at most %d are allowed", len(ids), tuf.MaxKeys)
	}
	if k.good == nil {
		k.good = map[string]bool{}
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			return fmt.Errorf("the key %q occurs twice", id)
		}
		if k.good[id] {
			continue
		}
		if err := saneKey(id, k.keys[id]); err != nil {
			return err
		}
		k.good[id] = true
	}
	return nil
}

func saneKey(id string, key *metadata.Key) error {
	switch {
	case key == nil:
		return fmt.Errorf("the key %q is missing", id)
	case len(key.Value.PublicKey) > keyLimit:
		return fmt.Errorf("the key %q has more than %d bytes", id, keyLimit)
	case !isNamed(key, id):
		return fmt.Errorf("%q is not the id of the key that it stands for", id)
	}
	// go-tuf hands it to crypto/ed25519, which panics.
	if public, err := hex.DecodeString(key.Value.PublicKey); key.Type == metadata.KeyTypeEd25519 && (err != nil || len(public) != ed25519.PublicKeySize) {
		return fmt.Errorf("the key %q does not have 32 bytes", id)
	}
	return nil
}

// isNamed tells whether a key has the id that its content makes, as clients want it: who reads a summary sees the id alone. It is made of
// the members that the specification defines, or of all that there are, as implementations differ.
func isNamed(key *metadata.Key, id string) bool {
	defined := metadata.Key{Type: key.Type, Scheme: key.Scheme, Value: metadata.KeyVal{PublicKey: key.Value.PublicKey}}
	all := metadata.Key{Type: key.Type, Scheme: key.Scheme, Value: key.Value, UnrecognizedFields: key.UnrecognizedFields}
	for _, k := range []*metadata.Key{&defined, &all} {
		if is, err := k.ID(); err == nil && is == id {
			return true
		}
	}
	return false
}

func parseTargets(name string, data []byte) (*targetsMeta, error) {
	m, err := parseMeta[metadata.TargetsType](name, data)
	if err != nil {
		return nil, err
	}
	return m, saneTargets(m)
}

func saneTargets(m *targetsMeta) error {
	if m == nil || m.Signed.Type != metadata.TARGETS {
		return errors.New("a role is missing")
	}
	if m.Signed.Targets == nil {
		m.Signed.Targets = map[string]*metadata.TargetFiles{}
	}
	for path, f := range m.Signed.Targets {
		if f == nil || f.Length < 0 || !printable(path) || f.Custom != nil && !json.Valid(*f.Custom) {
			return fmt.Errorf("%q says nothing", path)
		}
	}
	d := m.Signed.Delegations
	if d == nil {
		return nil
	}
	keys := keyring{keys: d.Keys}
	for _, role := range d.Roles {
		if isTop(role.Name) || !printable(role.Name) {
			return fmt.Errorf("it delegates to %q", role.Name)
		}
		if err := keys.check(role.KeyIDs); err != nil {
			return err
		}
	}
	if s := d.SuccinctRoles; s != nil {
		if !printable(s.NamePrefix) {
			return fmt.Errorf("it delegates to %q", s.NamePrefix)
		}
		if s.BitLength < 1 || s.BitLength > maxBits {
			return fmt.Errorf("2^%d bins are too many", s.BitLength)
		}
		return keys.check(s.KeyIDs)
	}
	return nil
}

// printable tells whether a name is what a terminal shows of it: others may hide or forge lines of a summary.
func printable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// binsOf are the bins that a platform's role delegates to, nil if it lists its files itself.
func binsOf(m *targetsMeta) *metadata.SuccinctRoles {
	if m.Signed.Delegations == nil {
		return nil
	}
	return m.Signed.Delegations.SuccinctRoles
}

// maxBits bounds the bins of a platform. 2^16 would hold ten million files.
const maxBits = 16
