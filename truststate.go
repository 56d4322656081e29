package updater

import (
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/store"
)

// trustState is the metadata that this machine has seen: a folder, and what
// could not be written to it. Without a writable folder it is as good as the folder's content.
type trustState struct {
	fs     disk.FS
	warn   func(error)
	folder string
	read   bool      // the folder may be read
	lock   disk.File // nil: the folder is not ours to write
	memory map[string][]byte
	clock  time.Time // the machine's
	floor  time.Time // the latest time that is certain to be past

	// The repository that is asked, and how.
	ctx     context.Context
	from    *store.Fetcher
	noCache bool
}

// made is a time that has passed wherever this code runs; each release of the library brings a
// later one. The time of the program's own build would be later still, but reading it
// (runtime/debug.ReadBuildInfo) costs each program 10 KB.
var made = time.Date(2026, time.November, 24, 0, 0, 0, 0, time.UTC)

const (
	clockFile = "clock" // the last time at which a refresh succeeded
	clockStep = time.Hour
)

// openTrustState never fails: what cannot be used is reported, and done without.
func (c *Config) openTrustState(ctx context.Context, target string) *trustState {
	s := &trustState{fs: c.fs, warn: c.warn, ctx: ctx, memory: map[string][]byte{}, clock: c.now(), floor: made}
	s.folder = filepath.Join(c.stateFolder(target), "metadata")
	if err := s.open(filepath.Dir(target)); err != nil {
		c.warn(cause.Errorf("what the repository was seen to serve will not be remembered: %w", onDisk(err)))
	}
	if s.read {
		if data, err := s.Load(clockFile); err == nil {
			if seen, err := time.Parse(time.RFC3339, string(data)); err == nil && seen.After(s.floor) {
				s.floor = seen
			}
		}
	}
	return s
}

// open makes the folder and takes its lock. A folder that others may write is not even read.
func (s *trustState) open(targetDir string) error {
	state := filepath.Dir(s.folder)
	err := swap.OpenFolder(s.fs, state, targetDir)
	if err == nil {
		err = swap.OpenFolder(s.fs, s.folder, targetDir)
	}
	if err != nil {
		s.read = swap.CheckFolder(s.fs, state, targetDir) == nil && swap.CheckFolder(s.fs, s.folder, targetDir) == nil
		return err
	}
	s.read = true
	lock, err := s.fs.OpenLock(filepath.Join(s.folder, "lock"))
	if err != nil {
		return err
	}
	ok, err := lock.TryLock()
	if err != nil || !ok {
		lock.Close()
		return err // another process is refreshing, and remembers what it sees
	}
	s.lock = lock
	return nil
}

func (s *trustState) close() {
	if s.lock != nil {
		s.lock.Unlock()
		s.lock.Close()
	}
}

// Load implements [tuf.Env].
func (s *trustState) Load(name string) ([]byte, error) {
	if data, ok := s.memory[name]; ok {
		return data, nil
	}
	if !s.read {
		return nil, fs.ErrNotExist
	}
	f, err := s.fs.Open(filepath.Join(s.folder, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, tuf.MaxTargets+1))
}

// Store implements [tuf.Env].
func (s *trustState) Store(name string, data []byte) error {
	s.memory[name] = data
	if s.lock == nil {
		return nil
	}
	if err := disk.WriteFile(s.fs, filepath.Join(s.folder, name), data); err != nil {
		return cause.Errorf("remembering %s: %w", name, onDisk(err))
	}
	return nil
}

// Now implements [tuf.Env].
func (s *trustState) Now() time.Time {
	if s.floor.After(s.clock) {
		return s.floor
	}
	return s.clock
}

// Warn implements [tuf.Env].
func (s *trustState) Warn(err error) { s.warn(err) }

// seen remembers the time, at which nothing had expired: the clock may be set back later.
func (s *trustState) seen() {
	if s.lock == nil || s.clock.Before(s.floor.Add(clockStep)) {
		return
	}
	if err := s.Store(clockFile, []byte(s.clock.UTC().Format(time.RFC3339))); err != nil {
		s.warn(err)
	}
}

// explain adds to an error what usually is behind it.
func (s *trustState) explain(err error) error {
	expired, ok := cause.Find[*tuf.ExpiredError](err)
	switch {
	case !ok:
		return err
	case s.floor.After(s.clock):
		return cause.Errorf("no news: %w, and this machine's clock says %s, which has been before", err, s.clock.Format(time.RFC3339))
	}
	return cause.Errorf("no news: %w; it has to be signed anew by the %s key", err, expired.Role)
}

// Fetch implements [tuf.Env].
func (s *trustState) Fetch(name string, limit int64) ([]byte, error) {
	data, err := s.from.ReadAll(s.ctx, store.Download{Name: "metadata/" + name, Limit: limit, NoCache: s.noCache}, nil)
	if err != nil {
		return nil, cause.Errorf("fetching metadata: %w", err)
	}
	return data, nil
}
