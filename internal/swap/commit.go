package swap

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// Commit makes the sealed file the target and the target the backup. version
// is that of the new file and previous what is known of the old one, for state.json;
// both may be empty. waited says that the caller let time pass since Seal, so that
// the staged bytes are read once more.
//
// After ErrNotDurable the new file is in place. After an UndoError no file
// is, until the next Open. After any other error the old file is.
func (st *Staged) Commit(version string, previous Binary, waited bool) error {
	if !st.sealed {
		return errors.New("committing the staged file: it is not sealed")
	}
	if err := st.verify(waited); err != nil {
		return err
	}
	s := st.s
	state := State{
		Installed: Binary{Version: version, SHA256: st.sealedSum},
		Previous:  s.keep(previous),
		Time:      time.Now().UTC().Truncate(time.Second),
	}
	if s.stillUnclaimed() {
		state.Unclaimed = &Mark{Path: s.target, Size: st.stamp.Size, Modified: time.Unix(0, st.stamp.Modified).UTC()}
	}

	var err error
	if s.renameAway {
		err = s.commitAway(state)
	} else {
		err = s.commit(state)
	}
	if err == nil || errors.Is(err, ErrNotDurable) {
		st.file.Close()
		st.file = nil
	}
	return err
}

// stillUnclaimed tells whether the target is what it was when no package manager owned it: a package may have come since.
func (s *Swap) stillUnclaimed() bool {
	if s.unclaimed == nil {
		return false
	}
	info, err := s.fs.Lstat(s.target)
	return err == nil && disk.SameFile(info, s.unclaimed) && info.ModTime().Equal(s.unclaimed.ModTime())
}

func (s *Swap) commit(state State) error {
	if err := s.backUp(); err != nil {
		return cause.Errorf("making the backup: %w", err)
	}
	if err := s.writeState(state); err != nil {
		return err
	}
	if err := s.fs.Rename(s.tempName(), s.target); err != nil {
		return cause.Errorf("putting the new file in place: %w", err)
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return cause.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// keep is what state.json says of the backup: that it is the target that was, unless another one is kept.
func (s *Swap) keep(previous Binary) Binary {
	if s.keepBackup && s.state.Previous.Known() {
		return s.state.Previous
	}
	return previous
}

// backUp makes the target the backup as well. A second name costs nothing and
// keeps every attribute; where the file system has none the backup is a copy.
func (s *Swap) backUp() error {
	if s.keepBackup {
		if _, err := s.fs.Lstat(Backup(s.target)); err == nil {
			return nil
		}
	}
	same, err := s.sameFile(s.target, Backup(s.target))
	if err != nil || same {
		return err // rename of two names of one file does nothing and leaves both
	}
	if err := s.rotate(); err != nil {
		return err
	}
	if err := s.secondName(s.target, s.backupTempName()); err != nil {
		return err
	}
	if err := s.fs.Rename(s.backupTempName(), Backup(s.target)); err != nil {
		s.fs.Remove(s.backupTempName())
		return err
	}
	return s.fs.SyncDir(s.dir)
}

func (s *Swap) sameFile(a, b string) (bool, error) {
	ia, err := s.fs.Lstat(a)
	if err != nil {
		return false, err
	}
	ib, err := s.fs.Lstat(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return disk.SameFile(ia, ib), nil
}

// secondName links from to the name to, or copies it where links are refused:
// file systems without them, and hardened kernels for files of others.
func (s *Swap) secondName(from, to string) error {
	if err := s.removeLeftover(to); err != nil {
		return err
	}
	err := s.fs.Link(from, to)
	if err == nil {
		return nil
	}
	if cerr := s.copy(from, to); cerr != nil {
		return cause.Errorf("copying, as linking failed (%v): %w", err, cerr)
	}
	return nil
}

// copy makes a durable copy of a file with all its attributes.
func (s *Swap) copy(from, to string) (err error) {
	attrs, err := s.attributesOf(from)
	if err != nil {
		return err
	}
	in, err := s.fs.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := disk.CreateFresh(s.fs, to)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			s.fs.Remove(to)
		}
	}()
	if _, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 128<<10)); err != nil {
		return err
	}
	if err := attrs.give(out, s.warn); err != nil {
		return err
	}
	return out.Sync()
}
