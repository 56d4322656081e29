package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/store"
)

// believe verifies the source, and returns all files that are signed. What the destination has of the metadata may be damaged; then
// that is read from the source as well.
func (m *mirror) believe(ctx context.Context) (map[string]*metadata.TargetFiles, error) {
	if err := m.readBefore(ctx); err != nil {
		return nil, err
	}
	files, err := m.verify(ctx)
	damaged := errors.Is(err, store.ErrTooLarge) || errors.Is(err, ErrUntrusted) || errors.Is(err, tuf.ErrUntrusted) || errors.Is(err, tuf.ErrMalformed)
	if damaged && m.seen.again() {
		files, err = m.verify(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("verifying %s: %w", m.src, err)
	}
	root := m.now.root()
	m.result.Product, m.result.Root, m.result.Timestamp = product(root), root.Signed.Version, m.now.timestamp.Signed.Version
	return files, nil
}

// readBefore reads what the destination's own metadata said. It is no more than what saves work, and what the source may not be older than; of the latter the
// timestamp decides, which is looked at by itself.
func (m *mirror) readBefore(ctx context.Context) (err error) {
	m.was, err = m.seen.getBefore(ctx, timestampName)
	if errors.Is(err, fs.ErrNotExist) {
		m.was = nil
		return nil
	}
	if err != nil {
		return err
	}
	before, err := m.reading(past{m}).load(ctx, true)
	if err == nil {
		m.listed, _, err = before.files(ctx)
	}
	if err == nil {
		m.before = before
		m.wasSnapshot = m.seen.read[versioned(before.snapshot.Signed.Version, metadata.SNAPSHOT)].data
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.remark("what the destination says of its files is not believed, each is hashed: %v", err)
	return nil
}

func (m *mirror) remark(format string, args ...any) {
	m.result.Remarks = append(m.result.Remarks, fmt.Sprintf(format, args...))
}

// verify does what clients do, and then reads all roles.
func (m *mirror) verify(ctx context.Context) (map[string]*metadata.TargetFiles, error) {
	anchor, first, err := m.anchor(ctx)
	if err != nil {
		return nil, err
	}
	client, err := tuf.New(&mirrorEnv{ctx: ctx, m: m}, anchor)
	if err == nil {
		err = client.Refresh()
	}
	if err != nil {
		return nil, err
	}
	r := m.reading(m.seen)
	if !first {
		r.anchor = anchor
	}
	if m.now, err = r.load(ctx, false); err != nil {
		return nil, err
	}
	if err := m.checkPin(); err != nil {
		return nil, err
	}
	files, samples, err := m.now.files(ctx)
	if err != nil {
		return nil, err
	}
	for _, path := range samples {
		if _, err := client.Target(path); err != nil {
			return nil, err
		}
	}
	return files, m.diverged()
}

// anchor is the root that everything is verified from. first tells that the roots can be read from the first one on.
func (m *mirror) anchor(ctx context.Context) (root []byte, first bool, err error) {
	one, err := m.seen.get(ctx, versioned(1, metadata.ROOT))
	if errors.Is(err, fs.ErrNotExist) && m.o.Root != nil {
		m.remark("%s has no root 1: programs with a trust root before the given one see nothing", m.src)
		return m.o.Root, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if m.o.Root != nil {
		return m.o.Root, true, nil
	}
	if f := m.seen.read[versioned(1, metadata.ROOT)]; f.copied {
		m.firstUse(one)
	}
	return one, true, nil
}

// firstUse says who is believed without proof.
func (m *mirror) firstUse(one []byte) {
	root, err := parseRoot(one)
	if err != nil {
		return // the client says so
	}
	m.remark("trusting %s about its first root, signed by %s: compare, or name the root that your programs embed",
		m.src, strings.Join(root.Signed.Roles[metadata.ROOT].KeyIDs, ", "))
}

// checkPin makes sure that the root that was given is one of the repository's.
func (m *mirror) checkPin() error {
	if m.o.Root == nil {
		return nil
	}
	pin, err := parseRoot(m.o.Root)
	if err != nil {
		return err
	}
	if !hasRoot(m.now.roots, pin) {
		return fmt.Errorf("%w: the trust root that was given, version %d, is none of its roots", ErrUntrusted, pin.Signed.Version)
	}
	return nil
}

// hasRoot tells whether a root is among others, whoever has signed it.
func hasRoot(roots []*rootMeta, root *rootMeta) bool {
	return slices.ContainsFunc(roots, func(is *rootMeta) bool {
		a, aerr := cjson.EncodeCanonical(is.Signed)
		b, berr := cjson.EncodeCanonical(root.Signed)
		return is.Signed.Version == root.Signed.Version && aerr == nil && berr == nil && bytes.Equal(a, b)
	})
}

// diverged finds a timestamp of the destination's own.
func (m *mirror) diverged() error {
	if m.was == nil || bytes.Equal(m.was, m.now.timestampData) {
		return nil
	}
	old, err := parseMeta[metadata.TimestampType](metadata.TIMESTAMP, m.was)
	if err == nil && m.now.verifyTop(metadata.TIMESTAMP, old, false) == nil && old.Signed.Version == m.now.timestamp.Signed.Version {
		return fmt.Errorf("%w: both have a timestamp version %d, and they differ", ErrDiverged, old.Signed.Version)
	}
	return nil
}

// files are all files that are signed, with one path of each role.
func (s *signed) files(ctx context.Context) (files map[string]*metadata.TargetFiles, samples []string, err error) {
	files = map[string]*metadata.TargetFiles{}
	err = s.walk(func(name string, parent *targetsMeta) (*targetsMeta, error) {
		m, err := s.role(ctx, name, parent)
		if err != nil {
			return nil, err
		}
		maps.Copy(files, m.Signed.Targets)
		return m, nil
	})
	if err != nil {
		return nil, nil, err
	}
	sampled := map[*targetsMeta]bool{}
	for path, f := range files {
		role, err := s.roleOf(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		if role == nil || role.Signed.Targets[path] != f {
			delete(files, path) // of a role that nobody trusts with it
			continue
		}
		if !sampled[role] {
			sampled[role] = true
			samples = append(samples, path)
		}
	}
	return files, samples, nil
}

// mirrorEnv has a client verify the source, with what the destination has as what it has seen before.
type mirrorEnv struct {
	ctx context.Context
	m   *mirror
}

// Fetch implements [tuf.Env].
func (e *mirrorEnv) Fetch(name string, limit int64) ([]byte, error) {
	data, err := e.m.seen.get(e.ctx, metadataFolder+name)
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is %w: more than %d bytes", name, store.ErrTooLarge, limit)
	}
	return data, err
}

// Load implements [tuf.Env]. Roots are not asked for here but read one after the other, from the destination first.
func (e *mirrorEnv) Load(name string) ([]byte, error) {
	m := e.m
	if m.was == nil {
		return nil, fs.ErrNotExist
	}
	switch name {
	case metadata.TIMESTAMP + ".json":
		return m.was, nil
	case metadata.SNAPSHOT + ".json":
		if m.wasSnapshot != nil {
			return m.wasSnapshot, nil
		}
	}
	return nil, fs.ErrNotExist
}

// Store implements [tuf.Env]. Nothing is kept before all is verified.
func (e *mirrorEnv) Store(string, []byte) error { return nil }

// Now implements [tuf.Env].
func (e *mirrorEnv) Now() time.Time { return e.m.to.now() }

// Warn implements [tuf.Env].
func (e *mirrorEnv) Warn(err error) { e.m.remark("%v", err) }
