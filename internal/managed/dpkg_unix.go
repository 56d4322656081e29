//go:build unix

package managed

import (
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	listRoom  = 1 << 20  // bytes, for all lists that there are, nearly
	listLimit = 64 << 20 // larger ones are no lists of dpkg
)

// eachList reads the list of each package in turn, until visit returns true. Lists that cannot be read are left out, and the
// last such error returned. A machine has a thousand of them, so each costs as few system calls as can be.
func eachList(folder string, visit func(name string, list []byte) bool) (failed error) {
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	fd, buf := int(dir.Fd()), make([]byte, listRoom)
	for _, file := range names {
		name, ok := strings.CutSuffix(file, ".list")
		if !ok {
			continue
		}
		var n int
		if buf, n, err = readAt(fd, file, buf); err != nil {
			failed = &fs.PathError{Op: "read", Path: folder + "/" + file, Err: err}
			continue
		}
		if visit(name, buf[:n]) {
			return nil
		}
	}
	return failed
}

// readAt reads a file of a folder into buf, or into a larger one, which it returns.
func readAt(folder int, name string, buf []byte) (_ []byte, n int, err error) {
	fd, err := again(func() (int, error) {
		return unix.Openat(folder, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) // a FIFO is no reason to wait
	})
	if err != nil {
		return buf, 0, err
	}
	defer unix.Close(fd)
	for {
		got, err := again(func() (int, error) { return unix.Read(fd, buf[n:]) })
		if err != nil {
			return buf, 0, err
		}
		if n += got; n < len(buf) {
			return buf, n, nil // a file is read short at its end alone
		}
		if len(buf) >= listLimit {
			return buf, 0, unix.EFBIG
		}
		buf = append(buf, make([]byte, len(buf))...)
	}
}

// again makes a call until no signal interrupts it.
func again(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}
