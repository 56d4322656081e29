package repo

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The functions here make sure that metadata has all that the code, ours and go-tuf's, goes on to use:
// JSON may leave out anything, or say null.

func parseRoot(data []byte) (*rootMeta, error) {
	root, err := new(rootMeta).FromBytes(data)
	if err != nil {
		return nil, err
	}
	return root, saneRoot(root)
}

func saneRoot(root *rootMeta) error {
	if root == nil {
		return errors.New("a root is missing")
	}
	for _, name := range topRoles {
		role := root.Signed.Roles[name]
		if role == nil {
			return fmt.Errorf("root says nothing about %s", name)
		}
		if err := saneKeys(root.Signed.Keys, role.KeyIDs); err != nil {
			return fmt.Errorf("root: %s: %w", name, err)
		}
	}
	return nil
}

func saneKeys(keys map[string]*metadata.Key, ids []string) error {
	for _, id := range ids {
		key := keys[id]
		if key == nil {
			return fmt.Errorf("the key %q is missing", id)
		}
		// go-tuf hands it to crypto/ed25519, which panics.
		if public, err := hex.DecodeString(key.Value.PublicKey); key.Type == metadata.KeyTypeEd25519 && (err != nil || len(public) != ed25519.PublicKeySize) {
			return fmt.Errorf("the key %q does not have 32 bytes", id)
		}
	}
	return nil
}

func parseTargets(data []byte) (*targetsMeta, error) {
	m, err := new(targetsMeta).FromBytes(data)
	if err != nil {
		return nil, err
	}
	return m, saneTargets(m)
}

func saneTargets(m *targetsMeta) error {
	if m == nil {
		return errors.New("a role is missing")
	}
	if m.Signed.Targets == nil {
		m.Signed.Targets = map[string]*metadata.TargetFiles{}
	}
	for path, f := range m.Signed.Targets {
		if f == nil || f.Custom != nil && !json.Valid(*f.Custom) {
			return fmt.Errorf("%q says nothing", path)
		}
	}
	d := m.Signed.Delegations
	if d == nil {
		return nil
	}
	for _, role := range d.Roles {
		if err := saneKeys(d.Keys, role.KeyIDs); err != nil {
			return err
		}
	}
	if s := d.SuccinctRoles; s != nil {
		if s.BitLength < 1 || s.BitLength > maxBits {
			return fmt.Errorf("2^%d bins are too many", s.BitLength)
		}
		return saneKeys(d.Keys, s.KeyIDs)
	}
	return nil
}

// maxBits bounds the bins of a platform. 2^16 would hold ten million files.
const maxBits = 16
