// Package swap replaces an executable file so that at every instant the old
// or the new one, whole, stands at its path.
//
// [Open] takes the lock and mends what a crash left. [Swap.Create] makes a
// staged file beside the target; the new bytes are written to it, and
// [Staged.Seal] checks them and carries over what the old file had: mode, owner, access
// list, extended attributes, capabilities. [Staged.Commit] swaps:
//
//	link(target, .NAME.updater-bak)          the old file gets a second name
//	rename(.NAME.updater-bak, NAME.backup)
//	fsync(folder)
//	write state.json, durably
//	rename(.NAME.updater-new, target)        the point of no return
//	fsync(folder)
//
// [Swap.Rollback] does the same with the backup in place of the staged file,
// and keeps the backup.
//
// Where a running executable can be neither replaced nor deleted, only renamed
// (Windows), the target is renamed to the backup and then the staged file to the
// target. Between the two there is no target; state.json says what was under
// way, and the next Open finishes or undoes it.
//
// All names are fixed, so that what a crash leaves is found again, and all
// files are created exclusively: a link or FIFO that someone planted is removed,
// never followed.
package swap

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

var (
	// ErrBusy: another process, or another part of this one, holds the lock.
	ErrBusy = errors.New("another update of this file is running")

	// ErrTargetMissing: there is no file at the target's path.
	ErrTargetMissing = errors.New("the target does not exist")

	// ErrUnsafeFolder: others may replace files in the folder of the target
	// or the state folder.
	ErrUnsafeFolder = errors.New("the folder can be changed by other users")

	// ErrObstructed: something that is not ours, a folder for example, has
	// a name that is needed.
	ErrObstructed = errors.New("something else is in the way")

	// ErrAttributes: capabilities, or setuid and setgid bits, cannot be
	// carried over, and without them the new file would not work as the old.
	ErrAttributes = errors.New("the file's privileges cannot be carried over")

	// ErrTampered: the staged file is no longer what was verified.
	ErrTampered = errors.New("the staged file was changed by someone else")

	// ErrHash: the staged bytes, or the backup's, do not have the hash that they should have.
	ErrHash = errors.New("the binary has another checksum than it should have")

	// ErrBackup: the backup is not the file that it was. It comes with ErrHash.
	ErrBackup = errors.New("the backup was changed after it was made")

	// ErrNotDurable: the swap is done, but the folder could not be synced,
	// so a power loss may bring the old file back.
	ErrNotDurable = errors.New("installed, durability unknown")

	// ErrNoBackup: there is nothing to roll back to.
	ErrNoBackup = errors.New("there is no backup")
)

// UndoError says that a swap failed between its two renames and that the
// attempt to undo it failed too: the target is missing until the next Open.
// Only the rename-away strategy can fail so.
type UndoError struct {
	Swap error // what failed
	Undo error // why it could not be undone
}

func (e *UndoError) Error() string {
	return fmt.Sprintf("%v; putting the old file back failed as well: %v", e.Swap, e.Undo)
}

func (e *UndoError) Unwrap() []error { return []error{e.Swap, e.Undo} }

// Options say what is to be swapped, and how.
type Options struct {
	FS disk.FS

	// Target is the absolute path of the file to be replaced, with symbolic
	// links resolved.
	Target string

	// StateDir is the state folder, [StateDir] of Target when empty.
	StateDir string

	// RenameAway selects the strategy for systems on which a running
	// executable cannot be replaced.
	RenameAway bool

	// AllowMissing lets Open succeed without a target, for a Rollback that
	// brings it back.
	AllowMissing bool

	// Backups is how many are kept, at least one: NAME.backup is the newest,
	// NAME.backup.2 the one before it, and so on.
	Backups int

	// Unclaimed is the target as it was when no package manager owned it, for state.json to remember that. It is nil
	// where one does, or may.
	Unclaimed fs.FileInfo

	// Warn is told what went wrong without stopping anything; it may be nil.
	Warn func(error)
}

