package updater

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// self is the path of the running program: as it was called, if that leads to
// it, since programs execute os.Args[0] after an update.
func self() (string, error) {
	executable, err := os.Executable()
	called, lerr := exec.LookPath(os.Args[0])
	if lerr == nil || errors.Is(lerr, exec.ErrDot) {
		called, lerr = filepath.Abs(called)
	}
	switch {
	case err != nil && lerr != nil:
		return "", fmt.Errorf("finding the running program, please use TargetFile(): %w", err)
	case err != nil:
		return called, nil
	case lerr == nil && samePath(called, executable):
		return called, nil
	}
	return executable, nil
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
		return "", fmt.Errorf("resolving the target %s: %w", target, err)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(target))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s", ErrTargetMissing, target)
	}
	if err != nil {
		return "", fmt.Errorf("resolving the target %s: %w", target, err)
	}
	return filepath.Join(folder, filepath.Base(target)), nil
}

// checkOwner refuses, or through the old doors warns of, a target that someone else looks after.
func (c *Config) checkOwner(ctx context.Context, target string) error {
	claim, err := c.system.Owner(ctx, target)
	if err != nil {
		c.warn(fmt.Errorf("looking for a package manager that owns %s: %w", target, err))
	}
	if claim != nil && !c.allowManaged {
		err := fmt.Errorf("%w: %s installed %s", ErrManaged, claim.Manager, target)
		if claim.Package != "" {
			err = fmt.Errorf("%w: %s installed %s with the package %s", ErrManaged, claim.Manager, target, claim.Package)
		}
		err = fmt.Errorf("%w; upgrade it with %q", err, claim.Upgrade)
		if !c.legacy {
			return err
		}
		c.warn(err)
	}
	if !c.allowContainer && c.system.InImage(target) {
		err := fmt.Errorf("%w: %s", ErrContainer, target)
		if !c.legacy {
			return err
		}
		c.warn(err)
	}
	return nil
}
