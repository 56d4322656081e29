package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/store"
)

// change is new metadata in the making: everything that one command wants, signed and published
// at once.
type change struct {
	repo   *Repo
	base   *signed
	root   *rootMeta               // the next root, nil if it stays
	roles  map[string]*targetsMeta // changed, by name
	parent map[string]string       // who delegates to them
	snap   *snapshotMeta           // nil if no role changed
	lost   bool                    // the old keys cannot sign any more
	resnap bool                    // snapshot is signed anew even if no role changes
}

func (r *Repo) newChange(base *signed) *change {
	return &change{repo: r, base: base, roles: map[string]*targetsMeta{}, parent: map[string]string{}}
}

// nextRoot is the root that will be current.
func (c *change) nextRoot() *rootMeta {
	if c.root != nil {
		return c.root
	}
	return c.base.root()
}

// get is a role as it will be.
func (c *change) get(ctx context.Context, name, parent string) (*targetsMeta, error) {
	if m := c.roles[name]; m != nil {
		return m, nil
	}
	if name == metadata.TARGETS {
		return c.base.roles[name], nil
	}
	// What delegates to it now, not what will: its keys may be about to change.
	by := c.base.roles[parent]
	if by == nil {
		return nil, fmt.Errorf("%s: %s, which delegates to it, has not been read", name, parent)
	}
	return c.base.role(ctx, name, by)
}

// edit marks a role as changed. What get returned before must be asked for again.
func (c *change) edit(name, parent string, m *targetsMeta) {
	c.roles[name], c.parent[name] = m, parent
}

// setFiles changes what is signed about files; nil takes a file out. The paths are
// VERSION/OS/ARCH/NAME and channels/NAME.json.
func (c *change) setFiles(ctx context.Context, files map[string]*metadata.TargetFiles) error {
	patterns := map[string]map[string]*metadata.TargetFiles{}
	for path, f := range files {
		pattern := patternOf(path)
		if pattern == "" {
			return fmt.Errorf("%s is not a file of a release or a channel", path)
		}
		if patterns[pattern] == nil {
			patterns[pattern] = map[string]*metadata.TargetFiles{}
		}
		patterns[pattern][path] = f
	}
	for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
		if err := c.setRole(ctx, pattern, patterns[pattern]); err != nil {
			return err
		}
	}
	return nil
}

// patternOf is the pattern of the paths that one role is trusted with, path among them: those of a
// platform, or of all channels. It is empty for files that are not signed.
func patternOf(path string) string {
	parts := strings.Split(path, "/")
	switch {
	case len(parts) == 4:
		return "*/" + parts[1] + "/" + parts[2] + "/*"
	case len(parts) == 2 && parts[0]+"/" == channelsFolder:
		return channelsFolder + "*"
	}
	return ""
}

// delegationTo finds the role that targets trusts with a pattern of paths, "" if none.
func delegationTo(targets *targetsMeta, pattern string) string {
	if targets.Signed.Delegations == nil {
		return ""
	}
	for _, d := range targets.Signed.Delegations.Roles {
		if slices.Equal(d.Paths, []string{pattern}) {
			return d.Name
		}
	}
	return ""
}

func (c *change) setRole(ctx context.Context, pattern string, files map[string]*metadata.TargetFiles) error {
	targets, err := c.get(ctx, metadata.TARGETS, metadata.ROOT)
	if err != nil {
		return err
	}
	name := delegationTo(targets, pattern)
	if name == "" {
		maps.DeleteFunc(files, func(_ string, f *metadata.TargetFiles) bool { return f == nil })
		if len(files) == 0 {
			return nil
		}
		if name, err = c.addRole(targets, pattern); err != nil {
			return err
		}
	}
	role, err := c.get(ctx, name, metadata.TARGETS)
	if err != nil {
		return err
	}
	if binsOf(role) != nil {
		return c.setBinned(ctx, name, role, files)
	}
	if !merge(role.Signed.Targets, files) {
		return nil
	}
	c.edit(name, metadata.TARGETS, role)
	if len(role.Signed.Targets) > directFiles {
		return c.split(name, role, role.Signed.Targets, nextBits(0))
	}
	return nil
}

// merge sets files and tells whether that changed anything.
func merge(list, files map[string]*metadata.TargetFiles) (changed bool) {
	for path, f := range files {
		old := list[path]
		switch {
		case f == nil && old != nil:
			delete(list, path)
			changed = true
		case f != nil && !sameFile(old, f):
			list[path] = f
			changed = true
		}
	}
	return changed
}

func sameFile(a, b *metadata.TargetFiles) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, xerr := json.Marshal(a)
	y, yerr := json.Marshal(b)
	return xerr == nil && yerr == nil && bytes.Equal(x, y)
}

