//go:build darwin || freebsd || linux || netbsd

package disk

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func listXattr(f *os.File) ([]string, error) {
	list, err := readXattr(func(buf []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), buf) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "list attributes of", Path: f.Name(), Err: err}
	}
	var names []string
	for _, name := range strings.Split(string(list), "\x00") {
		if name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

func getXattr(f *os.File, name string) ([]byte, error) {
	value, err := readXattr(func(buf []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buf) })
	if err != nil {
		return nil, &os.PathError{Op: "read attribute " + name + " of", Path: f.Name(), Err: err}
	}
	return value, nil
}

// readXattr asks for the size first and, should the value grow in between, again.
func readXattr(read func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = read(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

func setXattr(f *os.File, name string, value []byte) error {
	if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
		return &os.PathError{Op: "set attribute " + name + " of", Path: f.Name(), Err: err}
	}
	return nil
}
