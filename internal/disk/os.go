package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotRegular is wrapped by the error for a path that names a symbolic
// link, a folder, a FIFO or a device where a regular file belongs.
var ErrNotRegular = errors.New("not a regular file")

// OS is the real file system.
var OS FS = &osFS{}

// Pointers, and no embedding in osFile: for methods of values, and for promoted ones, the compiler adds
// others that come to 13 KB in every program.
type osFS struct{}

type osFile struct{ f *os.File }

func (*osFS) Open(name string) (File, error)     { return openRegular(name, os.O_RDONLY) }
func (*osFS) OpenLock(name string) (File, error) { return openRegular(name, os.O_RDWR|os.O_CREATE) }

func (*osFS) OpenAppend(name string) (File, error) {
	f, err := openRegular(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (*osFS) Create(name string) (File, error) {
	f, err := openNoFollow(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

// openRegular looks before it opens, because opening a device can have
// effects of its own, and again afterwards, because the name may have changed
// hands in between.
func openRegular(name string, flag int) (File, error) {
	before, err := os.Lstat(name)
	switch {
	case err == nil && !before.Mode().IsRegular():
		return nil, notRegular(name, before.Mode())
	case err != nil && !(errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0):
		return nil, err
	}

	f, err := openNoFollow(name, flag)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !after.Mode().IsRegular() {
		err = notRegular(name, after.Mode())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &osFile{f}, nil
}

func notRegular(name string, mode fs.FileMode) error {
	return &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w but %s", ErrNotRegular, kind(mode))}
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

func (*osFS) Lstat(name string) (fs.FileInfo, error)     { return os.Lstat(name) }
func (*osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (*osFS) Mkdir(name string) error                    { return os.Mkdir(name, 0o700) }
func (*osFS) Link(oldname, newname string) error         { return os.Link(oldname, newname) }
func (*osFS) Rename(oldname, newname string) error       { return rename(oldname, newname) }
func (*osFS) Remove(name string) error                   { return os.Remove(name) }
func (*osFS) SyncDir(name string) error                  { return syncDir(name) }
func (*osFS) Free(name string) (uint64, error)           { return free(name) }

func (o *osFile) Read(p []byte) (int, error)  { return o.f.Read(p) }
func (o *osFile) Write(p []byte) (int, error) { return o.f.Write(p) }
func (o *osFile) Close() error                { return o.f.Close() }
func (o *osFile) Stat() (fs.FileInfo, error)  { return o.f.Stat() }
func (o *osFile) Truncate(size int64) error   { return o.f.Truncate(size) }
func (o *osFile) Sync() error                 { return o.f.Sync() }

func (o *osFile) Seek(offset int64, whence int) (int64, error) { return o.f.Seek(offset, whence) }

func (o *osFile) Xattrs() ([]string, error)                { return listXattr(o.f) }
func (o *osFile) Xattr(name string) ([]byte, error)        { return getXattr(o.f, name) }
func (o *osFile) SetXattr(name string, value []byte) error { return setXattr(o.f, name, value) }
func (o *osFile) TryLock() (bool, error)                   { return tryLock(o.f) }
func (o *osFile) Unlock() error                            { return unlock(o.f) }
func (o *osFile) Reserve(size int64) error                 { return reserve(o.f, size) }
func (o *osFile) Chmod(mode fs.FileMode) error             { return chmod(o.f, mode) }
func (o *osFile) Chown(uid, gid int) error                 { return chown(o.f, uid, gid) }

func (o *osFile) Map(size int64) ([]byte, func() error, error) {
	if size == 0 {
		return nil, func() error { return nil }, nil
	}
	if size < 0 || int64(int(size)) != size {
		return nil, nil, &fs.PathError{Op: "map", Path: o.f.Name(), Err: errors.ErrUnsupported}
	}
	return mapFile(o.f, int(size))
}

// WriteFile makes name hold data, atomically and durably: after a crash at
// any point it holds the old bytes or the new ones, and when WriteFile has
// returned nil, the new ones. The temporary file is name+".new"; whatever lies
// there is removed first, never followed.
func WriteFile(fsys FS, name string, data []byte) error {
	temp := name + ".new"
	f, err := CreateFresh(fsys, temp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// CreateFresh creates the file name, first removing what a crashed process,
// or someone who wants it followed, left there. A folder is not removed:
// that is an error for which errors.Is(err, fs.ErrExist) holds.
func CreateFresh(fsys FS, name string) (File, error) {
	f, err := fsys.Create(name)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	info, lerr := fsys.Lstat(name)
	if lerr != nil && !errors.Is(lerr, fs.ErrNotExist) {
		return nil, lerr
	}
	if lerr == nil && info.IsDir() {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fmt.Errorf("%w: a folder is in the way", fs.ErrExist)}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return fsys.Create(name)
}
