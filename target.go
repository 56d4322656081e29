package updater

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/swap"
)

// self is the path of the running program: as it was called, if that leads to
// it, since programs execute os.Args[0] after an update.
func self() (string, error) {
	executable, err := os.Executable()
	for _, called := range callable(os.Args[0]) {
		if err != nil && samePath(called, called) || err == nil && samePath(called, executable) {
			return absolute(called)
		}
	}
	if err != nil {
		return "", cause.Errorf("finding the running program, please use TargetFile(): %w", err)
	}
	return original(executable), nil
}

// original is the path that a running program was started from, though an update may have renamed
// its file since: to the backup, or to where the files lie that cannot be removed while they run.
func original(path string) string {
	folder, name := filepath.Split(strings.TrimSuffix(path, " (deleted)"))
	base, was := strings.CutSuffix(name, ".backup")
	if hidden, ok := strings.CutPrefix(name, "."); ok && !was {
		base, _, was = strings.Cut(hidden, ".updater-old.")
	}
	if !was {
		return filepath.Join(folder, name)
	}
	if _, err := os.Stat(swap.StateDir(filepath.Join(folder, base))); err != nil {
		return filepath.Join(folder, name) // it only looks like one of ours
	}
	return filepath.Join(folder, base)
}

// callable are the paths that a program may have been started from by this name. (os/exec would look
// it up as well, and costs every program 40 KB for it.)
func callable(name string) []string {
	if filepath.Base(name) != name {
		return []string{name}
	}
	var paths []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		paths = append(paths, filepath.Join(folder, name))
		if runtime.GOOS == "windows" {
			paths = append(paths, filepath.Join(folder, name+".exe"))
		}
	}
	if runtime.GOOS == "windows" { // which looks in the current folder as well
		paths = append(paths, name, name+".exe")
	}
	return paths
}

func samePath(a, b string) bool {
	ia, erra := os.Stat(a)
	ib, errb := os.Stat(b)
	return erra == nil && errb == nil && os.SameFile(ia, ib)
}

// resolve follows symbolic links to the file that will be replaced. A missing
// file is none of its business: the folder is resolved then.
func resolve(target string) (string, error) {
	resolved, err := filepath.EvalSymlinks(target)
	if err == nil {
		if info, err := os.Lstat(resolved); err == nil && !info.Mode().IsRegular() {
			return "", cause.Errorf("%w: the target %s is no regular file", ErrObstructed, resolved)
		}
		return resolved, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", cause.Errorf("resolving the target %s: %w", target, onDisk(err))
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(target))
	if to, lerr := os.Readlink(target); lerr == nil {
		target, err = target+" is a link that leads nowhere, to "+to, fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", cause.Errorf("%w: %s", ErrTargetMissing, target)
	}
	if err != nil {
		return "", cause.Errorf("resolving the target %s: %w", target, onDisk(err))
	}
	return filepath.Join(folder, filepath.Base(target)), nil
}

// checkPackages refuses, or through the old doors warns of, a target that a package manager installed. If it is certain that none did it
// returns what stood there then, for state.json to remember.
//
// What an update put at a path that nobody owned is nobody's: with a package that comes later a file of its own comes. So packages are
// looked through, a thousand lists or by a run of rpm, at the first update alone.
func (c *Config) checkPackages(ctx context.Context, target string) (unclaimed fs.FileInfo, err error) {
	if c.allowManaged {
		return nil, nil
	}
	info, err := c.fs.Lstat(target) // before the search, as whatever comes meanwhile is another file
	if err != nil {
		info = nil // which others tell of
	}
	if info != nil && c.knownUnclaimed(target, info) {
		return info, nil
	}
	claim, certain := c.findClaim(ctx, target)
	if claim != nil {
		return nil, c.refuseOrWarn(claim)
	}
	if !certain {
		info = nil
	}
	return info, nil
}

// knownUnclaimed tells whether state.json says so of the file that stands at the target. A folder that others may write is not asked.
func (c *Config) knownUnclaimed(target string, info fs.FileInfo) bool {
	folder := c.stateFolder(target)
	if swap.CheckFolder(c.fs, folder, filepath.Dir(target)) != nil {
		return false
	}
	state, err := swap.ReadState(c.fs, folder)
	return err == nil && state.Unclaimed.Fits(target, info)
}

// findClaim looks for a package manager that installed the target, and returns an error that tells of it. Certain is false where one could not be asked.
func (c *Config) findClaim(ctx context.Context, target string) (claim error, certain bool) {
	found, err := c.system.Owner(ctx, target)
	if err != nil {
		c.warn(cause.Errorf("looking for a package manager that owns %s: %w", target, err))
	}
	if found == nil {
		return nil, err == nil
	}
	claim = cause.Errorf("%w: %s installed %s", ErrManaged, found.Manager, target)
	if found.Package != "" {
		claim = cause.Errorf("%w: %s installed %s with the package %s", ErrManaged, found.Manager, target, found.Package)
	}
	return cause.Errorf("%w; upgrade it with %q", claim, found.Upgrade), true
}

// checkImage refuses, or warns of, a target that is part of a container's image.
func (c *Config) checkImage(target string) error {
	if c.allowContainer {
		return nil
	}
	return c.refuseOrWarn(c.findImage(target))
}

func (c *Config) findImage(target string) error {
	if c.system.InImage(target) {
		return cause.Errorf("%w: %s", ErrContainer, target)
	}
	return nil
}

// refuseOrWarn returns what speaks against an update, or if there is any, through the old doors, warns of it.
func (c *Config) refuseOrWarn(err error) error {
	if err != nil && c.legacy {
		c.warn(err)
		return nil
	}
	return err
}
