package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// Dir is a folder of a file system: local, or mounted from elsewhere.
//
// Links inside the folder are followed as long as they stay in it.
// Files whose names start with a dot and end in ".part" are writes under way, and invisible.
type Dir struct {
	_ uncomparable

	path string
	turn sync.Mutex  // conditional writes of this process, one after the other
	held atomic.Bool // Lock was called, and its unlock was not
}

// NewDir returns the store of the files below a folder, which need not exist
// yet for writing.
func NewDir(path string) *Dir { return &Dir{path: path} }

func (d *Dir) String() string { return d.path }

// Open opens a file. Its version is made of size, modification time and
// identity, so that a replaced file has another one. The body is an [io.Seeker].
func (d *Dir) Open(ctx context.Context, name string, req Request) (*Object, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	f, err := openBeneath(d.path, name)
	if err != nil {
		return nil, cause.Errorf("opening %s in %s: %w", name, d, err)
	}
	object, err := d.object(f, req)
	if err != nil {
		f.Close()
		return nil, cause.Errorf("opening %s in %s: %w", name, d, err)
	}
	object.Body = &contextFile{ctx: ctx, file: f}
	return object, nil
}

func (d *Dir) object(f *os.File, req Request) (*Object, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fs.ErrNotExist // as a web server without listings has it
	}
	if !info.Mode().IsRegular() {
		return nil, disk.ErrNotRegular
	}
	stamp := disk.StampOf(info)
	object := &Object{Size: info.Size(), Version: fmt.Sprintf("%d-%d-%d-%d", stamp.Size, stamp.Modified, stamp.Changed, identity(info))}
	if req.Unless == object.Version {
		return nil, ErrUnchanged
	}
	if req.Version == object.Version && req.Offset > 0 && req.Offset <= info.Size() {
		object.Offset = req.Offset
		_, err = f.Seek(req.Offset, io.SeekStart)
	}
	return object, err
}

// contextFile does not embed the file, whose many methods every program would get once more.
type contextFile struct {
	_ uncomparable

	ctx  context.Context
	file *os.File
}

func (f *contextFile) Close() error { return f.file.Close() }

// Seek is for those who serve the folder's files.
func (f *contextFile) Seek(offset int64, whence int) (int64, error) {
	return f.file.Seek(offset, whence)
}

func (f *contextFile) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.file.Read(p)
}

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return CheckName(name)
}

const partSuffix = ".part"

// Put writes a temporary file beside the final name, makes it durable and renames it.
func (d *Dir) Put(ctx context.Context, name string, r io.Reader) error {
	return d.write(ctx, name, r, func() (func(), error) { return func() {}, nil })
}

// write asks for leave when all is written but the rename.
func (d *Dir) write(ctx context.Context, name string, r io.Reader, leave func() (done func(), err error)) (err error) {
	if err := check(ctx, name); err != nil {
		return err
	}
	full := filepath.Join(d.path, filepath.FromSlash(name))
	if err := d.makeFolders(filepath.Dir(full)); err != nil {
		return cause.Errorf("putting %s in %s: %w", name, d, err)
	}
	temp := filepath.Join(filepath.Dir(full), "."+rand.Text()+partSuffix)
	defer func() {
		if err != nil {
			os.Remove(temp)
			err = cause.Errorf("putting %s in %s: %w", name, d, err)
		}
	}()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, &contextReader{ctx, r})
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	done, err := leave()
	if err != nil {
		return err
	}
	defer done()
	if err := disk.OS.Rename(temp, full); err != nil {
		return err
	}
	return disk.OS.SyncDir(filepath.Dir(full))
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// makeFolders makes a folder and those above it, each name durable.
func (d *Dir) makeFolders(folder string) error {
	err := os.Mkdir(folder, 0o755)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(folder) != folder {
		if err := d.makeFolders(filepath.Dir(folder)); err != nil {
			return err
		}
		err = os.Mkdir(folder, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		if info, serr := os.Stat(folder); serr == nil && info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return disk.OS.SyncDir(filepath.Dir(folder))
}

// Delete removes a file and the folders that it leaves empty.
func (d *Dir) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(d.path, filepath.FromSlash(name)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cause.Errorf("deleting %s in %s: %w", name, d, err)
	}
	folder := path.Dir(name)
	for ; folder != "."; folder = path.Dir(folder) {
		if os.Remove(filepath.Join(d.path, filepath.FromSlash(folder))) != nil {
			break
		}
	}
	err = disk.OS.SyncDir(filepath.Join(d.path, filepath.FromSlash(folder)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// List walks the folder.
func (d *Dir) List(ctx context.Context, prefix string) ([]Entry, error) {
	var entries []Entry
	err := filepath.WalkDir(d.path, func(full string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(d.path, full)
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name := filepath.ToSlash(rel)
		hidden := strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), partSuffix)
		if hidden || !strings.HasPrefix(name, prefix) {
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err == nil {
			entries = append(entries, Entry{Name: name, Size: info.Size()})
		}
		return err
	})
	if err != nil {
		return nil, cause.Errorf("listing %s: %w", d, err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name < entries[j].Name })
	return entries, nil
}
