package updater

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
	"github.com/choria-io/go-updater/store"
)

// signedRepo is a testRepo with metadata.
type signedRepo struct {
	*testRepo
	tuf  *tuftest.Repo
	root []byte
}

// newTUF makes the same metadata each time.
func newTUF() *tuftest.Repo {
	r := tuftest.New()
	r.Signed["root"]["product"] = "tool"
	r.Signed["root"]["version"] = 0
	r.PublishRoot()
	return r
}

// newSignedRepo publishes and signs version 1.2.3.
func newSignedRepo(t testing.TB, binary []byte) *signedRepo {
	r := &signedRepo{testRepo: newRepo(t), tuf: newTUF()}
	r.root = r.tuf.Files["1.root.json"]
	r.tuf.Delegate("targets", testRole, true, "*/"+testPlatform+"/*")
	r.publish(t, binary, nil)
	r.sign(binary, nil)
	return r
}

// sign lists release.json as it is now, with custom fields changed by edit, and serves new metadata.
func (r *signedRepo) sign(binary []byte, edit func(custom tuftest.Object)) {
	custom := tuftest.Object{
		"product": "tool", "version": "1.2.3", "os": runtime.GOOS, "arch": runtime.GOARCH,
		"length": len(binary), "sha256": sum(binary),
	}
	if edit != nil {
		edit(custom)
	}
	r.tuf.Target(testRole, testFolder+"release.json", r.file("release.json"), custom)
	r.tuf.Publish(testRole, "targets")
	r.serve()
}

func (r *signedRepo) file(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[testFolder+name]
}

// serve makes the server's metadata that of r.tuf.
func (r *signedRepo) serve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.files, func(name string, _ []byte) bool { return strings.HasPrefix(name, "metadata/") })
	for name, data := range r.tuf.Files {
		r.files["metadata/"+name] = data
	}
}

func at2030(c *Config) error { c.now = func() time.Time { return tuftest.Now }; return nil }

func (r *signedRepo) options(target string, more ...Option) []Option {
	return r.testRepo.options(target, append([]Option{TrustRoot(r.root), at2030}, more...)...)
}

func (r *signedRepo) apply(target string, more ...Option) error {
	_, err := ApplyContext(context.Background(), r.options(target, more...)...)
	return err
}

func TestTrustedUpdate(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	target := install(t, old)
	var events []string
	if err := r.apply(target, OnEvent(func(e Event) { events = append(events, e.Message) })); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, target), new) {
		t.Error("the target is not new")
	}
	for _, m := range events {
		if strings.Contains(m, "checksum alone") {
			t.Error(m)
		}
	}
	for _, name := range []string{"root", "timestamp", "snapshot", "targets", testRole} {
		read(t, filepath.Join(swap.StateDir(target), "metadata", name+".json"))
	}
	r.requests = nil
	plan, err := Check(context.Background(), r.options(target)...)
	if err != nil || !plan.UpToDate {
		t.Fatalf("%+v, %v", plan, err)
	}
	var paths []string
	for _, req := range r.requests {
		paths = append(paths, req.URL.Path)
	}
	if want := []string{"/metadata/2.root.json", "/metadata/timestamp.json", "/" + testFolder + "release.json"}; !slices.Equal(paths, want) {
		t.Errorf("requests %v, want %v", paths, want)
	}
}

