package swap

import (
	"errors"
	"io/fs"
	"strconv"

	"github.com/choria-io/go-updater/internal/cause"
)

// older is the name of the n-th newest backup, from 2.
//
//go:noinline
func older(target string, n int) string { return Backup(target) + "." + strconv.Itoa(n) }

// rotate makes room for a new backup: the one that is there becomes the second newest, and so on; those above
// the number that is kept go. The newest keeps its name until the new one takes it.
func (s *Swap) rotate() error {
	for n := max(s.backups, 1) + 1; ; n++ {
		err := s.fs.Remove(older(s.target, n))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			s.warn(cause.Errorf("removing an old backup: %w", err)) // it may be running
			break
		}
	}
	if s.backups < 2 || s.rotated() {
		return nil
	}
	for n := s.backups; n > 2; n-- {
		if err := s.fs.Rename(older(s.target, n-1), older(s.target, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.keepSecond()
}

// rotated tells whether an update that failed afterwards made room already.
func (s *Swap) rotated() bool {
	same, err := s.sameFile(Backup(s.target), older(s.target, 2))
	return err == nil && same
}

// keepSecond gives the newest backup a second name, or where running files can only be renamed, another one.
func (s *Swap) keepSecond() error {
	second := older(s.target, 2)
	if _, err := s.fs.Lstat(Backup(s.target)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if s.renameAway {
		return s.fs.Rename(Backup(s.target), second)
	}
	if err := s.secondName(Backup(s.target), s.backupTempName()); err != nil {
		return err
	}
	return s.fs.Rename(s.backupTempName(), second)
}
