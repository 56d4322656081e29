//go:build real

package stores

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

// TestMeasure prints what publishing and reading costs at each store. `make bench-stores` runs it; RELEASES says how many.
func TestMeasure(t *testing.T) {
	releases, err := strconv.Atoi(os.Getenv("RELEASES"))
	must(t, err)
	for _, open := range []func(*testing.T) *service{versitygw, fakeGCSOnDisk, azurite, natsService, patientRegistry} {
		s := open(t)
		t.Run(s.name, func(t *testing.T) {
			s.measureMirror(t, s.measurePublish(t, releases))
			s.measureRead(t)
		})
	}
}

var platforms = []string{"linux/amd64", "linux/arm64", "linux/386", "linux/arm", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64", "freebsd/amd64", "openbsd/amd64"}

// measurePublish publishes releases of ten small files each, and then has a client look for the last.
func (s *service) measurePublish(t *testing.T, releases int) store.Store {
	where, requests := s.fresh(), func() int { return 0 }
	endpoint := s.url
	if strings.HasPrefix(s.url, "http") {
		endpoint, requests = s.counted(t)
	}
	key, st := signer(t, t.TempDir()), openStore(t, where(endpoint))
	root := initialize(t, st, key)
	peak, stop := peakHeap()
	begun, before := time.Now(), requests()
	for i := range releases {
		var all []repo.Addition
		for n, platform := range platforms {
			a := addition(file(t, fmt.Sprintf("release %d, platform %d", i, n)), fmt.Sprintf("1.%d", i))
			a.OS, a.Arch, _ = strings.Cut(platform, "/")
			all = append(all, a)
		}
		_, err := publisher(st, key).AddAll(ctx, all)
		must(t, err)
	}
	took, made := time.Since(begun), requests()-before
	stop()
	list, err := st.List(ctx, "")
	must(t, err)
	t.Logf("publish: %d files in %.1f s, %.0f files/s, %d requests a release, up to %d MB of memory", len(list), took.Seconds(),
		float64(len(list))/took.Seconds(), made/releases, *peak>>20)
	for _, state := range []string{"first check", "check"} {
		before := requests()
		target := filepath.Join(t.TempDir(), "tool")
		must(t, os.WriteFile(target, []byte("old"), 0o700))
		dir := filepath.Join(filepath.Dir(target), "state")
		must(t, os.Mkdir(dir, 0o700))
		options := []updater.Option{updater.Repository(st), updater.TrustRoot(root), updater.TargetFile(target), updater.StateDir(dir),
			updater.Version(fmt.Sprintf("1.%d", releases-1)), updater.OS("linux"), updater.Arch("amd64"), updater.AllowContainer(), updater.AllowManaged()}
		if state == "check" {
			_, err := updater.Check(ctx, options...)
			must(t, err)
			before = requests()
		}
		_, err := updater.Check(ctx, options...)
		must(t, err)
		t.Logf("%s: %d requests", state, requests()-before)
	}
	return st
}

// counted is the service behind a counter of requests.
func (s *service) counted(t *testing.T) (endpoint string, requests func() int) {
	p := newProxy(t, s.url)
	p.forgets = true
	return p.url, p.count
}

// measureMirror copies what was published to another place in the same service, and again when nothing is new.
func (s *service) measureMirror(t *testing.T, src store.Store) {
	endpoint, requests := s.url, func() int { return 0 }
	if strings.HasPrefix(s.url, "http") {
		endpoint, requests = s.counted(t)
	}
	dst := openStore(t, s.fresh()(endpoint))
	for _, state := range []string{"mirror", "nothing new"} {
		peak, stop := peakHeap()
		begun, before := time.Now(), requests()
		m, err := repo.Mirror(ctx, src, dst, repo.MirrorOptions{})
		must(t, err)
		took := time.Since(begun).Seconds()
		stop()
		t.Logf("%s: %d files in %.1f s, %.0f files/s, %d requests of the destination, up to %d MB of memory", state, m.Copied, took, float64(m.Copied)/took, requests()-before, *peak>>20)
	}
}

// measureRead reads 60 MB through the store, and the same from a plain web server.
func (s *service) measureRead(t *testing.T) {
	const size = 60 << 20
	folder := t.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	f, err := os.Create(filepath.Join(folder, "big"))
	must(t, err)
	_, err = io.CopyN(f, random, size)
	must(t, err)
	must(t, f.Close())
	st := openStore(t, s.fresh()(s.url))
	f, err = os.Open(f.Name())
	must(t, err)
	begun := time.Now()
	must(t, st.Put(ctx, "big", f))
	must(t, f.Close())
	t.Logf("write of 60 MB: %.0f MB/s", 60/time.Since(begun).Seconds())
	port := freePort(t)
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: http.FileServer(http.Dir(folder))}
	go server.ListenAndServe()
	defer server.Close()
	time.Sleep(50 * time.Millisecond)
	plain, err := openAny("http://127.0.0.1:" + port)
	must(t, err)
	for name, r := range map[string]store.Reader{"the store": st, "plain HTTP": plain} {
		best := time.Hour
		for range 5 {
			begun := time.Now()
			object, err := r.Open(ctx, "big", store.Request{})
			must(t, err)
			n, err := io.Copy(io.Discard, object.Body)
			object.Body.Close()
			must(t, err)
			if n != size {
				t.Fatalf("%d bytes", n)
			}
			best = min(best, time.Since(begun))
		}
		t.Logf("read of 60 MB from %s: %.0f MB/s", name, 60/best.Seconds())
	}
}
