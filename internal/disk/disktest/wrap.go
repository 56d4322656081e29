// Package disktest makes a disk fail, end the process or be recorded, one operation at a time.
package disktest

import (
	"io"
	"io/fs"
	"sync"

	"github.com/choria-io/go-updater/internal/disk"
)

// Op is one operation on a file system.
type Op struct {
	N    int    // its place, from 1
	Kind string // the method, in lower case: "rename", "write", ...
	Path string
	To   string // the second path of link and rename

	File   int    // which open file, from 1; files opened twice count twice
	Offset int64  // where a write began
	Data   []byte // of a write; valid during the call only
	Size   int64  // of a truncate
	Mode   fs.FileMode
}

// Hooks are called around each operation. Either may be nil.
type Hooks struct {
	// Before may end the process, or return an error, which the operation
	// then fails with. A write is half done when Before is called.
	Before func(Op) error

	// After is called when an operation has succeeded.
	After func(Op)
}

// Wrap returns a file system whose operations go through hooks.
func Wrap(fsys disk.FS, hooks Hooks) disk.FS {
	return &wrapped{fs: fsys, hooks: hooks}
}

type wrapped struct {
	fs    disk.FS
	hooks Hooks

	mu    sync.Mutex
	n     int
	files int
}

// do counts the operation, asks whether it may happen, and reports it.
func (w *wrapped) do(op Op, act func() error) error {
	w.mu.Lock()
	w.n++
	op.N = w.n
	w.mu.Unlock()
	if w.hooks.Before != nil {
		if err := w.hooks.Before(op); err != nil {
			return &fs.PathError{Op: op.Kind, Path: op.Path, Err: err}
		}
	}
	if err := act(); err != nil {
		return err
	}
	if w.hooks.After != nil {
		w.hooks.After(op)
	}
	return nil
}

func (w *wrapped) open(kind, name string, open func(string) (disk.File, error)) (disk.File, error) {
	w.mu.Lock()
	w.files++
	id := w.files
	w.mu.Unlock()
	var f disk.File
	err := w.do(Op{Kind: kind, Path: name, File: id}, func() (err error) { f, err = open(name); return })
	if err != nil {
		return nil, err
	}
	return &file{File: f, w: w, id: id, name: name}, nil
}

func (w *wrapped) Open(name string) (disk.File, error) { return w.open("open", name, w.fs.Open) }
func (w *wrapped) OpenLock(name string) (disk.File, error) {
	return w.open("openlock", name, w.fs.OpenLock)
}
func (w *wrapped) Create(name string) (disk.File, error) { return w.open("create", name, w.fs.Create) }
func (w *wrapped) OpenAppend(name string) (disk.File, error) {
	return w.open("openappend", name, w.fs.OpenAppend)
}

func (w *wrapped) Lstat(name string) (info fs.FileInfo, err error) {
	err = w.do(Op{Kind: "lstat", Path: name}, func() error { info, err = w.fs.Lstat(name); return err })
	return info, err
}

func (w *wrapped) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = w.do(Op{Kind: "readdir", Path: name}, func() error { entries, err = w.fs.ReadDir(name); return err })
	return entries, err
}

func (w *wrapped) Free(name string) (n uint64, err error) {
	err = w.do(Op{Kind: "free", Path: name}, func() error { n, err = w.fs.Free(name); return err })
	return n, err
}

func (w *wrapped) Mkdir(name string) error {
	return w.do(Op{Kind: "mkdir", Path: name}, func() error { return w.fs.Mkdir(name) })
}

func (w *wrapped) Link(from, to string) error {
	return w.do(Op{Kind: "link", Path: from, To: to}, func() error { return w.fs.Link(from, to) })
}

func (w *wrapped) Rename(from, to string) error {
	return w.do(Op{Kind: "rename", Path: from, To: to}, func() error { return w.fs.Rename(from, to) })
}

func (w *wrapped) Remove(name string) error {
	return w.do(Op{Kind: "remove", Path: name}, func() error { return w.fs.Remove(name) })
}

func (w *wrapped) SyncDir(name string) error {
	return w.do(Op{Kind: "syncdir", Path: name}, func() error { return w.fs.SyncDir(name) })
}

type file struct {
	disk.File
	w    *wrapped
	id   int
	name string
}

func (f *file) op(kind string) Op { return Op{Kind: kind, Path: f.name, File: f.id} }

func (f *file) Read(p []byte) (n int, err error) {
	ferr := f.w.do(f.op("read"), func() error {
		n, err = f.File.Read(p)
		if err == io.EOF {
			return nil
		}
		return err
	})
	if ferr != nil {
		return n, ferr
	}
	return n, err
}

func (f *file) Write(p []byte) (int, error) {
	op := f.op("write")
	op.Data = p
	op.Offset, _ = f.File.Seek(0, io.SeekCurrent)
	half := len(p) / 2
	if n, err := f.File.Write(p[:half]); err != nil {
		return n, err
	}
	n := half
	err := f.w.do(op, func() error {
		m, err := f.File.Write(p[half:])
		n += m
		return err
	})
	return n, err
}

func (f *file) Stat() (info fs.FileInfo, err error) {
	err = f.w.do(f.op("stat"), func() error { info, err = f.File.Stat(); return err })
	return info, err
}

func (f *file) Seek(offset int64, whence int) (at int64, err error) {
	err = f.w.do(f.op("seek"), func() error { at, err = f.File.Seek(offset, whence); return err })
	return at, err
}

func (f *file) Truncate(size int64) error {
	op := f.op("truncate")
	op.Size = size
	return f.w.do(op, func() error { return f.File.Truncate(size) })
}

func (f *file) Chmod(mode fs.FileMode) error {
	op := f.op("chmod")
	op.Mode = mode
	return f.w.do(op, func() error { return f.File.Chmod(mode) })
}

func (f *file) Sync() error { return f.w.do(f.op("sync"), f.File.Sync) }

// Close is reported, but a close that fails still closes.
func (f *file) Close() error {
	err := f.w.do(f.op("close"), f.File.Close)
	if err != nil {
		f.File.Close()
	}
	return err
}

func (f *file) Map(size int64) (data []byte, unmap func() error, err error) {
	err = f.w.do(f.op("map"), func() error { data, unmap, err = f.File.Map(size); return err })
	return data, unmap, err
}

func (f *file) Reserve(size int64) error {
	return f.w.do(f.op("reserve"), func() error { return f.File.Reserve(size) })
}

func (f *file) Chown(uid, gid int) error {
	return f.w.do(f.op("chown"), func() error { return f.File.Chown(uid, gid) })
}

func (f *file) Xattrs() (names []string, err error) {
	err = f.w.do(f.op("xattrs"), func() error { names, err = f.File.Xattrs(); return err })
	return names, err
}

func (f *file) Xattr(name string) (value []byte, err error) {
	err = f.w.do(f.op("xattr"), func() error { value, err = f.File.Xattr(name); return err })
	return value, err
}

func (f *file) SetXattr(name string, value []byte) error {
	return f.w.do(f.op("setxattr"), func() error { return f.File.SetXattr(name, value) })
}

func (f *file) TryLock() (ok bool, err error) {
	err = f.w.do(f.op("trylock"), func() error { ok, err = f.File.TryLock(); return err })
	return ok, err
}