// With a trust root, all that is not signed as what it should be is refused, and changes nothing.
func TestUntrusted(t *testing.T) {
	old, new := buildPrograms(t)
	for name, c := range map[string]struct {
		want   error
		spoil  func(r *signedRepo)
		option Option
	}{
		"no metadata":             {ErrUntrusted, func(r *signedRepo) { clear(r.tuf.Files); r.serve() }, nil},
		"timestamp removed":       {ErrUntrusted, func(r *signedRepo) { delete(r.tuf.Files, "timestamp.json"); r.serve() }, nil},
		"timestamp by a stranger": {ErrUntrusted, func(r *signedRepo) { evilTimestamp(r); r.serve() }, nil},
		"release.json changed": {ErrRejected, func(r *signedRepo) {
			r.put("release.json", append(r.file("release.json"), ' '))
		}, nil},
		"release.json republished": {ErrRejected, func(r *signedRepo) { r.publish(t, append(new, 0), nil) }, nil},
		"archive changed": {ErrRejected, func(r *signedRepo) {
			archive := bytes.Clone(r.file("tool.zst"))
			archive[len(archive)/2] ^= 1
			r.put("tool.zst", archive)
		}, nil},
		"not listed":              {fs.ErrNotExist, func(*signedRepo) {}, Version("1.2.4")},
		"other product":           {ErrOtherProduct, custom(new, "product", "else"), nil},
		"other product asked for": {ErrOtherProduct, func(*signedRepo) {}, Product("else")},
		"other version":           {ErrOtherProduct, custom(new, "version", "1.2.2"), nil},
		"other os":                {ErrOtherProduct, custom(new, "os", "darwin"), nil},
		"other arch":              {ErrOtherProduct, custom(new, "arch", "arm64"), nil},
		"other binary":            {ErrUntrusted, custom(new, "sha256", sum(old)), nil},
		"other size":              {ErrUntrusted, custom(new, "length", 1), nil},
		"nothing said about it": {ErrUntrusted, func(r *signedRepo) {
			r.tuf.Target(testRole, testFolder+"release.json", r.file("release.json"), nil)
			r.tuf.Publish(testRole, "targets")
			r.serve()
		}, nil},
		"artifact without size and hash": {ErrRejected, func(r *signedRepo) {
			r.publish(t, new, func(s map[string]any) { s["artifacts"] = []any{map[string]any{"file": "tool.zst", "encoding": "zstd"}} })
			r.sign(new, nil)
		}, nil},
		"signed for another platform": {ErrOtherPlatform, func(r *signedRepo) {
			riscv := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 64)...)
			riscv[16], riscv[18] = 2, 243 // ET_EXEC, EM_RISCV
			r.publish(t, riscv, nil)
			r.sign(riscv, nil)
		}, nil},
		"expired": {ErrExpired, func(r *signedRepo) {
			r.tuf.Signed["timestamp"]["expires"] = tuftest.Time(-1)
			r.tuf.PublishTimestamp()
			r.serve()
		}, nil},
		"endless metadata": {store.ErrTooLarge, func(r *signedRepo) {
			r.tuf.Files["timestamp.json"] = bytes.Repeat([]byte(" "), 1<<20)
			r.serve()
		}, nil},
		"older than the current version": {ErrOlderVersion, func(*signedRepo) {}, CurrentVersion("1.10.0")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSignedRepo(t, new)
			c.spoil(r)
			more := []Option{TrustRoot(r.root), at2030}
			if c.option != nil {
				more = append(more, c.option)
			}
			refused(t, r.testRepo, c.want, more...)
		})
	}
}

func custom(binary []byte, key string, value any) func(*signedRepo) {
	return func(r *signedRepo) { r.sign(binary, func(o tuftest.Object) { o[key] = value }) }
}

// evilTimestamp signs a newer timestamp with a key that nobody trusts.
func evilTimestamp(r *signedRepo) {
	r.tuf.Signers["timestamp"] = r.tuf.Signers["timestamp"][:0]
	r.tuf.Signed["timestamp"]["version"] = 99
	r.tuf.Files["timestamp.json"] = r.tuf.Sign("timestamp", tuftest.Key("evil"))
}

func TestEveryTrustErrorHasAHint(t *testing.T) {
	for _, err := range []error{ErrUntrusted, ErrOlderMetadata, ErrExpired, ErrMetadata, ErrOtherProduct, ErrOlderVersion} {
		if Hint(err) == "" {
			t.Errorf("no hint for %v", err)
		}
	}
}

// What this machine has seen guards it, also in a later process, against old metadata.
func TestSeenMetadataGuards(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	before := maps.Clone(r.tuf.Files)
	r.sign(new, nil)
	target := install(t, old)
	if _, err := Check(context.Background(), r.options(target)...); err != nil {
		t.Fatal(err)
	}
	r.tuf.Files = before
	r.serve()
	if err := r.apply(target, Attempts(1)); !errors.Is(err, ErrOlderMetadata) || !bytes.Equal(read(t, target), old) {
		t.Errorf("%v, want ErrOlderMetadata", err)
	}
	// Elsewhere nobody has seen the newer one.
	if err := r.apply(install(t, old)); err != nil {
		t.Error(err)
	}
}

