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
		return resolved, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", cause.Errorf("resolving the target %s: %w", target, err)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(target))
	if errors.Is(err, fs.ErrNotExist) {
		return "", cause.Errorf("%w: %s", ErrTargetMissing, target)
	}
	if err != nil {
		return "", cause.Errorf("resolving the target %s: %w", target, err)
	}
	return filepath.Join(folder, filepath.Base(target)), nil
}

// stillUnclaimed tells whether no package manager owned the target when an update put there what still stands there: with a package that came since
// a file of its own would have come. So packages are looked through (a thousand lists, or a run of rpm) at the first update alone.
func (c *Config) stillUnclaimed(target string) bool {
	state, err := swap.ReadState(c.fs, c.stateFolder(target))
	if err != nil {
		return false
	}
	info, err := c.fs.Lstat(target)
	return err == nil && state.Unclaimed.Holds(target, info)
}

// checkPackages refuses, or through the old doors warns of, a target that a package manager installed. It tells whether it is certain that none did.
func (c *Config) checkPackages(ctx context.Context, target string) (unclaimed bool, err error) {
	if c.allowManaged {
		return false, nil
	}
	claim, err := c.system.Owner(ctx, target)
	if err != nil {
		c.warn(cause.Errorf("looking for a package manager that owns %s: %w", target, err))
	}
	if claim == nil {
		return err == nil, nil
	}
	err = cause.Errorf("%w: %s installed %s", ErrManaged, claim.Manager, target)
	if claim.Package != "" {
		err = cause.Errorf("%w: %s installed %s with the package %s", ErrManaged, claim.Manager, target, claim.Package)
	}
	return false, c.refuse(cause.Errorf("%w; upgrade it with %q", err, claim.Upgrade))
}

// checkImage refuses, or warns of, a target that is part of a container's image.
func (c *Config) checkImage(target string) error {
	if c.allowContainer || !c.system.InImage(target) {
		return nil
	}
	return c.refuse(cause.Errorf("%w: %s", ErrContainer, target))
}

// refuse returns the error, through the old doors only warns of it.
func (c *Config) refuse(err error) error {
	if !c.legacy {
		return err
	}
	c.warn(err)
	return nil
}
