package swap

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// StateDir is the state folder of a target where none is named.
func StateDir(target string) string { return ownName(target, "") }

// Backup is where the previous binary of a target is kept.
// (Inlined at its many places it would cost each program a kilobyte.)
//
//go:noinline
func Backup(target string) string { return target + ".backup" }

func (s *Swap) tempName() string       { return ownName(s.target, "-new") }
func (s *Swap) backupTempName() string { return ownName(s.target, "-bak") }

func ownName(target, suffix string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".updater"+suffix)
}

// CheckPlace refuses a target in a folder in which anybody may replace files: what was
// verified in it could be exchanged a moment later. With the sticky bit, as
// /tmp has it, only a file's owner may. It also refuses what would stop the backup's rename.
//
// Errors: ErrTargetMissing, ErrUnsafeFolder, ErrObstructed, or that of the file system.
func CheckPlace(fsys disk.FS, target string) error {
	dir := filepath.Dir(target)
	info, err := fsys.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return cause.Errorf("%w: %s", ErrTargetMissing, target)
	}
	if err != nil {
		return err
	}
	if worldWritable(info) {
		return cause.Errorf("%w: %s has mode %v", ErrUnsafeFolder, dir, info.Mode())
	}
	info, err = fsys.Lstat(Backup(target))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return cause.Errorf("%w: %s is a folder", ErrObstructed, Backup(target))
	}
	return nil
}

func worldWritable(info fs.FileInfo) bool {
	if _, _, unix := disk.Owner(info); !unix {
		return false // the mode is made up there
	}
	return info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
}

func (s *Swap) openState() error { return OpenFolder(s.fs, s.stateDir, s.dir) }

// OpenFolder creates a folder for state, or checks that the one that is there is
// fit to be trusted: a real folder that belongs to us, to root or to the owner of the
// folder trusted (who can replace the target anyway), and that nobody else writes.
//
// Errors: ErrObstructed, ErrUnsafeFolder, or that of the file system.
func OpenFolder(fsys disk.FS, folder, trusted string) error {
	err := fsys.Mkdir(folder)
	if err == nil {
		return fsys.SyncDir(filepath.Dir(folder))
	}
	if !errors.Is(err, fs.ErrExist) {
		return cause.Errorf("creating the state folder: %w", err)
	}
	return CheckFolder(fsys, folder, trusted)
}

// CheckFolder is what OpenFolder checks of a folder that is there.
func CheckFolder(fsys disk.FS, folder, trusted string) error {
	info, err := fsys.Lstat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return cause.Errorf("%w: the state folder %s is no folder", ErrObstructed, folder)
	}
	if _, _, unix := disk.Owner(info); !unix {
		return nil
	}
	parent, err := fsys.Lstat(trusted)
	if err != nil {
		return err
	}
	if uid, foreign := belongs(info, parent); foreign {
		return cause.Errorf("%w: the state folder %s belongs to user %d", ErrUnsafeFolder, folder, uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return cause.Errorf("%w: the state folder %s has mode %v", ErrUnsafeFolder, folder, info.Mode())
	}
	return nil
}

// belongs tells whose a file is, and whether that is somebody else than we, root, and the owners of others.
func belongs(info fs.FileInfo, others ...fs.FileInfo) (uid int, foreign bool) {
	uid, _, unix := disk.Owner(info)
	foreign = unix && uid != os.Geteuid() && uid != 0
	for _, other := range others {
		owner, _, _ := disk.Owner(other)
		foreign = foreign && uid != owner
	}
	return uid, foreign
}
