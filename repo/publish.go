package repo

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// publish writes a change that is sealed and signed. The order is what keeps the
// repository whole wherever it is interrupted:
//
//  1. the roles that changed and snapshot, under names that nobody has been told of
//  2. timestamp, which makes them current: the point of no return
//  3. the next root, if there is one. All that is served verifies by its keys too
//
// Nothing is written unless everything is signed well enough.
func (c *change) publish(ctx context.Context) error {
	if err := c.complete(); err != nil {
		return err
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	timestamp, err := c.newTimestamp(files[versionedSnapshot(c)])
	if err != nil {
		return err
	}
	if err := c.base.unchanged(ctx); err != nil {
		return err
	}
	if c.lost && c.root != nil {
		// The old keys are gone, so there is a moment in which clients have to wait anyway.
		if err := c.putRoot(ctx); err != nil {
			return err
		}
	}
	if err := c.repo.putFiles(ctx, files); err != nil {
		return err
	}
	if timestamp != nil {
		if err := c.repo.swap(ctx, timestampName, c.base.timestampData, timestamp); err != nil {
			return err
		}
		c.base.timestampData = timestamp
	}
	if c.root == nil || c.lost {
		return nil
	}
	return c.putRoot(ctx)
}

func versionedSnapshot(c *change) string {
	if c.snap == nil {
		return ""
	}
	return versioned(c.snap.Signed.Version, metadata.SNAPSHOT)
}

// files are the versioned files of the change, root excepted, by name.
func (c *change) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, m := range c.roles {
		data, err := m.ToBytes(false)
		if err != nil {
			return nil, err
		}
		files[versioned(m.Signed.Version, name)] = data
	}
	if c.snap != nil {
		data, err := c.snap.ToBytes(false)
		if err != nil {
			return nil, err
		}
		files[versionedSnapshot(c)] = data
	}
	return files, nil
}

// newTimestamp makes the timestamp for a snapshot, signed by the keys of the current and the next
// root. It is nil if neither the snapshot nor those keys change.
func (c *change) newTimestamp(snapshot []byte) ([]byte, error) {
	if snapshot == nil && (c.root == nil || sameKeys(c.base.root(), c.root, metadata.TIMESTAMP)) {
		return nil, nil
	}
	return c.repo.makeTimestamp(c.base, c.snap, snapshot, c.nextRoot(), c.delegators())
}

// makeTimestamp signs a timestamp for the given snapshot, or the current one if there is none.
func (r *Repo) makeTimestamp(base *signed, snap *snapshotMeta, data []byte, root *rootMeta, delegators []*rootMeta) ([]byte, error) {
	m := metadata.Timestamp(r.expiry(root, metadata.TIMESTAMP))
	if base != nil {
		m.Signed.Version = base.timestamp.Signed.Version + 1
		m.Signed.UnrecognizedFields = base.timestamp.Signed.UnrecognizedFields
		m.Signed.Meta = base.timestamp.Signed.Meta
	}
	if data != nil {
		m.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": {
			Version: snap.Signed.Version, Length: int64(len(data)), Hashes: sha256Of(data),
		}}
	}
	if err := sign(r, m, keyIDs(delegators, metadata.TIMESTAMP), false); err != nil {
		return nil, err
	}
	for _, root := range delegators {
		if err := root.VerifyDelegate(metadata.TIMESTAMP, m); err != nil {
			return nil, fmt.Errorf("%w: timestamp: %w", ErrKeys, err)
		}
	}
	return m.ToBytes(false)
}

// putRoot makes the next root current. Nobody else's root is ever overwritten.
func (c *change) putRoot(ctx context.Context) error {
	data, err := c.root.ToBytes(false)
	if err != nil {
		return err
	}
	return c.repo.swap(ctx, versioned(c.root.Signed.Version, metadata.ROOT), nil, data)
}

func (r *Repo) putBytes(ctx context.Context, name string, data []byte) error {
	return r.store.Put(ctx, name, bytes.NewReader(data))
}

func (r *Repo) putFiles(ctx context.Context, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := r.create(ctx, name, files[name]); err != nil {
			return err
		}
	}
	return nil
}

func sameKeys(a, b *rootMeta, role string) bool {
	x, y := a.Signed.Roles[role], b.Signed.Roles[role]
	return x.Threshold == y.Threshold && slices.Equal(slices.Sorted(slices.Values(x.KeyIDs)), slices.Sorted(slices.Values(y.KeyIDs)))
}

// commitFiles signs what has become of files and publishes that.
func (r *Repo) commitFiles(ctx context.Context, base *signed, files map[string]*metadata.TargetFiles) error {
	c := r.newChange(base)
	all := c.renewalDue()
	if all {
		if err := c.everything(ctx); err != nil {
			return err
		}
	}
	if err := c.setFiles(ctx, files); err != nil {
		return err
	}
	if len(c.roles) == 0 {
		return nil
	}
	if err := c.seal(ctx, all); err != nil {
		return err
	}
	return c.signAndPublish(ctx)
}

// renewalDue tells whether half of the life of targets has passed, and with it that of any role below it.
func (c *change) renewalDue() bool {
	left := c.base.roles[metadata.TARGETS].Signed.Expires.Sub(c.repo.now())
	return left < lifetimesOf(c.base.root())[metadata.TARGETS]/2
}

// Expiry says until when a role's metadata is good.
type Expiry struct {
	Role    string    `json:"role"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
}

// Timestamp renews the timestamp, with its key alone. It returns the new one's expiry.
//
// Errors: ErrUnsigned, ErrKeys, ErrBusy.
func (r *Repo) Timestamp(ctx context.Context) (Expiry, error) {
	unlock, base, err := r.begin(ctx)
	if err != nil {
		return Expiry{}, err
	}
	defer unlock()
	if base == nil {
		return Expiry{}, ErrUnsigned
	}
	if err := r.renewTimestamp(ctx, base); err != nil {
		return Expiry{}, err
	}
	m, err := new(timestampMeta).FromBytes(base.timestampData)
	if err != nil {
		return Expiry{}, err
	}
	return Expiry{Role: metadata.TIMESTAMP, Version: m.Signed.Version, Expires: m.Signed.Expires}, nil
}
