//go:build unix

package store

import (
	"io/fs"
	"syscall"
)

const nonBlocking = syscall.O_NONBLOCK

// identity tells a file from the one that it replaced, should both have been written within one tick of the clock.
func identity(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
