package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/delta"
)

// Deltas says from which versions of the same platform deltas to a release are made. The zero value makes none.
type Deltas struct {
	// Last is how many of the versions before it, as versions are ordered. Those that are no numbers
	// with dots have no order, and have to be named.
	Last int

	// From names versions. Each has to be there.
	From []string

	// Note, if not nil, is told why there is no delta from a version, and what makes one larger than it has to be.
	Note func(text string)
}

func (d Deltas) note(format string, args ...any) {
	if d.Note != nil {
		d.Note(fmt.Sprintf(format, args...))
	}
}

const (
	maxDelta = 32 << 20 // bytes; clients keep a delta in memory

	// A delta has to save a fifth of the download: it costs the publisher time, and the client a second try if it
	// does not work.
	worthOf, worthIn = 4, 5
)

// deltaMaker makes the deltas to one release.
type deltaMaker struct {
	repo     *Repo
	to       *Release // gets them
	name     string   // of its files, without extension
	want     Deltas
	fresh    func() ([]byte, error) // its binary, read when it is needed
	progress func(file string, done, total int64)
}

// addDeltas makes the deltas to a binary whose archives are written.
func (r *Repo) addDeltas(ctx context.Context, a Addition, f io.ReadSeeker, spec *updater.Spec) error {
	m := deltaMaker{
		repo: r, to: &Release{Version: a.Version, OS: a.OS, Arch: a.Arch, Spec: spec}, name: a.Name, want: a.Deltas, progress: a.Progress,
		fresh: func() ([]byte, error) {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
			data, err := io.ReadAll(io.LimitReader(f, spec.Size+1))
			if err == nil && fileOf(data).SHA256 != spec.Sha256Hash {
				err = fmt.Errorf("%w: %s", ErrChanged, a.Path)
			}
			return data, err
		},
	}
	_, err := m.make(ctx)
	return err
}

// make puts the deltas that are wanted and not there beside the release's archives. It tells how many.
func (m *deltaMaker) make(ctx context.Context) (made int, err error) {
	bases, err := m.repo.bases(ctx, m.to, m.want)
	if err != nil {
		return 0, err
	}
	bases = slices.DeleteFunc(bases, func(b base) bool { return m.has(b.Spec.Sha256Hash) })
	if len(bases) == 0 {
		return 0, nil
	}
	fresh, err := m.fresh()
	if err != nil {
		return 0, err
	}
	before := len(m.to.Spec.Deltas)
	for _, b := range bases {
		if err := m.add(ctx, b, fresh); err != nil {
			return 0, fmt.Errorf("a delta from %s: %w", b.Release, err)
		}
	}
	return len(m.to.Spec.Deltas) - before, nil
}

// has tells whether no delta from a binary is needed: it is there, or it is the release's own.
func (m *deltaMaker) has(from string) bool {
	return from == m.to.Spec.Sha256Hash ||
		slices.ContainsFunc(m.to.Spec.Deltas, func(d updater.Delta) bool { return d.From == from })
}

// add makes one delta, and keeps it if it is worth it.
func (m *deltaMaker) add(ctx context.Context, from base, fresh []byte) error {
	old, err := m.repo.binary(ctx, from.Release)
	if err != nil && (from.named || ctx.Err() != nil) {
		return err
	}
	if err != nil {
		m.want.note("no delta from %s to %s: %v", from.Version, m.to, err)
		return nil
	}
	for _, remark := range remarks(old, fresh) {
		m.want.note("%s: %s", m.to, remark)
	}
	d := updater.Delta{File: deltaName(m.name, from.Spec.Sha256Hash), From: from.Spec.Sha256Hash, Version: from.Version}
	patch, _, err := delta.Diff(old, fresh, delta.Options{Progress: m.steps(d.File, int64(len(fresh)))})
	if errors.Is(err, delta.ErrLimit) {
		m.want.note("no delta from %s to %s: %v", from.Version, m.to, err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if n := int64(len(patch)); n > min(maxDelta, m.fullSize()*worthOf/worthIn) {
		m.want.note("no delta from %s to %s: its %d bytes save too little, the whole archive has %d", from.Version, m.to, n, m.fullSize())
		return nil
	}
	return m.put(ctx, d, patch)
}

func (m *deltaMaker) put(ctx context.Context, d updater.Delta, patch []byte) error {
	folder, err := updater.Folder(m.to.Version, m.to.OS, m.to.Arch)
	if err != nil {
		return err
	}
	var artifact updater.Artifact
	for i := 2; i < maxTaken; i++ {
		artifact, err = m.repo.put(ctx, folder+"/"+d.File, func(w io.Writer) error {
			_, err := io.Copy(w, bytes.NewReader(patch))
			return err
		})
		var other *takenError
		if !errors.As(err, &other) {
			break
		}
		d.File = deltaName(fmt.Sprintf("%s-%d", m.name[:min(len(m.name), 190)], i), d.From)
	}
	if err != nil {
		return err
	}
	d.Size, d.SHA256 = artifact.Size, artifact.SHA256
	m.to.Spec.Deltas = append(m.to.Spec.Deltas, d)
	return nil
}

// fullSize is that of the archive that a client fetches where there is no delta.
func (m *deltaMaker) fullSize() int64 {
	for _, a := range decodable(m.to.Spec) {
		if a.Size > 0 {
			return a.Size
		}
	}
	return m.to.Spec.Size
}

// steps reports progress in bytes of the binary, as the archives do.
func (m *deltaMaker) steps(file string, size int64) func(done, all int) {
	if m.progress == nil {
		return nil
	}
	return func(done, all int) { m.progress(file, size*int64(done)/int64(max(all, 1)), size) }
}

// deltaName tells bases apart by their hash: a base that is replaced gets another delta. It stays below what a
// file name may have.
func deltaName(name, from string) string {
	return name[:min(len(name), 200)] + "." + from[:16] + ".delta"
}

// archiveName is the name of a release's files, without extension.
func archiveName(spec *updater.Spec) string {
	return strings.TrimSuffix(spec.BinaryPath, ".bz2")
}
