package probation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// errRecord: the record was read, and is none that this program knows.
var errRecord = errors.New("invalid record")

// Store is the folder in which it is all kept: the target's state folder.
type Store struct {
	FS  disk.FS
	Dir string
}

func (s Store) path(name string) string { return filepath.Join(s.Dir, name) }

const (
	recordName  = "probation.json"
	backName    = "probation-back.json"
	historyName = "history.json"
	lockName    = "probation.lock"
)

// Read reads the record. Where there is none it is empty.
func (s Store) Read() (*Record, error) {
	r := &Record{}
	err := s.read(recordName, r)
	if err == nil && r.Format != format && r.Format != 0 {
		err = cause.Errorf("%w: format %d, this program knows %d", errRecord, r.Format, format)
	}
	if err != nil {
		return &Record{}, cause.Errorf("reading %s: %w", s.path(recordName), err)
	}
	return r, nil
}

// Mend is Read, and puts a record that makes no sense aside. It tells so through warn.
func (s Store) Mend(warn func(error)) (*Record, error) {
	r, err := s.Read()
	if !errors.Is(err, errRecord) {
		return r, err
	}
	warn(cause.Errorf("going on without %s, kept as %s.unreadable: %w", recordName, recordName, err))
	return r, s.FS.Rename(s.path(recordName), s.path(recordName)+".unreadable")
}

func (s Store) read(name string, into any) error {
	f, err := s.FS.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return err
	}
	if len(data) > limit {
		return cause.Errorf("%w: more than %d bytes", errRecord, limit)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return cause.Errorf("%w: %w", errRecord, err)
	}
	return nil
}

func (s Store) write(name string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = disk.WriteFile(s.FS, s.path(name), append(data, '\n'))
	}
	if err != nil {
		return cause.Errorf("writing %s: %w", s.path(name), err)
	}
	return nil
}

// Put writes the record durably.
func (s Store) Put(r *Record) error {
	r.Format = format
	return s.write(recordName, r)
}

// PrepareBack writes what [Store.MarkBack] will need.
func (s Store) PrepareBack(r *Record, reason string) error {
	t := *r.Current
	t.Back, t.Starts = reason, max(1, t.Starts)
	back := *r
	back.Format, back.Current = format, &t
	return s.write(backName, &back)
}

// MarkBack makes what [Store.PrepareBack] wrote the record, if it is of trial n. It needs no room on the disk.
func (s Store) MarkBack(n int) error {
	back := &Record{}
	if err := s.read(backName, back); err != nil {
		return err
	}
	if back.Current == nil || back.Current.N != n {
		return cause.Errorf("%s: %w", s.path(backName), fs.ErrNotExist)
	}
	if err := s.FS.Rename(s.path(backName), s.path(recordName)); err != nil {
		return err
	}
	return s.FS.SyncDir(s.Dir)
}

// Sweep removes what processes left that were killed while a trial ended.
func (s Store) Sweep() {
	entries, err := s.FS.ReadDir(s.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "life-") || e.Name() == historyName+".new" {
			s.FS.Remove(s.path(e.Name()))
		}
	}
}

// DropBack removes what [Store.PrepareBack] wrote.
func (s Store) DropBack() {
	s.FS.Remove(s.path(backName)) // of a trial that is over it does nothing
}

// History is the evidence of the last trials, oldest first.
func (s Store) History() ([]Evidence, error) {
	var list []Evidence
	if err := s.read(historyName, &list); err != nil {
		return nil, cause.Errorf("reading %s: %w", s.path(historyName), err)
	}
	return list, nil
}

// Remember adds evidence. Of the same trial, which a crash may have had end twice, the last counts.
func (s Store) Remember(e Evidence) error {
	list, err := s.History()
	if err != nil && !errors.Is(err, errRecord) {
		return err
	}
	var kept []Evidence
	for _, old := range list {
		if old.N != e.N {
			kept = append(kept, old)
		}
	}
	kept = append(kept, e)
	return s.write(historyName, kept[max(0, len(kept)-recent):])
}

// ErrBusy: somebody has held the lock for too long.
var ErrBusy = errors.New("the record of the probation is locked")

// Lock takes the lock of the record, which is held for moments only. sleep is called between tries.
func (s Store) Lock(tries int, sleep func()) (unlock func(), err error) {
	f, err := s.FS.OpenLock(s.path(lockName))
	if err != nil {
		return nil, cause.Errorf("opening the lock of the probation: %w", err)
	}
	for range tries {
		ok, err := f.TryLock()
		if err != nil {
			f.Close()
			return nil, cause.Errorf("locking the record of the probation: %w", err)
		}
		if ok {
			return func() { f.Unlock(); f.Close() }, nil
		}
		sleep()
	}
	f.Close()
	return nil, ErrBusy
}

func (s Store) life(trial, n int) string { return s.path(fmt.Sprintf("life-%d-%d", trial, n)) }

// Live takes the lock by which others see that the process of start n lives. It is to be
// held as long as it does.
func (s Store) Live(trial, n int) (disk.File, error) {
	f, err := s.FS.OpenLock(s.life(trial, n))
	if err != nil {
		return nil, err
	}
	if _, err := f.TryLock(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Alive tells whether the process of start n lives. Who cannot say so is taken for dead: a start too many
// is counted then, not one too few.
func (s Store) Alive(trial, n int) bool {
	f, err := s.FS.OpenLock(s.life(trial, n))
	if err != nil {
		return false
	}
	defer f.Close()
	ok, err := f.TryLock()
	if err != nil || !ok {
		return err == nil
	}
	f.Unlock()
	s.FS.Remove(s.life(trial, n))
	return false
}

// Bury removes what start n left.
func (s Store) Bury(trial, n int) { s.FS.Remove(s.life(trial, n)) }