// Swap is the right to change the target: it holds the lock.
type Swap struct {
	fs         disk.FS
	target     string
	dir        string
	stateDir   string
	renameAway bool
	missingOK  bool
	keepBackup bool
	backups    int
	unclaimed  fs.FileInfo
	warn       func(error)
	lock       disk.File
	state      State
}

// Open takes the lock of the target and finishes or undoes what a crash left.
// The state folder is created if need be.
//
// Errors: ErrBusy, ErrTargetMissing, ErrUnsafeFolder, ErrObstructed, or that of
// the file system.
func Open(o Options) (*Swap, error) {
	s := &Swap{
		fs:         o.FS,
		target:     o.Target,
		dir:        filepath.Dir(o.Target),
		stateDir:   o.StateDir,
		renameAway: o.RenameAway,
		missingOK:  o.AllowMissing,
		backups:    o.Backups,
		unclaimed:  o.Unclaimed,
		warn:       o.Warn,
	}
	if s.stateDir == "" {
		s.stateDir = StateDir(o.Target)
	}
	if s.warn == nil {
		s.warn = func(error) {}
	}

	if err := CheckPlace(s.fs, s.target); err != nil {
		return nil, err
	}
	if s.unknown() {
		return nil, cause.Errorf("%w: %s", ErrTargetMissing, s.target)
	}
	if err := s.openState(); err != nil {
		return nil, err
	}
	if err := s.acquire(); err != nil {
		return nil, err
	}
	if err := s.heal(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// unknown tells whether there is neither a target nor anything to bring it back from. A mistyped path gets no state folder.
func (s *Swap) unknown() bool {
	return s.absent(s.target) && s.absent(s.stateDir) && (!s.missingOK || s.absent(Backup(s.target)))
}

//go:noinline
func (s *Swap) absent(name string) bool {
	_, err := s.fs.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// KeepBackup has Commit leave the backup as it is, if there is one: what it holds is proven,
// and the target, which the staged file replaces, is not.
func (s *Swap) KeepBackup() { s.keepBackup = true }

// acquire takes the lock. The lock file is never removed: whoever has it open
// would hold a lock that nobody else can see.
func (s *Swap) acquire() error {
	path := filepath.Join(s.stateDir, "lock")
	f, err := s.fs.OpenLock(path)
	if errors.Is(err, disk.ErrNotRegular) {
		return cause.Errorf("%w: lock file: %w", ErrObstructed, err)
	}
	if err != nil {
		return cause.Errorf("opening the lock file: %w", err)
	}
	ok, err := f.TryLock()
	if err == nil && !ok {
		err = ErrBusy
	}
	if err != nil {
		f.Close()
		return cause.Errorf("locking %s: %w", path, err)
	}
	s.lock = f
	return nil
}

// Close gives the lock back. It may be called twice.
func (s *Swap) Close() error {
	if s.lock == nil {
		return nil
	}
	err := cause.Join(s.lock.Unlock(), s.lock.Close())
	s.lock = nil
	return err
}

// heal finishes or undoes a swap that a crash cut short, and removes what else it left.
func (s *Swap) heal() error {
	s.readState()

	_, err := s.fs.Lstat(s.target)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.restore()
	}
	if err != nil && !(s.missingOK && errors.Is(err, ErrTargetMissing)) {
		return err
	}

	for _, name := range []string{s.tempName(), s.backupTempName()} {
		if err := s.removeLeftover(name); err != nil {
			return err
		}
	}
	if s.renameAway {
		s.removeAway()
	}
	return nil
}

// removeLeftover removes what may lie at one of our own names.
func (s *Swap) removeLeftover(name string) error {
	info, err := s.fs.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return cause.Errorf("%w: %s is a folder", ErrObstructed, name)
	}
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cause.Errorf("removing what an earlier update left: %w", err)
	}
	return nil
}

// uncomparable, as a field, keeps the compiler from writing a function that compares two of a struct, which comes to half a
// kilobyte in each program.
type uncomparable [0]func()