// addRole makes a role for a platform, OS-ARCH, or for channels, and has targets delegate to it.
func (c *change) addRole(targets *targetsMeta, pattern string) (string, error) {
	name := strings.ReplaceAll(strings.Trim(pattern, "*/"), "/", "-")
	if c.base.snapshot.Signed.Meta[name+".json"] != nil || c.roles[name] != nil {
		return "", fmt.Errorf("%s cannot be signed: there is another role %s", pattern, name)
	}
	if targets.Signed.Delegations == nil {
		targets.Signed.Delegations = &metadata.Delegations{}
	}
	d := targets.Signed.Delegations
	d.Roles = append(d.Roles, metadata.DelegatedRole{
		Name: name, Terminating: true, Paths: []string{pattern},
	})
	c.edit(metadata.TARGETS, metadata.ROOT, targets)
	c.entrust(targets)
	c.edit(name, metadata.TARGETS, metadata.Targets())
	return name, nil
}

// entrust has a role delegate to the keys of targets, with their threshold.
func (c *change) entrust(m *targetsMeta) {
	root := c.nextRoot()
	keys := root.Signed.Roles[metadata.TARGETS]
	d := m.Signed.Delegations
	d.Keys = map[string]*metadata.Key{}
	for _, id := range keys.KeyIDs {
		d.Keys[id] = root.Signed.Keys[id]
	}
	for i := range d.Roles {
		d.Roles[i].KeyIDs, d.Roles[i].Threshold = slices.Clone(keys.KeyIDs), keys.Threshold
	}
	if d.SuccinctRoles != nil {
		d.SuccinctRoles.KeyIDs, d.SuccinctRoles.Threshold = slices.Clone(keys.KeyIDs), keys.Threshold
	}
}

// everything marks all roles that can be reached as changed, so that they are signed anew.
func (c *change) everything(ctx context.Context) error {
	targets, err := c.get(ctx, metadata.TARGETS, metadata.ROOT)
	if err != nil {
		return err
	}
	c.edit(metadata.TARGETS, metadata.ROOT, targets)
	if targets.Signed.Delegations == nil {
		return nil
	}
	for _, d := range targets.Signed.Delegations.Roles {
		role, err := c.get(ctx, d.Name, metadata.TARGETS)
		if err != nil {
			return err
		}
		c.edit(d.Name, metadata.TARGETS, role)
		bins := binsOf(role)
		if bins == nil {
			continue
		}
		for _, bin := range bins.GetRoles() {
			m, err := c.get(ctx, bin, d.Name)
			if err != nil {
				return err
			}
			c.edit(bin, d.Name, m)
		}
	}
	// Only now: the roles below had to be verified by the keys that signed them.
	for name, m := range c.roles {
		if m.Signed.Delegations != nil && (name == metadata.TARGETS || c.parent[name] == metadata.TARGETS) {
			c.entrust(m)
		}
	}
	return nil
}

// seal gives everything that changed its version and expiry.
//
// The expiry of targets is the earliest of all roles below it, which is why it moves only when all are
// signed anew: then targets alone tells when that is due.
func (c *change) seal(ctx context.Context, all bool) error {
	if len(c.roles) == 0 && !c.resnap {
		return nil
	}
	s := c.base.snapshot.Signed
	c.snap = metadata.Snapshot()
	c.snap.Signed.UnrecognizedFields = s.UnrecognizedFields
	c.snap.Signed.Meta = maps.Clone(s.Meta)
	for name, m := range c.roles {
		var was int64
		if old := s.Meta[name+".json"]; old != nil {
			was = old.Version
		}
		version, err := c.repo.unused(ctx, name, was+1)
		if err != nil {
			return err
		}
		m.Signed.Version = version
		if name != metadata.TARGETS || all {
			m.Signed.Expires = c.repo.expiry(c.nextRoot(), metadata.TARGETS)
		}
		c.snap.Signed.Meta[name+".json"] = &metadata.MetaFiles{Version: version}
	}
	version, err := c.repo.unused(ctx, metadata.SNAPSHOT, s.Version+1)
	if err != nil {
		return err
	}
	c.snap.Signed.Version = version
	c.snap.Signed.Expires = c.repo.expiry(c.nextRoot(), metadata.SNAPSHOT)
	return nil
}

// unused is a version of a role's file, from the given one, that nobody has written: what
// an interrupted publish left is never overwritten, so that a versioned name always means the same bytes.
// Where the store has no lock the number is a random one, so that two publishers at once do not choose the same: versions
// need to rise, not to be consecutive.
func (r *Repo) unused(ctx context.Context, role string, version int64) (int64, error) {
	if _, ok := r.store.(store.Locker); !ok {
		version += rand.Int64N(1 << 20)
	}
	for range maxTaken {
		object, err := r.store.Open(ctx, versioned(version, role), store.Request{})
		if errors.Is(err, fs.ErrNotExist) {
			return version, nil
		}
		if err != nil {
			return 0, err
		}
		object.Body.Close()
		version++
	}
	return 0, fmt.Errorf("%s has %d versions that nobody has published: does the server answer for files that it does not have?", role, maxTaken)
}

// maxTaken is how many names in a row may be taken by what was interrupted. A server that says so of all names would have no end.
const maxTaken = 1000
