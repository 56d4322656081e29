package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// mirrorFile is a file that is signed, or that a release.json names which nobody signed.
type mirrorFile struct {
	path string // as the metadata has it
	name string // as it is served
	want *metadata.TargetFiles
}

// copyAll copies the files of releases and the documents of channels: what release.json names first, then release.json. What the destination's
// metadata lists with other bytes waits.
func (m *mirror) copyAll(ctx context.Context, taken map[string]*metadata.TargetFiles) error {
	m.calm = m.before != nil && m.settled()
	var artifacts, specs []*mirrorFile
	for _, path := range slices.Sorted(maps.Keys(taken)) {
		f := &mirrorFile{path, servedName(path, taken[path]), taken[path]}
		if strings.HasSuffix(path, "/"+specName) {
			specs = append(specs, f)
		} else {
			artifacts = append(artifacts, f)
		}
	}
	return m.bringAll(ctx, artifacts, specs)
}

// bringAll sees to it that files are there, one list after the other.
func (m *mirror) bringAll(ctx context.Context, lists ...[]*mirrorFile) error {
	for i, list := range lists {
		lists[i] = slices.DeleteFunc(list, m.present)
		m.result.Present += len(list) - len(lists[i])
	}
	m.tally = newTally(m.o.Progress, lists...)
	defer m.tally.count(m.result)
	for _, list := range lists {
		if err := m.parallel(ctx, list, m.bring); err != nil {
			return err
		}
	}
	return nil
}

// present tells whether a file is known to be there: it has the size that it should have, and the destination's own metadata vouches
// for the rest. What it does not list may be left from a mirror that was interrupted, of a release that was published again since.
func (m *mirror) present(f *mirrorFile) bool {
	if m.o.Since && m.vouched(f.path, f.want) {
		return true
	}
	size, ok := m.there[f.name]
	if !ok || size != f.want.Length || m.o.Check {
		return false
	}
	return m.calm && m.vouched(f.path, f.want)
}

// vouched tells whether the destination's metadata says the same of a file as the source's.
func (m *mirror) vouched(path string, want *metadata.TargetFiles) bool {
	was := m.listed[path]
	return was != nil && was.Hashes.Equal(want.Hashes)
}

// settled tells whether nobody has begun to write what comes after the destination's metadata: then all that this lists is as it says. A
// mirror that was interrupted leaves a newer snapshot.
func (m *mirror) settled() bool {
	current := m.before.snapshot.Signed.Version
	for name := range m.there {
		number, role, _ := strings.Cut(strings.TrimPrefix(name, metadataFolder), ".")
		if v, err := strconv.ParseInt(number, 10, 64); err == nil && role == metadata.SNAPSHOT+".json" && v > current {
			return false
		}
	}
	return true
}

