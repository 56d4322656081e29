package repo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// sign replaces the signatures of m by those of the keys at hand among ids.
// Signatures by other keys are kept if keep says so, as those of other maintainers.
func sign[T metadata.Roles](r *Repo, m *metadata.Metadata[T], ids []string, keep bool) error {
	payload, err := cjson.EncodeCanonical(m.Signed)
	if err != nil {
		return err
	}
	if !keep {
		m.Signatures = []metadata.Signature{}
	}
	for _, signer := range r.signers {
		id := signer.Public().ID
		if !slices.Contains(ids, id) {
			continue
		}
		// A signature that is there is kept: ECDSA would make another, and the file is to stay the same bytes.
		if slices.ContainsFunc(m.Signatures, func(s metadata.Signature) bool {
			return s.KeyID == id && signer.Public().verifies(payload, s.Signature)
		}) {
			continue
		}
		signature, err := signer.Sign(payload)
		if err != nil {
			return fmt.Errorf("signing %s: %w", typeOf(m), err)
		}
		m.Signatures = slices.DeleteFunc(m.Signatures, func(s metadata.Signature) bool { return s.KeyID == id })
		m.Signatures = append(m.Signatures, metadata.Signature{KeyID: id, Signature: signature})
	}
	slices.SortFunc(m.Signatures, func(a, b metadata.Signature) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return nil
}

func typeOf[T metadata.Roles](m *metadata.Metadata[T]) string {
	switch s := any(m.Signed).(type) {
	case metadata.RootType:
		return s.Type
	case metadata.SnapshotType:
		return s.Type
	case metadata.TimestampType:
		return s.Type
	case metadata.TargetsType:
		return s.Type
	}
	return ""
}

// delegators are those whose keys have to sign a top-level role's new file: the current root, and the next
// one, so that what is served verifies under both while the next root is put.
func (c *change) delegators() []*rootMeta {
	var list []*rootMeta
	if !c.first() && (!c.lost || c.root == nil) {
		list = append(list, c.base.root())
	}
	if c.root != nil {
		list = append(list, c.root)
	}
	return list
}

// first tells whether this is the change that makes the repository a signed one.
func (c *change) first() bool { return len(c.base.roots) == 0 }

// rootDelegators are those whose keys have to sign the next root.
func (c *change) rootDelegators() []*rootMeta {
	if c.first() {
		return []*rootMeta{c.root}
	}
	return []*rootMeta{c.base.root(), c.root}
}

func keyIDs(roots []*rootMeta, role string) []string {
	var ids []string
	for _, root := range roots {
		ids = append(ids, root.Signed.Roles[role].KeyIDs...)
	}
	return ids
}

// signAll signs what changed with the keys at hand.
func (c *change) signAll(keep bool) error {
	r := c.repo
	for name, m := range c.roles {
		ids, err := c.idsFor(name)
		if err != nil {
			return err
		}
		if err := sign(r, m, ids, keep); err != nil {
			return err
		}
	}
	if c.snap != nil {
		if err := sign(r, c.snap, keyIDs(c.delegators(), metadata.SNAPSHOT), keep); err != nil {
			return err
		}
	}
	if c.root != nil {
		return sign(r, c.root, keyIDs(c.rootDelegators(), metadata.ROOT), keep)
	}
	return nil
}

// idsFor are the keys that may sign a targets role.
func (c *change) idsFor(name string) ([]string, error) {
	if name == metadata.TARGETS {
		return keyIDs(c.delegators(), name), nil
	}
	parent, err := c.delegator(name)
	if err != nil {
		return nil, err
	}
	d := parent.Signed.Delegations
	for _, role := range d.Roles {
		if role.Name == name {
			return role.KeyIDs, nil
		}
	}
	if d.SuccinctRoles != nil {
		return d.SuccinctRoles.KeyIDs, nil
	}
	return nil, fmt.Errorf("%s does not delegate to %s", c.parent[name], name)
}

// delegator is the role, as it will be, that delegates to name.
func (c *change) delegator(name string) (*targetsMeta, error) {
	parent := c.parent[name]
	m := c.roles[parent]
	if m == nil {
		m = c.base.roles[parent]
	}
	if m != nil && delegates(m, name) {
		return m, nil
	}
	return nil, fmt.Errorf("nobody delegates to %s", name)
}

// complete tells whether enough keys have signed everything. The error wraps
// ErrKeys and names the roles that wait for signatures.
func (c *change) complete() error {
	var waiting []string
	check := func(role string, err error) {
		if err != nil && !slices.Contains(waiting, role) {
			waiting = append(waiting, role)
		}
	}
	for name, m := range c.roles {
		if name == metadata.TARGETS {
			for _, root := range c.delegators() {
				check(name, root.VerifyDelegate(name, m))
			}
			continue
		}
		parent, err := c.delegator(name)
		if err != nil {
			return err
		}
		check(name, parent.VerifyDelegate(name, m))
	}
	if c.snap != nil {
		for _, root := range c.delegators() {
			check(metadata.SNAPSHOT, root.VerifyDelegate(metadata.SNAPSHOT, c.snap))
		}
	}
	if c.root != nil {
		for _, root := range c.rootDelegators() {
			check(metadata.ROOT, root.VerifyDelegate(metadata.ROOT, c.root))
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	slices.Sort(waiting)
	if len(waiting) > 5 {
		waiting = append(waiting[:5], fmt.Sprintf("%d more", len(waiting)-5))
	}
	return fmt.Errorf("%w: too few signatures on %s", ErrKeys, strings.Join(waiting, ", "))
}

// ready makes sure, before anything is written, that keys of some roles are at hand and can sign. It tells
// whether that is as many as the thresholds ask for.
func (r *Repo) ready(root *rootMeta, roles ...string) (enough bool, err error) {
	enough = true
	for _, role := range roles {
		is := root.Signed.Roles[role]
		n := 0
		for _, signer := range r.signers {
			if !slices.Contains(is.KeyIDs, signer.Public().ID) {
				continue
			}
			if k, ok := signer.(*KeyFile); ok {
				if err := k.Ready(); err != nil {
					return false, err
				}
			}
			n++
		}
		if n == 0 {
			return false, fmt.Errorf("%w: none of those of %s is", ErrKeys, role)
		}
		enough = enough && n >= is.Threshold
	}
	return enough, nil
}
