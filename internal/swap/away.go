package swap

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
)

// commitAway swaps where a running executable can only be renamed. state.json is
// the journal: if the second rename is never reached, the next Open finds no target and
// reads there which hash the staged file must have to take its place.
func (s *Swap) commitAway(state State) error {
	if err := s.writeState(state); err != nil {
		return err
	}
	if s.keepBackup {
		if _, err := s.fs.Lstat(Backup(s.target)); err == nil {
			return s.discard()
		}
	}
	if err := s.rotate(); err != nil {
		return cause.Errorf("keeping the backup: %w", err)
	}
	if err := s.clearAway(Backup(s.target)); err != nil {
		return cause.Errorf("making room for the backup: %w", err)
	}
	return s.exchange(Backup(s.target))
}

// discard puts the staged file in the place of a target of which no backup is wanted.
func (s *Swap) discard() error {
	away, err := s.awayName()
	if err != nil {
		return err
	}
	err = s.exchange(away)
	if err == nil || errors.Is(err, ErrNotDurable) {
		s.fs.Remove(away) // if it is running, a later Open does it
	}
	return err
}

// exchange renames the target to away and the staged file to the target, and
// undoes the first if the second fails.
func (s *Swap) exchange(away string) error {
	if err := s.fs.Rename(s.target, away); err != nil {
		return cause.Errorf("moving the target away: %w", err)
	}
	if err := s.fs.Rename(s.tempName(), s.target); err != nil {
		err = cause.Errorf("putting the new file in place: %w", err)
		if undo := s.fs.Rename(away, s.target); undo != nil {
			return &UndoError{Swap: err, Undo: undo}
		}
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return cause.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// clearAway frees a name. What runs under it cannot be removed, only renamed;
// a later Open removes it once it has ended.
func (s *Swap) clearAway(name string) error {
	err := s.fs.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	away, aerr := s.awayName()
	if aerr != nil {
		return aerr
	}
	return s.fs.Rename(name, away)
}

const awayLimit = 100

// awayName is a free name for a file that still runs.
func (s *Swap) awayName() (string, error) {
	for i := range awayLimit {
		name := ownName(s.target, "-old."+strconv.Itoa(i))
		if _, err := s.fs.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
	}
	return "", cause.Errorf("%w: %d old copies of %s are still running", ErrObstructed, awayLimit, s.target)
}

// removeAway removes what was moved away and has ended since.
func (s *Swap) removeAway() {
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return
	}
	prefix := filepath.Base(ownName(s.target, "-old."))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Type().IsRegular() {
			s.fs.Remove(filepath.Join(s.dir, e.Name())) // still running: next time
		}
	}
}

// restore puts a file at the target's path again, after a crash between two
// renames. Forward if the staged file is whole, else back to the backup.
// What was not under way is not mended: a target that someone removed stays so.
func (s *Swap) restore() error {
	missing := cause.Errorf("%w: %s", ErrTargetMissing, s.target)
	if s.state.Installed.SHA256 == "" || !s.renameAway {
		return missing
	}
	sum, err := HashFile(s.fs, s.tempName())
	if err == nil && sum == s.state.Installed.SHA256 {
		if err := s.fs.Rename(s.tempName(), s.target); err != nil {
			return cause.Errorf("finishing the last update: %w", err)
		}
		s.warn(errors.New("the last update was cut short and is finished now"))
		return s.fs.SyncDir(s.dir)
	}
	if err := s.fromBackup(); err != nil {
		return cause.Errorf("%w, and the last update cannot be undone: %w", missing, err)
	}
	s.warn(errors.New("the last update was cut short and is undone now"))
	return nil
}

// fromBackup gives the target's path, at which nothing stands, to the backup as
// well.
func (s *Swap) fromBackup() error {
	if err := s.secondName(Backup(s.target), s.tempName()); err != nil {
		return err
	}
	if err := s.fs.Rename(s.tempName(), s.target); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}
