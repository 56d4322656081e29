//go:build unix

package updater

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// absolute is [filepath.Abs] without the look at $PWD, which costs each program 4 KB.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	folder, err := syscall.Getwd()
	return filepath.Join(folder, path), err
}

// reexec executes path in the place of this process, with the same arguments.
func reexec(path string) error {
	for range 50 {
		err := syscall.Exec(path, os.Args, os.Environ())
		if !errors.Is(err, syscall.ETXTBSY) { // somebody who forks holds it open for writing for a moment
			return &os.PathError{Op: "exec", Path: path, Err: err}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return &os.PathError{Op: "exec", Path: path, Err: syscall.ETXTBSY}
}
