package store

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxTurns is how many links and ".." one name may lead through.
const maxTurns = 255

var errOutside = errors.New("a link leads out of the folder")

// openBeneath opens a file below a folder for reading. Links are followed as long as they stay in the folder.
//
// It does what [os.Root] does, which costs each program 25 KB, in the same way: the kernel is never given more than one
// element of a path, beside a folder that is open, and never follows it. Where an element is a link, its
// text takes its place, and the walk begins anew at the top. So nobody can exchange what was looked at for something else.
func openBeneath(folder, name string) (*os.File, error) {
	top, err := openAt(unix.AT_FDCWD, folder, unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: folder, Err: err}
	}
	defer unix.Close(top)
	parts, err := split(name), error(unix.ELOOP)
	for range maxTurns {
		fd, at, link, werr := walk(top, parts)
		switch {
		case werr != nil:
			err = werr
		case fd >= 0:
			return os.NewFile(uintptr(fd), name), nil
		case strings.HasPrefix(link, "/"), link == "" && at == 0:
			err = errOutside
		case link == "": // "..", after what is no link
			parts = append(parts[:at-1:at-1], parts[at+1:]...)
			continue
		default:
			parts = append(append(parts[:at:at], split(link)...), parts[at+1:]...)
			continue
		}
		break
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: err}
}

// split leaves out what means the folder that one is in.
func split(path string) (parts []string) {
	for _, part := range strings.Split(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

// walk opens one part after the other. Where one is a link or "..", there is no file (-1): link is the text of the one, empty for the
// other, and at where it stands.
func walk(top int, parts []string) (fd, at int, link string, err error) {
	if len(parts) == 0 { // the folder itself
		return -1, 0, "", fs.ErrNotExist
	}
	fd = top
	for at, part := range parts {
		flags := unix.O_NOFOLLOW | nonBlocking // a FIFO in the folder must not hang the client
		if at < len(parts)-1 {
			flags |= unix.O_DIRECTORY
		}
		next := -1
		if part != ".." {
			next, err = openAt(fd, part, flags)
		}
		if err != nil {
			if link = readLink(fd, part); link != "" {
				err = nil
			}
		}
		if fd != top {
			unix.Close(fd)
		}
		if next < 0 {
			return -1, at, link, err
		}
		fd = next
	}
	return fd, 0, "", nil
}

func openAt(folder int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(folder, name, flags|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// readLink is empty for what is no link.
func readLink(folder int, name string) string {
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(folder, name, text)
	if err != nil || n == len(text) {
		return ""
	}
	return string(text[:n])
}
