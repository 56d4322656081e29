package tarfile

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/choria-io/go-updater/store"
)

// Writer writes an archive. Nothing of it is seen at its path before Commit; what a process that was killed leaves begins with a dot and ends in
// .part. The same files in the same order make the same bytes.
type Writer struct {
	archive
	f    *os.File
	mu   sync.Mutex
	end  int64 // of what is whole
	temp string
}

// ErrSize: what is to be written does not say how many bytes it has, by a method Size() int64, as a header needs it.
var ErrSize = errors.New("an archive has to know the size of a file before it")

// Create begins an archive that will replace the one at path, if there is one. It is to be closed.
func Create(path string) (*Writer, error) {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()+".part")
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &Writer{archive: archive{path: path, bytes: f, files: map[string]place{}, stamp: rand.Text()}, f: f, temp: temp}, nil
}

// Put appends a file. r has a method Size() int64, the bytes that it has; if there are more or fewer, or it fails, nothing is written. A
// name can be written once.
func (w *Writer) Put(ctx context.Context, name string, r io.Reader) error {
	return w.PutIf(ctx, name, r, "")
}

// PutIf is Put: no file can be replaced.
func (w *Writer) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckName(name); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.files[name]; twice || version != "" {
		return fmt.Errorf("putting %s in %s: %w", name, w, store.ErrConflict)
	}
	if err := w.append(ctx, name, r); err != nil {
		return fmt.Errorf("putting %s in %s: %w", name, w, err)
	}
	return nil
}

// append writes header, bytes and padding. What fails in between is written over by the next one, or cut off in the end.
func (w *Writer) append(ctx context.Context, name string, r io.Reader) error {
	sized, ok := r.(interface{ Size() int64 })
	if !ok {
		return ErrSize
	}
	out := &appender{w.f, w.end}
	t := tar.NewWriter(out)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: sized.Size()}); err != nil {
		return err
	}
	p := place{out.at, sized.Size()}
	if _, err := io.Copy(t, &body{ctx, r}); err != nil {
		return err
	}
	if err := t.Flush(); err != nil { // fewer bytes than there should be
		return err
	}
	w.files[name], w.end = p, out.at
	return nil
}

// appender writes from an offset on.
type appender struct {
	f  *os.File
	at int64
}

func (a *appender) Write(b []byte) (int, error) {
	n, err := a.f.WriteAt(b, a.at)
	a.at += int64(n)
	return n, err
}

// Delete fails: an archive is written once.
func (w *Writer) Delete(_ context.Context, name string) error {
	return fmt.Errorf("deleting %s from %s: an archive is written once", name, w)
}

// Open opens a file that is written already.
func (w *Writer) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.archive.Open(ctx, name, req)
}

// List lists the files that are written already.
func (w *Writer) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.archive.List(ctx, prefix)
}

// Commit ends the archive, makes it durable and gives it its name.
func (w *Writer) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.f.Truncate(w.end); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(make([]byte, 2*block), w.end); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.temp, w.path); err != nil {
		return err
	}
	w.temp = ""
	return syncFolder(filepath.Dir(w.path))
}

// Close gives up what was not committed.
func (w *Writer) Close() error {
	if w.temp == "" {
		return nil
	}
	w.f.Close()
	return os.Remove(w.temp)
}

// syncFolder makes a name durable. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
