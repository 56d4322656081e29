package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// cutting is a web server that cuts the first answer for each archive in its middle, and counts the bytes of archives. Those of zstd have a version, so that
// they can be gone on with; others are begun anew.
type cutting struct {
	http.Handler
	mu   sync.Mutex
	cut  map[string]bool
	sent map[string]int // bytes, by extension
}

func (c *cutting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, ".zst") && !strings.HasSuffix(r.URL.Path, ".bz2") {
		c.Handler.ServeHTTP(w, r)
		return
	}
	c.mu.Lock()
	first := !c.cut[r.URL.Path]
	c.cut[r.URL.Path] = true
	c.mu.Unlock()
	rec := httptest.NewRecorder()
	if strings.HasSuffix(r.URL.Path, ".zst") {
		rec.Header().Set("ETag", `"1"`)
	}
	c.Handler.ServeHTTP(rec, r)
	for key, values := range rec.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(rec.Code)
	body := rec.Body.Bytes()
	if first {
		body = body[:len(body)/2]
	}
	c.mu.Lock()
	c.sent[path.Ext(r.URL.Path)] += len(body)
	c.mu.Unlock()
	w.Write(body)
	if first {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// A web server is mirrored through its metadata, goes on where it was cut, and programs update from the copy.
func TestMirrorOverHTTP(t *testing.T) {
	folder, copied := t.TempDir(), t.TempDir()
	k := newKeys(t)
	r := k.open(store.NewDir(folder))
	root, err := r.Sign(ctx, k.init())
	must(t, err)
	for i, v := range []string{"1.0.0", "1.1.0"} {
		a := addition(t, elf(uint64(i+1)))
		a.Version = v
		_, err := r.Add(ctx, a)
		must(t, err)
	}
	c := &cutting{Handler: http.FileServer(http.Dir(folder)), cut: map[string]bool{}, sent: map[string]int{}}
	server := httptest.NewServer(c)
	defer server.Close()
	src, err := store.NewHTTP(server.URL, store.HTTPOptions{})
	must(t, err)
	var last MirrorProgress
	m, err := Mirror(ctx, src, store.NewDir(copied), MirrorOptions{Root: root, Progress: func(p MirrorProgress) { last = p }})
	must(t, err)
	size := map[string]int{}
	for name, data := range contents(t, store.NewDir(copied)) {
		size[path.Ext(name)] += len(data)
	}
	if c.sent[".zst"] != size[".zst"] || c.sent[".bz2"] <= size[".bz2"] {
		t.Errorf("%v bytes were sent, of %v", c.sent, size)
	}
	if last.Files != 6 || last.FilesTotal != 6 || last.Bytes != last.BytesTotal || last.BytesCopied != last.BytesTotal || m.Copied < 6 {
		t.Errorf("%+v, %+v", last, m)
	}
	if got, err := update(t, copied, "1.1.0", updater.TrustRoot(root)); err != nil || !bytes.Equal(got, elf(2)) {
		t.Errorf("a client of the copy: %v", err)
	}

	// What is not signed cannot be walked there.
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	src, err = store.NewHTTP(plain.URL, store.HTTPOptions{})
	must(t, err)
	if _, err := Mirror(ctx, src, &store.Mem{}, MirrorOptions{}); !errors.Is(err, ErrNotListable) {
		t.Error(err)
	}
}

// A download that begins anew leaves out what was handed on already.
func TestPassing(t *testing.T) {
	var out bytes.Buffer
	p := &passing{w: &out, hash: sha256.New()}
	write := func(s string) {
		n, err := io.WriteString(p, s)
		if err != nil || n != len(s) {
			t.Fatal(n, err)
		}
	}
	must(t, p.Begin("a", "1"))
	write("0123")
	must(t, p.Begin("a", "2")) // from its start again, in other pieces
	write("01")
	if _, version, have := p.Have(); version != "2" || have != 2 {
		t.Errorf("version %s, %d", version, have)
	}
	write("2345")
	write("67")
	if out.String() != "01234567" || p.at != 8 || p.sent != 8 {
		t.Errorf("%q, %+v", out.String(), p)
	}
}

// endless is a source with one large file, which it makes as it is read.
type endless struct {
	store.Reader
	size int64
}

func (e endless) Open(_ context.Context, _ string, req store.Request) (*store.Object, error) {
	return &store.Object{Body: io.NopCloser(io.LimitReader(zeros{}, e.size)), Size: e.size}, nil
}

func (e endless) String() string { return "endless" }

// sink forgets what it is given.
type sink struct{ *store.Mem }

func (sink) PutIf(_ context.Context, _ string, r io.Reader, _ string) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// A file of any size takes the memory of its buffers.
func TestMirrorMemory(t *testing.T) {
	const size = 64 << 20
	h := sha256.New()
	_, err := io.Copy(h, io.LimitReader(zeros{}, size))
	must(t, err)
	m := &mirror{src: endless{size: size}, to: Open(sink{&store.Mem{}}), tally: newTally(nil)}
	f := &mirrorFile{"1/linux/amd64/tool", "1/linux/amd64/tool", &metadata.TargetFiles{Length: size, Hashes: metadata.Hashes{"sha256": h.Sum(nil)}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, m.copy(ctx, f, ""))
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", used, size)
	}
}