// Without a state folder that can be written, signatures and expiry hold all the same, and it is said.
func TestTrustWithoutState(t *testing.T) {
	old, new := buildPrograms(t)
	spoils := map[string]func(state string){
		"a file in the way": func(state string) { os.WriteFile(filepath.Join(state, "metadata"), nil, 0o600) },
		"a link in the way": func(state string) { os.Symlink(t.TempDir(), filepath.Join(state, "metadata")) },
		"others may write it": func(state string) {
			os.Mkdir(filepath.Join(state, "metadata"), 0o700)
			os.Chmod(filepath.Join(state, "metadata"), 0o777)
		},
		"lock a link": func(state string) {
			os.Mkdir(filepath.Join(state, "metadata"), 0o700)
			os.Symlink("/dev/null", filepath.Join(state, "metadata", "lock"))
		},
	}
	if runtime.GOOS == "windows" {
		delete(spoils, "others may write it") // a mode says nothing there
	}
	for name, spoil := range spoils {
		r := newSignedRepo(t, new)
		target := install(t, old)
		state := swap.StateDir(target)
		if err := os.Mkdir(state, 0o700); err != nil {
			t.Fatal(err)
		}
		spoil(state)
		warned := false
		if err := r.apply(target, OnEvent(func(e Event) { warned = warned || e.Step == StepWarning })); err != nil || !warned {
			t.Errorf("%s: %v, warned %v", name, err, warned)
		}
		r.tuf.Signed["timestamp"]["expires"] = tuftest.Time(-1)
		r.tuf.PublishTimestamp()
		r.serve()
		if err := r.apply(install(t, old)); !errors.Is(err, ErrExpired) {
			t.Errorf("%s: expired: %v", name, err)
		}
	}
}

// A root that others could have planted is not believed.
func TestPlantedRoot(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		r.tuf.Trust(role, 1, tuftest.Key("evil"))
	}
	r.tuf.Signed["root"]["version"] = 8
	r.tuf.PublishRoot()
	r.sign(new, nil)
	modes := map[os.FileMode]error{0o777: ErrUntrusted, 0o700: nil}
	if runtime.GOOS == "windows" {
		delete(modes, 0o777) // a mode says nothing there
	}
	for mode, want := range modes {
		target := install(t, old)
		folder := filepath.Join(swap.StateDir(target), "metadata")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "root.json"), r.tuf.Files["9.root.json"], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		if err := r.apply(target); !errors.Is(err, want) {
			t.Errorf("mode %v: %v, want %v", mode, err, want)
		}
	}
}

