package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Init says how a repository is to be signed.
type Init struct {
	Product    string                  // the name that the root gives to what is published here
	Keys       map[string][]*PublicKey // of root, targets, snapshot and timestamp
	Thresholds map[string]int          // signatures that a role needs; 1 where nothing is said
	Lifetimes  Lifetimes               // the defaults where nothing is said

	// Progress is told about each release that was there and is signed, if not nil.
	Progress func(done, total int, release Release)
}

// Sign makes a repository a signed one: its first root, and signatures on all releases that
// are there. Their release.json gains `size` and `artifacts` where it lacks them; what old
// clients read stays as it is. It returns the root, for programs to embed.
//
// An interrupted Sign is simply run again.
//
// Errors: ErrSigned, ErrStaged, ErrWaiting, ErrKeys, ErrBusy, and those of releases that cannot be read.
func (r *Repo) Sign(ctx context.Context, init Init) (root []byte, err error) {
	first, err := r.firstRoot(init)
	if err != nil {
		return nil, err
	}
	unlock, base, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if base == nil {
		p, err := r.staged(ctx, nil)
		if err != nil {
			return nil, err
		}
		if p != nil {
			return nil, fmt.Errorf("%w: its first root", ErrWaiting)
		}
	}
	if base != nil {
		return nil, fmt.Errorf("%w, for %q", ErrSigned, product(base.root()))
	}
	if _, err := r.ready(first, topRoles...); err != nil {
		return nil, err
	}
	c := r.newChange(&signed{repo: r, snapshot: metadata.Snapshot(), roles: map[string]*targetsMeta{metadata.TARGETS: metadata.Targets()}})
	c.base.snapshot.Signed.Meta = map[string]*metadata.MetaFiles{}
	c.base.snapshot.Signed.Version = 0
	c.root = first
	c.edit(metadata.TARGETS, metadata.ROOT, c.base.roles[metadata.TARGETS])
	files, err := r.signInPlace(ctx, init)
	if err != nil {
		return nil, err
	}
	if err := r.signChannels(ctx, init.Product, files); err != nil {
		return nil, err
	}
	if err := c.setFiles(ctx, files); err != nil {
		return nil, err
	}
	if err := c.seal(ctx, true); err != nil {
		return nil, err
	}
	if err := c.signAll(false); err != nil {
		return nil, err
	}
	root, err = c.publishFirst(ctx)
	if errors.Is(err, ErrKeys) {
		return nil, c.stage(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return root, r.settleAfter(ctx, nil)
}

func (r *Repo) firstRoot(init Init) (*rootMeta, error) {
	if err := checkProduct(init.Product); err != nil {
		return nil, err
	}
	if err := init.Lifetimes.Check(); err != nil {
		return nil, err
	}
	root := metadata.Root()
	root.Signed.UnrecognizedFields = map[string]any{"product": init.Product}
	setLifetimes(root, init.Lifetimes)
	root.Signed.Expires = r.expiry(root, metadata.ROOT)
	for role := range init.Thresholds {
		if !isTop(role) {
			return nil, fmt.Errorf("there is no role %q; the roles are %v", role, topRoles)
		}
	}
	for _, role := range topRoles {
		for _, key := range init.Keys[role] {
			if err := root.Signed.AddKey(key.key, role); err != nil {
				return nil, err
			}
		}
		if n, ok := init.Thresholds[role]; ok {
			root.Signed.Roles[role].Threshold = n
		}
	}
	return root, checkRoles(root)
}

func checkProduct(name string) error {
	if name == "" || len(name) > 100 || !printable(name) {
		return fmt.Errorf("%q is no name for a product: 1 to 100 bytes of what can be printed", name)
	}
	return nil
}

// checkRoles makes sure that every role can be signed.
func checkRoles(root *rootMeta) error {
	for _, name := range topRoles {
		role := root.Signed.Roles[name]
		if role.Threshold < 1 || role.Threshold > len(role.KeyIDs) {
			return refused("give the role more keys first, with update-repo key add or init --key", "%s has %d keys, so its threshold cannot be %d", name, len(role.KeyIDs), role.Threshold)
		}
	}
	return nil
}

// publishFirst writes the metadata of a repository that has none; the timestamp, which makes it a signed
// one, last.
func (c *change) publishFirst(ctx context.Context) ([]byte, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	timestamp, err := c.repo.makeTimestamp(nil, c.snap, files[versionedSnapshot(c)], c.root, c.delegators())
	if err != nil {
		return nil, err
	}
	root, err := c.root.ToBytes(false)
	if err != nil {
		return nil, err
	}
	if err := c.repo.putFiles(ctx, files); err != nil {
		return nil, err
	}
	name := versioned(c.root.Signed.Version, metadata.ROOT)
	was, _, err := c.repo.readVersion(ctx, name, rootLimit) // an interrupted Sign left it, or someone is at it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := c.repo.swap(ctx, name, was, root); err != nil {
		return nil, err
	}
	err = c.repo.swap(ctx, timestampName, nil, timestamp)
	if errors.Is(err, ErrBusy) && was != nil {
		// Someone was at it, and that root is the one whose timestamp is there.
		err = errors.Join(err, c.repo.swap(context.WithoutCancel(ctx), name, root, was))
	}
	return root, err
}

// signInPlace measures all releases, completes their release.json, and returns what is to be
// signed. All that is wrong is told at once.
func (r *Repo) signInPlace(ctx context.Context, init Init) (map[string]*metadata.TargetFiles, error) {
	list, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]*metadata.TargetFiles{}
	var failures []error
	for i, release := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, err := r.complete(ctx, init.Product, &release)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", release, err))
			continue
		}
		for name, f := range one {
			files[name] = f
		}
		if init.Progress != nil {
			init.Progress(i+1, len(list), release)
		}
	}
	return files, errors.Join(failures...)
}
