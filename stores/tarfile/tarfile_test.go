package tarfile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, path string, files ...string) {
	t.Helper()
	w, err := Create(path)
	must(t, err)
	defer w.Close()
	for i := 0; i < len(files); i += 2 {
		must(t, w.Put(ctx, files[i], strings.NewReader(files[i+1])))
	}
	must(t, w.Commit())
}

func read(t *testing.T, r store.Reader, name string, req store.Request) string {
	t.Helper()
	object, err := r.Open(ctx, name, req)
	must(t, err)
	defer object.Body.Close()
	data, err := io.ReadAll(object.Body)
	must(t, err)
	if int64(len(data)) != object.Size-object.Offset {
		t.Errorf("%s: %d bytes of %d", name, len(data), object.Size)
	}
	return string(data)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "repo.tar")
	long := strings.Repeat("v", 128) + "/" + strings.Repeat("o", 128) + "/" + strings.Repeat("a", 128) + "/" + strings.Repeat("n", 255)
	files := []string{"a", "", "b/c", strings.Repeat("x", 512), "b/d", strings.Repeat("y", 513), long, "long", "metadata/timestamp.json", "{}"}
	create(t, path, files...)
	r, err := Open(path)
	must(t, err)
	defer r.Close()
	for i := 0; i < len(files); i += 2 {
		if got := read(t, r, files[i], store.Request{}); got != files[i+1] {
			t.Errorf("%s: %q", files[i], got)
		}
	}
	if list, err := r.List(ctx, "b/"); err != nil || len(list) != 2 || list[1] != (store.Entry{Name: "b/d", Size: 513}) {
		t.Errorf("%v, %v", list, err)
	}

	// Ranges, versions and errors as every store has them.
	object, err := r.Open(ctx, "b/d", store.Request{})
	must(t, err)
	if got := read(t, r, "b/d", store.Request{Offset: 510, Version: object.Version}); got != "yyy" {
		t.Errorf("from 510: %q", got)
	}
	if got := read(t, r, "b/d", store.Request{Offset: 510, Version: "other"}); len(got) != 513 {
		t.Errorf("of another version: %d bytes", len(got))
	}
	if _, err := r.Open(ctx, "b/d", store.Request{Unless: object.Version}); !errors.Is(err, store.ErrUnchanged) {
		t.Errorf("unless: %v", err)
	}
	if _, err := r.Open(ctx, "b", store.Request{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := r.Open(ctx, "../b", store.Request{}); !errors.Is(err, store.ErrInvalidName) {
		t.Errorf("a bad name: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := object.Body.Read(nil); err != nil {
		t.Error(err)
	}
	if _, err := r.Open(canceled, "b/d", store.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}

	// The same bytes again, and what tar itself reads.
	again := filepath.Join(dir, "again.tar")
	create(t, again, files...)
	one, err := os.ReadFile(path)
	must(t, err)
	two, err := os.ReadFile(again)
	must(t, err)
	if !bytes.Equal(one, two) {
		t.Error("the same files make other bytes")
	}
	n := 0
	for tr := tar.NewReader(bytes.NewReader(one)); ; n++ {
		if _, err := tr.Next(); err != nil {
			break
		}
	}
	if n != len(files)/2 {
		t.Errorf("tar sees %d files", n)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

// failing is a reader that says it has more than it gives, or fails.
type failing struct {
	io.Reader
	size int64
}

func (f failing) Size() int64 { return f.size }

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestWhatFailsIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "repo.tar")
	create(t, path, "old", "old")
	w, err := Create(path)
	must(t, err)
	must(t, w.Put(ctx, "a", strings.NewReader("a")))
	for name, r := range map[string]io.Reader{
		"short": failing{strings.NewReader("123"), 4}, "long": failing{strings.NewReader("12345"), 4},
		"broken":  failing{io.MultiReader(strings.NewReader(strings.Repeat("1", 5000)), broken{}), 6000},
		"unsized": io.MultiReader(), "../x": strings.NewReader("x"), "a": strings.NewReader("b"),
	} {
		if err := w.Put(ctx, name, r); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	must(t, w.Put(ctx, "b", strings.NewReader("b")))
	if list, err := w.List(ctx, ""); err != nil || len(list) != 2 || read(t, w, "a", store.Request{}) != "a" {
		t.Errorf("%v, %v", list, err)
	}
	if err := w.PutIf(ctx, "c", strings.NewReader("c"), "x"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a condition: %v", err)
	}
	r, err := Open(path)
	must(t, err)
	if list, _ := r.List(ctx, ""); len(list) != 1 || list[0].Name != "old" {
		t.Errorf("before the commit: %v", list)
	}
	r.Close()
	must(t, w.Commit())
	must(t, w.Close())
	r, err = Open(path)
	must(t, err)
	defer r.Close()
	if list, _ := r.List(ctx, ""); len(list) != 2 {
		t.Errorf("after it: %v", list)
	}

	w, err = Create(path)
	must(t, err)
	must(t, w.Put(ctx, "c", strings.NewReader("c")))
	must(t, w.Close())
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// made is a tar file as archive/tar writes it.
func made(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		must(t, w.WriteHeader(&h))
		_, err := w.Write(make([]byte, h.Size))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// patched has another type in its first header.
func patched(data []byte, kind byte) []byte {
	data = bytes.Clone(data)
	data[156] = kind
	copy(data[148:156], "        ")
	sum := 0
	for _, b := range data[:block] {
		sum += int(b)
	}
	copy(data[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// sparse is an archive of a file whose bytes are not those that stand in it: 1024 zeroes, of which the second half is not written.
func sparse(t *testing.T) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1024, Mode: 0o644, PAXRecords: map[string]string{
		"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.name": "a", "XXX.sparse.realsize": "1024",
	}}))
	_, err := w.Write(append([]byte("1\n0\n512\n"), make([]byte, 1024-8)...))
	must(t, err)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "b", Mode: 0o644}))
	must(t, w.Close())
	return bytes.ReplaceAll(b.Bytes(), []byte("XXX.sparse"), []byte("GNU.sparse"))
}

func TestHostileArchives(t *testing.T) {
	file := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1000, Mode: 0o644}
	}
	good := made(t, file("a"), file("b"))
	tests := map[string][]byte{
		"absolute":       made(t, file("/etc/passwd")),
		"parent":         made(t, file("a/../../b")),
		"dot":            made(t, file("./a")),
		"backslash":      made(t, file(`a\b`)),
		"link":           made(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}),
		"hard link":      made(t, file("b"), tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "b"}),
		"device":         made(t, tar.Header{Typeflag: tar.TypeChar, Name: "a"}),
		"pipe":           made(t, tar.Header{Typeflag: tar.TypeFifo, Name: "a"}),
		"folder":         made(t, tar.Header{Typeflag: tar.TypeDir, Name: "a/"}),
		"twice":          made(t, file("a"), file("a")),
		"long name":      made(t, file(strings.Repeat("a/", 600)+"b")),
		"huge header":    patched(made(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 2 << 20}), 'x'),
		"sparse":         patched(good, tar.TypeGNUSparse),
		"sparse by PAX":  sparse(t),
		"contiguous":     patched(good, tar.TypeCont),
		"old link":       patched(good, tar.TypeLink),
		"in a header":    good[:700],
		"in a file":      good[:800],
		"in the last":    good[:3000],
		"between files":  good[:2048-512],
		"before the end": good[:len(good)-1024],
		"half an end":    good[:len(good)-512],
		"empty":          {},
		"no tar":         []byte(strings.Repeat("no tar ", 1000)),
		"bad checksum":   append([]byte("x"), good[1:]...),
	}
	path := filepath.Join(t.TempDir(), "repo.tar")
	for name, data := range tests {
		must(t, os.WriteFile(path, data, 0o600))
		if r, err := Open(path); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				r.Close()
			}
		}
	}
	must(t, os.WriteFile(path, good, 0o600))
	r, err := Open(path)
	must(t, err)
	r.Close()
	if _, err := Open(filepath.Dir(path)); err == nil {
		t.Error("a folder is opened")
	}
}

