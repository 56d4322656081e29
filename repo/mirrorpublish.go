package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/store"
)

// publish makes what was copied current, in the order of a publish:
//
//  1. roles and snapshot, under names that nobody has been told of
//  2. the roots by whose keys the old metadata verifies as well
//  3. files whose names the old metadata lists with other bytes
//  4. timestamp, the point of no return
//  5. the other roots
//
// Where neither the old metadata verifies by the last root nor the new by an earlier one, all roots come in 2, and clients that ask
// between 2 and 4 are told to wait. The source's publisher has been through that in steps whose files it did not keep.
func (m *mirror) publish(ctx context.Context) error {
	roots, roles := m.metadata()
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if err := m.put(ctx, name, roles[name]); err != nil {
			return err
		}
	}
	early := m.early(roots)
	if err := m.putRoots(ctx, roots[:early]); err != nil {
		return err
	}
	if err := m.commit(ctx); err != nil {
		return err
	}
	return m.putRoots(ctx, roots[early:])
}

// metadata is what the destination lacks of it.
func (m *mirror) metadata() (roots []int64, roles map[string][]byte) {
	roles = map[string][]byte{}
	for name, f := range m.seen.read {
		if f == nil || name == timestampName || !strings.HasPrefix(name, metadataFolder) {
			continue
		}
		if !f.copied && (m.o.Before == nil || m.o.Since) {
			m.result.Present++
			continue
		}
		number, role, _ := strings.Cut(strings.TrimPrefix(name, metadataFolder), ".")
		if v, err := strconv.ParseInt(number, 10, 64); err == nil && role == metadata.ROOT+".json" {
			roots = append(roots, v)
			continue
		}
		roles[name] = f.data
	}
	slices.Sort(roots)
	return roots, roles
}

// put writes a file of the metadata, and counts it.
func (m *mirror) put(ctx context.Context, name string, data []byte) error {
	m.result.Copied++
	m.result.Bytes += int64(len(data))
	if m.o.Dry {
		return nil
	}
	return m.mend(ctx, name, data)
}

func (m *mirror) putRoots(ctx context.Context, versions []int64) error {
	for _, v := range versions {
		name := versioned(v, metadata.ROOT)
		if err := m.put(ctx, name, m.seen.read[name].data); err != nil {
			return err
		}
	}
	return nil
}

// early is how many of the new roots come before the timestamp.
func (m *mirror) early(roots []int64) int {
	if m.before == nil {
		return len(roots)
	}
	byVersion := map[int64]*rootMeta{}
	for _, root := range m.now.roots {
		byVersion[root.Signed.Version] = root
	}
	n := 0
	for n < len(roots) && m.before.goodBy(byVersion[roots[n]]) {
		n++
	}
	for i := n; i <= len(roots); i++ {
		// The root that clients have while the new timestamp is there and root i is not.
		by := m.before.root()
		if i > 0 {
			by = byVersion[roots[i-1]]
		}
		if i < len(roots) && !m.now.goodBy(by) {
			return len(roots)
		}
	}
	return n
}

// goodBy tells whether the keys of a root have signed the top-level roles.
func (s *signed) goodBy(root *rootMeta) bool {
	return root != nil && root.VerifyDelegate(metadata.TIMESTAMP, s.timestamp) == nil &&
		root.VerifyDelegate(metadata.SNAPSHOT, s.snapshot) == nil && root.VerifyDelegate(metadata.TARGETS, s.roles[metadata.TARGETS]) == nil
}

// commit replaces what has to change together, as closely together as it can be: files that waited, then timestamp. If that fails, each
// release.json that the metadata lists is put back.
func (m *mirror) commit(ctx context.Context) error {
	if bytes.Equal(m.expected(), m.now.timestampData) {
		return nil
	}
	specs, err := m.ready(ctx)
	if err != nil {
		return err
	}
	for _, w := range specs {
		if err = m.replace(ctx, w.folder+"/"+specName, w.old, w.data); err != nil {
			break
		}
	}
	if err == nil {
		err = m.replace(ctx, timestampName, m.expected(), m.now.timestampData)
	}
	if err != nil && len(specs) > 0 {
		return errors.Join(err, (&transaction{repo: m.to, base: m.before}).restore(context.WithoutCancel(ctx), specs))
	}
	return err
}

