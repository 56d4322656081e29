package repo

import (
	"context"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// RoleKeys says who signs for a role.
type RoleKeys struct {
	Role      string   `json:"role"`
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"` // ids
}

// Trust is what a repository's metadata says about itself.
type Trust struct {
	Product string     `json:"product"`
	Root    int64      `json:"root"` // its version
	Roles   []RoleKeys `json:"roles"`
	Expires []Expiry   `json:"expires"` // of the four top-level roles
}

// Trust tells who signs for what, and until when that is good.
//
// Errors: ErrUnsigned, ErrUntrusted.
func (r *Repo) Trust(ctx context.Context) (*Trust, error) {
	s, err := r.load(ctx, false)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ErrUnsigned
	}
	return s.trust(), nil
}

func (s *signed) trust() *Trust {
	root := s.root()
	t := &Trust{Product: product(root), Root: root.Signed.Version}
	for _, name := range topRoles {
		role := root.Signed.Roles[name]
		t.Roles = append(t.Roles, RoleKeys{name, role.Threshold, slices.Clone(role.KeyIDs)})
	}
	targets := s.roles[metadata.TARGETS].Signed
	t.Expires = []Expiry{
		{metadata.ROOT, root.Signed.Version, root.Signed.Expires},
		{metadata.TARGETS, targets.Version, targets.Expires},
		{metadata.SNAPSHOT, s.snapshot.Signed.Version, s.snapshot.Signed.Expires},
		{metadata.TIMESTAMP, s.timestamp.Signed.Version, s.timestamp.Signed.Expires},
	}
	return t
}

// CurrentRoot is the newest root, whose bytes programs may embed.
func (r *Repo) CurrentRoot(ctx context.Context) ([]byte, error) {
	s, err := r.load(ctx, true)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ErrUnsigned
	}
	return s.rootData, nil
}

// Renew signs all roles anew that the release keys sign, with new expiry.
//
// Errors: ErrUnsigned, ErrStaged, ErrWaiting, ErrKeys, ErrBusy.
func (r *Repo) Renew(ctx context.Context) error {
	t, err := r.transaction(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	if t.base == nil {
		return ErrUnsigned
	}
	c := r.newChange(t.base)
	if err := c.everything(ctx); err != nil {
		return err
	}
	if err := c.seal(ctx, true); err != nil {
		return err
	}
	return c.signAndPublish(ctx)
}
