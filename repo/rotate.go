package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// RootChange is what is to be different in the next root. The roles are root, targets, snapshot and timestamp.
// A change without content renews the root's expiry.
type RootChange struct {
	Add        map[string][]*PublicKey // keys that a role gets
	Remove     map[string][]string     // ids of keys that a role loses
	Thresholds map[string]int
	Lifetimes  Lifetimes

	// Lost says that keys which are replaced cannot sign any more. Then there is a moment in
	// which clients see a repository that they do not trust, and wait.
	Lost bool
}

// ChangeRoot makes the next root. It is signed by the keys of the current root and its own. Where the keys of
// other roles change, everything that they sign is first published signed by old and new
// keys, then the root, then everything signed by the new keys alone: whatever a client gets in between verifies.
//
// An interrupted ChangeRoot is simply run again.
//
// Errors: ErrUnsigned, ErrStaged if other maintainers have to sign, ErrWaiting, ErrKeys, ErrBusy.
func (r *Repo) ChangeRoot(ctx context.Context, rc RootChange) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	base, err := r.loadUnstaged(ctx, rc.Lost)
	if err != nil {
		return err
	}
	if base == nil {
		return ErrUnsigned
	}
	next, changed, err := r.nextRoot(base, rc)
	if err != nil {
		return err
	}
	if !changed {
		return r.finishRotation(ctx, base)
	}
	c := r.newChange(base)
	c.root, c.lost = next, rc.Lost
	targets := !sameKeys(base.root(), next, metadata.TARGETS)
	sooner := lifetimesOf(next)[metadata.TARGETS] < lifetimesOf(base.root())[metadata.TARGETS]
	if targets || sooner {
		if err := c.everything(ctx); err != nil {
			return err
		}
	}
	c.resnap = targets || !sameKeys(base.root(), next, metadata.SNAPSHOT)
	if err := c.seal(ctx, targets || sooner); err != nil {
		return err
	}
	if err := c.signAndPublish(ctx); err != nil {
		return err
	}
	if base, err = r.load(ctx, rc.Lost); err != nil {
		return err
	}
	return r.finishRotation(ctx, base)
}

// nextRoot applies a change to the current root, and tells whether that makes a difference. That
// it makes none where a change is run again is how an interrupted rotation is finished.
func (r *Repo) nextRoot(base *signed, rc RootChange) (*rootMeta, bool, error) {
	next, err := parseRoot(base.rootData)
	if err != nil {
		return nil, false, err
	}
	if err := editRoles(next, rc); err != nil {
		return nil, false, err
	}
	if err := rc.Lifetimes.Check(); err != nil {
		return nil, false, err
	}
	lifetimes := lifetimesOf(next)
	maps.Copy(lifetimes, rc.Lifetimes)
	setLifetimes(next, lifetimes)
	if err := checkRoles(next); err != nil {
		return nil, false, err
	}
	same := maps.Equal(lifetimes, lifetimesOf(base.root()))
	for _, role := range topRoles {
		same = same && sameKeys(base.root(), next, role)
	}
	asked := len(rc.Add)+len(rc.Remove)+len(rc.Thresholds)+len(rc.Lifetimes) > 0
	if same && asked {
		return nil, false, nil
	}
	next.Signed.Version++
	next.Signed.Expires = r.expiry(next, metadata.ROOT)
	return next, true, nil
}

func editRoles(next *rootMeta, rc RootChange) error {
	for _, name := range slices.Concat(slices.Collect(maps.Keys(rc.Add)), slices.Collect(maps.Keys(rc.Remove)), slices.Collect(maps.Keys(rc.Thresholds))) {
		if !isTop(name) {
			return fmt.Errorf("there is no role %q; the roles are %v", name, topRoles)
		}
	}
	for role, keys := range rc.Add {
		for _, key := range keys {
			if err := next.Signed.AddKey(key.key, role); err != nil {
				return err
			}
		}
	}
	for role, ids := range rc.Remove {
		for _, id := range ids {
			if !slices.Contains(next.Signed.Roles[role].KeyIDs, id) {
				continue // by an earlier run
			}
			if err := next.Signed.RevokeKey(id, role); err != nil {
				return err
			}
		}
	}
	for role, n := range rc.Thresholds {
		next.Signed.Roles[role].Threshold = n
	}
	return nil
}

// finishRotation signs what keys of earlier roots have signed, too, by those of the current one alone. Where
// they are not at hand that waits for the next publish: old signatures do no harm.
func (r *Repo) finishRotation(ctx context.Context, base *signed) error {
	root := base.root()
	c := r.newChange(base)
	foreign := func(signatures []metadata.Signature, role string) bool {
		return slices.ContainsFunc(signatures, func(s metadata.Signature) bool {
			return !slices.Contains(root.Signed.Roles[role].KeyIDs, s.KeyID)
		})
	}
	targets := base.roles[metadata.TARGETS]
	switch {
	case base.outdated:
		if err := c.everything(ctx); err != nil {
			return err
		}
		c.resnap = true
	case foreign(targets.Signatures, metadata.TARGETS):
		c.edit(metadata.TARGETS, metadata.ROOT, targets)
	case foreign(base.snapshot.Signatures, metadata.SNAPSHOT):
		c.resnap = true
	case foreign(base.timestamp.Signatures, metadata.TIMESTAMP):
		if err := r.renewTimestamp(ctx, base); !errors.Is(err, ErrKeys) {
			return err
		}
		return nil
	default:
		return nil
	}
	if err := c.seal(ctx, base.outdated); err != nil {
		return err
	}
	if err := c.signAll(false); err != nil {
		return err
	}
	err := c.publish(ctx)
	if errors.Is(err, ErrKeys) && !base.outdated {
		return nil
	}
	return err
}

// renewTimestamp publishes a new timestamp for the snapshot that there is.
func (r *Repo) renewTimestamp(ctx context.Context, base *signed) error {
	data, err := r.makeTimestamp(base, nil, nil, base.root(), []*rootMeta{base.root()})
	if err != nil {
		return err
	}
	if err := r.swap(ctx, timestampName, base.timestampData, data); err != nil {
		return err
	}
	base.timestampData = data
	return nil
}

// Used are the ids of keys that roots name.
type Used struct {
	Now  map[string][]string // by role, in the current root
	Ever map[string]bool     // in any root
}

// UsedKeys tells which keys the repository's roots name.
//
// Errors: ErrUnsigned, ErrUntrusted.
func (r *Repo) UsedKeys(ctx context.Context) (*Used, error) {
	s, err := r.load(ctx, true)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ErrUnsigned
	}
	u := &Used{Now: map[string][]string{}, Ever: map[string]bool{}}
	for _, root := range s.roots {
		for _, role := range topRoles {
			for _, id := range root.Signed.Roles[role].KeyIDs {
				u.Ever[id] = true
			}
			u.Now[role] = slices.Clone(root.Signed.Roles[role].KeyIDs)
		}
	}
	return u, nil
}