// expected is the timestamp that is to be replaced.
func (m *mirror) expected() []byte {
	if m.o.Before != nil {
		return nil
	}
	return m.was
}

// replace replaces a file that still is as it was.
func (m *mirror) replace(ctx context.Context, name string, was, data []byte) error {
	m.result.Copied++
	m.result.Bytes += int64(len(data))
	if m.o.Dry {
		return nil
	}
	return m.to.swap(ctx, name, was, data)
}

// ready replaces the files that waited, but for release.json, which it only reads, so that those can follow at once.
func (m *mirror) ready(ctx context.Context) (specs []*rewrite, err error) {
	defer m.tally.count(m.result)
	slices.SortFunc(m.tally.later, func(a, b *mirrorFile) int { return strings.Compare(a.path, b.path) })
	for _, f := range m.tally.later {
		folder, ok := strings.CutSuffix(f.path, "/"+specName)
		if !ok {
			continue
		}
		w := &rewrite{folder: folder}
		if w.old, err = m.to.read(ctx, f.name, updater.SpecLimit); err != nil {
			return nil, err
		}
		if w.data, err = m.readSpec(ctx, f); err != nil {
			return nil, err
		}
		specs = append(specs, w)
	}
	for _, f := range m.tally.later {
		if strings.HasSuffix(f.path, "/"+specName) {
			continue
		}
		version, same, err := m.compare(ctx, f)
		if err == nil && !same {
			err = m.copy(ctx, f, version)
		}
		if err != nil {
			return nil, err
		}
	}
	return specs, nil
}

// readSpec reads a release.json of the source.
func (m *mirror) readSpec(ctx context.Context, f *mirrorFile) ([]byte, error) {
	fetcher := store.Fetcher{Readers: []store.Reader{m.src}}
	return fetcher.ReadFile(ctx, f.name, updater.SpecLimit, func(data []byte) error {
		if err := f.want.VerifyLengthHashes(data); err != nil {
			return fmt.Errorf("%w: %w", updater.ErrRejected, errOther)
		}
		return nil
	})
}

// plainChannels makes the documents that people read those that are signed.
func (m *mirror) plainChannels(ctx context.Context, taken map[string]*metadata.TargetFiles) error {
	for _, path := range slices.Sorted(maps.Keys(taken)) {
		f := taken[path]
		name, sum, ok := channelOf(path)
		if !ok || sum != "" {
			continue
		}
		if m.o.Since && m.vouched(path, f) {
			m.result.Present++
			continue
		}
		if size, there := m.there[path]; there && size == f.Length && m.to.checkFile(ctx, path, f) == nil {
			m.result.Present++
			continue
		}
		data, err := m.to.read(ctx, servedName(path, f), channel.MaxSize)
		if m.o.Dry && errors.Is(err, fs.ErrNotExist) {
			data, err = nil, nil
		}
		if err != nil {
			return fmt.Errorf("channel %s: %w", name, err)
		}
		if err := m.put(ctx, path, data); err != nil {
			return err
		}
	}
	return nil
}

// mend writes a file of the metadata. Where its name is taken by other bytes those are damaged: nobody was able to use them.
func (m *mirror) mend(ctx context.Context, name string, data []byte) error {
	_, taken := m.there[name]
	if !taken {
		return m.to.create(ctx, name, data)
	}
	is, version, err := m.to.readVersion(ctx, name, targetsLimit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrTooLarge) {
		return err
	}
	if err == nil && bytes.Equal(is, data) {
		return nil
	}
	return m.to.settle(ctx, name, data, store.PutIf(ctx, m.to.store, name, bytes.NewReader(data), version))
}
