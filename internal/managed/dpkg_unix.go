//go:build unix

package managed

import (
	"bytes"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// listRoom is for nearly all lists, in bytes, and more than a path may have.
const listRoom = 128 << 10

// eachList reads the list of each package in turn and hands it to visit, long ones in pieces of whole lines, until visit returns true. Lists that
// cannot be read are left out, and the last such error returned. A machine has a thousand of them, so each costs as few system
// calls as can be.
func eachList(folder string, visit func(name string, lines []byte) bool) (failed error) {
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
		found, err := eachPiece(fd, file, buf, func(lines []byte) bool { return visit(name, lines) })
		if found {
			return nil
		}
		if err != nil && err != unix.ENOENT { // a package that is removed meanwhile owns nothing
			failed = &fs.PathError{Op: "read", Path: folder + "/" + file, Err: err}
		}
	}
	return failed
}

// eachPiece reads a file of a folder, as many whole lines at a time as there is room for.
func eachPiece(folder int, name string, buf []byte, visit func(lines []byte) bool) (found bool, err error) {
	fd, err := again(func() (int, error) {
		return unix.Openat(folder, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) // a FIFO is no reason to wait
	})
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	for n := 0; ; {
		got, err := again(func() (int, error) { return unix.Read(fd, buf[n:]) })
		if err != nil {
			return false, err
		}
		if n += got; n < len(buf) {
			return visit(buf[:n]), nil // a file is read short at its end alone
		}
		end := bytes.LastIndexByte(buf, '\n') + 1
		if end == 0 {
			return false, unix.EFBIG // no list of dpkg's
		}
		if visit(buf[:end]) {
			return true, nil
		}
		n = copy(buf, buf[end:])
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
