package swap

import (
	"errors"
	"io/fs"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// Rollback makes the backup the target again; the backup stays. What was the target is gone.
//
// Errors: ErrNoBackup, ErrBackup and ErrHash if the backup is not the file that it was, ErrUnsafeFolder if that is
// unknown and it is somebody else's,
// and those of Commit.
func (s *Swap) Rollback() error {
	if err := s.checkForRollback(); err != nil {
		return err
	}
	missing := s.absent(s.target)
	if !missing {
		same, err := s.sameFile(s.target, Backup(s.target))
		if err != nil || same {
			return err // rolled back already
		}
	}
	if err := s.secondName(Backup(s.target), s.tempName()); err != nil {
		return cause.Errorf("staging the backup: %w", err)
	}
	if err := s.rollback(missing); err != nil {
		if !errors.Is(err, ErrNotDurable) {
			s.fs.Remove(s.tempName())
		}
		return err
	}
	return nil
}

func (s *Swap) rollback(missing bool) error {
	file, err := Identify(s.fs, s.tempName())
	if err != nil {
		return err
	}
	want := s.state.Previous
	// An update that failed between backup and state.json left what is installed as the backup.
	ours := want.Is(file) || missing && s.state.Installed.Is(file)
	if want.Known() && !ours {
		return cause.Errorf("%w: %w: sha256 is %s and crc32 %s, not %s%s", ErrBackup, ErrHash, file.SHA256, file.CRC32, want.SHA256, want.CRC32)
	}
	back := Binary{Version: s.state.VersionOf(file), SHA256: file.SHA256}
	state := State{Installed: back, Previous: back, Time: time.Now().UTC().Truncate(time.Second)}
	// A full disk must not keep a broken binary in place. What state.json said before is
	// true after the rollback as well, and leads to the backup if a crash cuts it short.
	if err := s.writeState(state); err != nil {
		s.warn(cause.Errorf("rolling back without a note of it: %w", err))
	}
	if s.renameAway && !missing {
		return s.discard()
	}
	if err := s.fs.Rename(s.tempName(), s.target); err != nil {
		return cause.Errorf("putting the backup in place: %w", err)
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return cause.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

func (s *Swap) checkForRollback() error {
	f, err := s.fs.Open(Backup(s.target))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cause.Errorf("%w: %s", ErrNoBackup, Backup(s.target))
	case errors.Is(err, disk.ErrNotRegular):
		return cause.Errorf("%w: %w", ErrObstructed, err)
	case err != nil:
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return cause.Errorf("%w: %s is empty", ErrNoBackup, Backup(s.target))
	}
	if s.state.Previous.Known() {
		return nil // then its bytes tell
	}
	// In a folder like /tmp anybody may have put it there.
	folder, err := s.fs.Lstat(s.dir)
	if err != nil {
		return err
	}
	others := []fs.FileInfo{folder}
	if target, err := s.fs.Lstat(s.target); err == nil {
		others = append(others, target)
	}
	if uid, foreign := belongs(info, others...); foreign {
		return cause.Errorf("%w: %s belongs to user %d", ErrUnsafeFolder, Backup(s.target), uid)
	}
	return nil
}
