//go:build aix || (solaris && !illumos)

package disk

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock has only the lock that belongs to the process here: it keeps out
// other processes, not other goroutines.
func tryLock(f *os.File) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error {
	lock := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock)
}