// counting counts the bytes that are read.
type counting struct {
	io.ReaderAt
	read int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.read += n
	return n, err
}

// What an archive costs to open does not depend on how large its files are.
func TestOpenReadsHeaders(t *testing.T) {
	data := made(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 8 << 20}, tar.Header{Typeflag: tar.TypeReg, Name: "b", Size: 8 << 20})
	c := &counting{ReaderAt: bytes.NewReader(data)}
	a := &archive{bytes: c, files: map[string]place{}}
	must(t, a.index())
	if len(a.files) != 2 || c.read > 8*block {
		t.Errorf("%d files, %d bytes read of %d", len(a.files), c.read, len(data))
	}
}

// A size that no file has is no way around the end of the archive.
func TestImpossibleSizes(t *testing.T) {
	for _, size := range []int64{1 << 40, 1<<63 - 1, 1<<63 - 600} {
		var b bytes.Buffer
		must(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: size, Format: tar.FormatGNU}))
		b.Write(make([]byte, 4*block))
		a := &archive{bytes: bytes.NewReader(b.Bytes()), files: map[string]place{}}
		if err := a.index(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(made(f, tar.Header{Typeflag: tar.TypeReg, Name: "a/b", Size: 10, Mode: 0o644}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &archive{bytes: bytes.NewReader(data), files: map[string]place{}}
		if r.index() != nil {
			return
		}
		list, err := r.List(ctx, "")
		must(t, err)
		for _, e := range list {
			if store.CheckName(e.Name) != nil || int64(len(read(t, r, e.Name, store.Request{}))) != e.Size || e.Size > int64(len(data)) {
				t.Errorf("%+v", e)
			}
		}
	})
}
