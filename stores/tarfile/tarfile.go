// Package tarfile keeps a repository in one tar file, to be carried to where no network leads.
//
// [Open] reads one by an index of where each file begins, so that the archive is never unpacked. [Create] writes one, from
// first to last, under a hidden name that it loses when all is there. An archive holds regular files with clean relative names, each
// once, and nothing else; Open refuses all others, and those that are cut short.
package tarfile

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/choria-io/go-updater/store"
)

// Suffix ends the names of archives.
const Suffix = ".tar"

// ErrInvalid is wrapped by the errors for what is no archive of a repository: links, devices, folders, names that lead elsewhere, a name twice, a
// cut end.
var ErrInvalid = errors.New("not an archive of a repository")

// Limits of what Open takes, beside those of archive/tar, which reads at most 1 MiB of a header.
const (
	maxFiles = 4 << 20
	maxName  = 1024 // bytes
	block    = 512
)

// place is where a file's bytes are.
type place struct{ offset, size int64 }

// archive are the files in an open tar file.
type archive struct {
	path  string
	bytes io.ReaderAt
	stamp string // what sets it apart from other archives of the same path
	files map[string]place
}

func (a *archive) String() string { return a.path }

// Reader reads an archive.
type Reader struct {
	archive
	f *os.File
}

// Open indexes an archive, for which all its headers are read.
//
// Errors: ErrInvalid, and those of reading the file.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{archive{path: path, bytes: f, files: map[string]place{}}, f}
	info, err := f.Stat()
	if err == nil {
		// It is not read in place of another one that gets its name meanwhile, but may be written over by hand.
		r.stamp = fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
		err = r.index()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

func (a *archive) index() error {
	at := io.NewSectionReader(a.bytes, 0, math.MaxInt64) // it seeks, so that files are passed over
	t := tar.NewReader(at)
	var pos, end int64 // the latter of the last file, with its padding
	for {
		h, err := t.Next()
		if pos, _ = at.Seek(0, io.SeekCurrent); err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := a.add(h, pos); err != nil {
			return err
		}
		end = pos + (h.Size+block-1)/block*block
	}
	if pos < end+2*block {
		return fmt.Errorf("%w: its end is missing", ErrInvalid)
	}
	return nil
}

// add takes a file into the index.
func (a *archive) add(h *tar.Header, offset int64) error {
	if len(h.Name) > maxName {
		return fmt.Errorf("%w: a name has %d bytes", ErrInvalid, len(h.Name))
	}
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%w: %q is no regular file", ErrInvalid, h.Name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return fmt.Errorf("%w: %q is sparse", ErrInvalid, h.Name)
		}
	}
	if err := store.CheckName(h.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, twice := a.files[h.Name]; twice {
		return fmt.Errorf("%w: %q is there twice", ErrInvalid, h.Name)
	}
	if len(a.files) >= maxFiles {
		return fmt.Errorf("%w: more than %d files", ErrInvalid, maxFiles)
	}
	a.files[h.Name] = place{offset, h.Size}
	return nil
}

// Open opens a file of the archive.
func (a *archive) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	p, ok := a.files[name]
	if !ok {
		return nil, fmt.Errorf("opening %s in %s: %w", name, a, fs.ErrNotExist)
	}
	object := &store.Object{Size: p.size, Version: fmt.Sprintf("%s-%d-%d", a.stamp, p.offset, p.size)}
	if req.Unless == object.Version {
		return nil, fmt.Errorf("opening %s in %s: %w", name, a, store.ErrUnchanged)
	}
	if req.Version == object.Version && req.Offset > 0 && req.Offset <= p.size {
		object.Offset = req.Offset
	}
	object.Body = &body{ctx, io.NewSectionReader(a.bytes, p.offset+object.Offset, p.size-object.Offset)}
	return object, nil
}

type body struct {
	ctx context.Context
	r   io.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	return n, err
}

func (b *body) Close() error { return nil }

// List lists the files.
func (a *archive) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var list []store.Entry
	for name, p := range a.files {
		if strings.HasPrefix(name, prefix) {
			list = append(list, store.Entry{Name: name, Size: p.size})
		}
	}
	slices.SortFunc(list, func(a, b store.Entry) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