// parallel runs a step for each file, Jobs at once, until one fails.
func (m *mirror) parallel(ctx context.Context, list []*mirrorFile, step func(context.Context, *mirrorFile) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := m.o.Jobs
	if jobs <= 0 {
		jobs = defaultJobs
	}
	todo := make(chan *mirrorFile)
	var wg sync.WaitGroup
	for range min(jobs, len(list)) {
		wg.Go(func() {
			for f := range todo {
				if err := step(ctx, f); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, f := range list {
		select {
		case todo <- f:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

const defaultJobs = 4

// bring sees to it that a file is there, unless it has to wait.
func (m *mirror) bring(ctx context.Context, f *mirrorFile) error {
	version, same, err := m.compare(ctx, f)
	if err != nil {
		return err
	}
	if same {
		m.tally.present(f)
		return nil
	}
	if m.listed[f.path] != nil && !m.vouched(f.path, f.want) && version != "" {
		m.tally.wait(f)
		return nil
	}
	return m.copy(ctx, f, version)
}

// compare hashes the file that is there. version is what a write of it has to replace.
func (m *mirror) compare(ctx context.Context, f *mirrorFile) (version string, same bool, err error) {
	if _, ok := m.there[f.name]; !ok {
		return "", false, nil
	}
	object, err := m.to.store.Open(ctx, f.name, store.Request{NoCache: true})
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer object.Body.Close()
	if object.Size >= 0 && object.Size != f.want.Length {
		return object.Version, false, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(object.Body, f.want.Length+1))
	if err != nil {
		return "", false, err
	}
	return object.Version, n == f.want.Length && f.want.Hashes.Equal(metadata.Hashes{"sha256": h.Sum(nil)}), nil
}

// copy copies a file, once more past caches if it was not the right one.
func (m *mirror) copy(ctx context.Context, f *mirrorFile, version string) error {
	if m.o.Dry {
		m.tally.copied(f)
		return nil
	}
	err := m.stream(ctx, f, version, false)
	if errors.Is(err, updater.ErrRejected) || m.o.Before != nil && errors.Is(err, fs.ErrNotExist) {
		err = m.stream(ctx, f, version, true)
	}
	if errors.Is(err, store.ErrConflict) {
		// Another mirror, or one's own first try whose answer was lost.
		if cerr := m.to.checkFile(ctx, f.name, f.want); cerr == nil {
			m.tally.present(f)
			return nil
		}
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err == nil {
		m.tally.copied(f)
	}
	return err
}

// stream hands a file on as it arrives. The destination gets its end, and so gives it its name, only if it is what was signed.
func (m *mirror) stream(ctx context.Context, f *mirrorFile, version string, noCache bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	arrived := make(chan error, 1)
	go func() {
		err := m.download(ctx, f, pw, noCache)
		arrived <- err
		pw.CloseWithError(err)
	}()
	err := store.PutIf(ctx, m.to.store, f.name, &sizedReader{pr, f.want.Length}, version)
	if err != nil {
		pr.CloseWithError(err)
	}
	if derr := <-arrived; derr != nil {
		return derr
	}
	return err
}

// sizedReader tells stores that need it how much is to come.
type sizedReader struct {
	io.Reader
	size int64
}

// Size is the number of bytes that are read if no error comes between.
func (r *sizedReader) Size() int64 { return r.size }

func (m *mirror) download(ctx context.Context, f *mirrorFile, w io.Writer, noCache bool) error {
	p := &passing{w: w, hash: sha256.New()}
	var seen int64
	from := m.src
	if m.o.Before != nil && !noCache && m.vouched(f.path, f.want) {
		from = m.o.Before // nearer, and if it is not right the source is asked next
	}
	fetcher := store.Fetcher{Readers: []store.Reader{from}}
	err := fetcher.Download(ctx, store.Download{Name: f.name, Limit: f.want.Length, Spool: p, NoCache: noCache,
		Accept: func() error {
			if p.sent != f.want.Length || p.at != p.sent || !f.want.Hashes.Equal(metadata.Hashes{"sha256": p.hash.Sum(nil)}) {
				return errOther
			}
			return nil
		},
		Progress: func(done, _ int64) {
			m.tally.read(f, max(done-seen, 0))
			seen = max(seen, done)
		}})
	if errors.Is(err, errOther) || errors.Is(err, store.ErrTooLarge) {
		m.tally.read(f, -seen)
		return fmt.Errorf("%s from %s: %w: %w", f.name, from, updater.ErrRejected, errOther)
	}
	return err
}

var errOther = errors.New("it is not the file that was signed")

// passing is a spool that keeps nothing: what arrives is handed on. Where a download has to begin anew, what was handed on already is
// left out; the hash is that of what was handed on, so that two different files never make one.
type passing struct {
	w               io.Writer
	hash            hash.Hash
	source, version string
	at, sent        int64
}

// Have implements [store.Spool].
func (p *passing) Have() (source, version string, size int64) { return p.source, p.version, p.at }

// Begin implements [store.Spool].
func (p *passing) Begin(source, version string) error {
	p.source, p.version, p.at = source, version, 0
	return nil
}

func (p *passing) Write(b []byte) (int, error) {
	fresh := b[min(max(p.sent-p.at, 0), int64(len(b))):]
	p.at += int64(len(b))
	if len(fresh) == 0 {
		return len(b), nil
	}
	p.hash.Write(fresh)
	n, err := p.w.Write(fresh)
	p.sent += int64(n)
	return len(b), err
}