// Files planted in the metadata folder are never followed and never hang.
func TestPlantedMetadata(t *testing.T) {
	old, new := buildPrograms(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.json", "root.json.new", "timestamp.json", "clock", "clock.new"} {
		r := newSignedRepo(t, new)
		target := install(t, old)
		folder := filepath.Join(swap.StateDir(target), "metadata")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		if err := r.apply(target); err != nil || string(read(t, victim)) != "precious" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A clock that is set back brings nothing expired to life.
func TestClockSetBack(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	target := install(t, old)
	later := func(days int) Option {
		return func(c *Config) error {
			c.now = func() time.Time { return tuftest.Now.AddDate(0, 0, days) }
			return nil
		}
	}
	if _, err := Check(context.Background(), r.options(target, later(20))...); err != nil {
		t.Fatal(err)
	}
	r.tuf.Signed["timestamp"]["expires"] = tuftest.Time(10)
	r.tuf.PublishTimestamp()
	r.serve()
	err := r.apply(target, later(0))
	if !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "clock") {
		t.Errorf("%v, want ErrExpired and a word about the clock", err)
	}
}

// A repository in the middle of a publish is asked once more, past caches.
func TestMixedPublishes(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	target := install(t, old)
	missed := false
	r.handle = func(w http.ResponseWriter, req *http.Request) bool {
		if missed || !strings.HasSuffix(req.URL.Path, ".snapshot.json") {
			return false
		}
		missed = true
		http.NotFound(w, req)
		return true
	}
	if err := r.apply(target); err != nil || !missed {
		t.Fatalf("%v, missed %v", err, missed)
	}
	n := 0
	for _, req := range r.requests {
		if strings.HasSuffix(req.URL.Path, "timestamp.json") {
			n++
			if (n == 2) != (req.Header.Get("Cache-Control") == "no-cache") {
				t.Errorf("timestamp request %d has Cache-Control %q", n, req.Header.Get("Cache-Control"))
			}
		}
	}
	if n != 2 {
		t.Errorf("timestamp was asked for %d times, want 2", n)
	}
}

func TestTrustedMirror(t *testing.T) {
	old, new := buildPrograms(t)
	bad, good := newSignedRepo(t, new), newSignedRepo(t, new)
	clear(bad.tuf.Files)
	bad.serve()
	target := install(t, old)
	if err := bad.apply(target, Mirrors(good.URL)); err != nil || !bytes.Equal(read(t, target), new) {
		t.Error(err)
	}
}

// Buckets answer 403 for the next root, which is not there.
func TestForbiddenIsMissing(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.handle = func(w http.ResponseWriter, req *http.Request) bool {
		r.mu.Lock()
		_, there := r.files[req.URL.Path[1:]]
		r.mu.Unlock()
		if !there {
			w.WriteHeader(http.StatusForbidden)
		}
		return !there
	}
	if err := r.apply(install(t, old)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unless told, 403 is an error: %v", err)
	}
	if err := r.apply(install(t, old), HTTPForbiddenIsMissing()); err != nil {
		t.Error(err)
	}
}

// Keys that were rotated away stay away though the server hides the rotation.
func TestHiddenRotationAcrossProcesses(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	target := install(t, old)
	signers := r.tuf.Signers["timestamp"]
	r.tuf.Trust("timestamp", 1, tuftest.Key("timestamp 2"))
	r.tuf.PublishRoot()
	r.sign(new, nil)
	if _, err := Check(context.Background(), r.options(target)...); err != nil {
		t.Fatal(err)
	}
	delete(r.tuf.Files, "2.root.json")
	r.tuf.Signers["timestamp"] = signers
	r.sign(new, nil)
	if err := r.apply(target); !errors.Is(err, ErrUntrusted) {
		t.Errorf("the revoked key is good again: %v", err)
	}
}

func TestTrustWithCustomDownloader(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	quiet := Logger(log.New(io.Discard, "", 0))
	target := install(t, old)
	if err := Apply(r.options(target, quiet, DownloadMethod(&customDownloader{data: new}))...); err != nil || !bytes.Equal(read(t, target), new) {
		t.Errorf("%v", err)
	}
	target = install(t, old)
	if err := Apply(r.options(target, quiet, DownloadMethod(&customDownloader{data: append(new, 0)}))...); !errors.Is(err, ErrUntrusted) {
		t.Errorf("another binary: %v", err)
	}
}

// The version that state.json names counts where the program names none.
func TestOlderThanInstalled(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	target := install(t, old)
	if err := r.apply(target); err != nil {
		t.Fatal(err)
	}
	plan, err := Check(context.Background(), r.options(target, Version("1.2.2"))...)
	if !errors.Is(err, ErrOlderVersion) {
		t.Errorf("%+v, %v, want ErrOlderVersion", plan, err)
	}
	if _, err := Check(context.Background(), r.options(target, Version("1.2.2"), AllowDowngrade())...); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("allowed: %v, want that there is no such release", err)
	}
}

// FetchSpec is a door too.
func TestFetchSpecIsTrusted(t *testing.T) {
	_, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	quiet := Logger(log.New(io.Discard, "", 0))
	target := filepath.Join(t.TempDir(), "tool")
	spec, err := FetchSpec(r.options(target, quiet)...)
	if err != nil || spec.Sha256Hash != sum(new) {
		t.Errorf("%+v, %v", spec, err)
	}
	var doc map[string]any
	if err := json.Unmarshal(r.file("release.json"), &doc); err != nil {
		t.Fatal(err)
	}
	doc["hash"] = goodHash
	changed, _ := json.Marshal(doc)
	r.put("release.json", changed)
	if _, err := FetchSpec(r.options(target, quiet)...); !errors.Is(err, ErrRejected) {
		t.Errorf("changed: %v", err)
	}
}
