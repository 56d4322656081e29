//go:build darwin || dragonfly || freebsd || linux

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

func free(name string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	// Signed on some systems, where it goes below zero once only root may write.
	if int64(st.Bavail) < 0 {
		return 0, nil
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
