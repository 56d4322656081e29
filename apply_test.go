package updater

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/store"
)

// bzip2 of "testing\n".
var testingBzip2, _ = base64.StdEncoding.DecodeString("QlpoOTFBWSZTWT8QdcoAAANBgAAQAqEMACAAMQwBBptChwEou5IpwoSB+IOuUA==")

var applyVariable func(...Option) error = Apply

func TestApplyAsInV010(t *testing.T) {
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("target file"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	r.put("choria.bz2", testingBzip2)
	r.put("release.json", []byte(`{"binary":"choria.bz2","hash":"`+sum([]byte("testing\n"))+`"}`))
	opts := r.options(target, Logger(log.New(io.Discard, "", 0)))
	spec, err := FetchSpec(opts...)
	if err != nil || spec.BinaryURI.String() != r.URL+"/"+testFolder+"choria.bz2" {
		t.Fatalf("%+v, %v", spec, err)
	}
	if err := applyVariable(opts...); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, target)); got != "testing\n" {
		t.Errorf("target is %q", got)
	}
	if got := string(read(t, target+".backup")); got != "target file" {
		t.Errorf("backup is %q", got)
	}
	if _, err := FetchSpec(); err == nil || err.Error() != "invalid updater configuration: no source repo given, please use SourceRepo()" {
		t.Errorf("without options: %v", err)
	}
	if RollbackError(errors.New("x")) != nil || RollbackError(nil) != nil {
		t.Error("an error is taken for a failed rollback")
	}
}

// refused runs an update that must fail with want, and change nothing.
func refused(t *testing.T, r *testRepo, want error, more ...Option) {
	t.Helper()
	old, _ := buildPrograms(t)
	target := install(t, old)
	_, err := ApplyContext(context.Background(), r.options(target, append([]Option{Attempts(1)}, more...)...)...)
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	if !bytes.Equal(read(t, target), old) {
		t.Error("the target was changed")
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(target), ".*.updater-*"))
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestHostileRepositories(t *testing.T) {
	_, new := buildPrograms(t)
	for name, c := range map[string]struct {
		want    error
		publish func(r *testRepo)
	}{
		"no such release": {fs.ErrNotExist, func(r *testRepo) { r.files = map[string][]byte{} }},
		"other content":   {ErrRejected, func(r *testRepo) { r.put("tool.zst", zstdOf(t, []byte("other"))) }},
		"hash of another binary": {ErrHash, func(r *testRepo) {
			r.publish(t, new, func(s map[string]any) { s["hash"] = goodHash; s["binary"] = "tool.zst" })
		}},
		"larger window than allowed": {ErrRejected, func(r *testRepo) {
			r.publish(t, new, func(s map[string]any) {
				s["artifacts"] = []any{map[string]any{"file": "w.zst", "encoding": "zstd"}}
				s["binary"] = "w.zst"
			})
			r.put("w.zst", []byte("\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00"))
		}},
		"truncated archive": {ErrRejected, func(r *testRepo) {
			archive := zstdOf(t, new)
			r.publish(t, new, func(s map[string]any) {
				s["artifacts"] = []any{map[string]any{"file": "t.zst", "encoding": "zstd"}}
				s["binary"] = "t.zst"
			})
			r.put("t.zst", archive[:len(archive)/2])
		}},
		"trailing data": {ErrRejected, func(r *testRepo) {
			r.publish(t, new, func(s map[string]any) {
				s["artifacts"] = []any{map[string]any{"file": "t.zst", "encoding": "zstd"}}
				s["binary"] = "t.zst"
			})
			r.put("t.zst", append(zstdOf(t, new), "and more"...))
		}},
		"not an executable": {ErrNotExecutable, func(r *testRepo) { r.publish(t, []byte("#!/bin/sh\nexit\n"), nil) }},
		"captive portal": {ErrRejected, func(r *testRepo) {
			r.handle = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, "<html>log in</html>")
				return true
			}
		}},
		"endless": {store.ErrTooLarge, func(r *testRepo) {
			r.handle = func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.HasSuffix(req.URL.Path, "release.json") {
					return false
				}
				for range 1000 { // not more, should the limit fail
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						break
					}
				}
				return true
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.publish(t, new, nil)
			c.publish(r)
			refused(t, r, c.want)
		})
	}
}

func TestPreflightComesFirst(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	cases := map[string]struct {
		want  error
		spoil func(target string)
	}{
		"target missing":          {ErrTargetMissing, func(target string) { os.Remove(target) }},
		"backup a folder":         {ErrObstructed, func(target string) { os.MkdirAll(target+".backup/x", 0o700) }},
		"temp a folder":           {ErrObstructed, func(target string) { os.MkdirAll(filepath.Join(tempOf(target), "x"), 0o700) }},
		"state.json a folder":     {ErrObstructed, folderIn("state.json")},
		"state.json.new a folder": {ErrObstructed, folderIn("state.json.new")},
		"spool a folder":          {ErrObstructed, folderIn("spool")},
		"spool.json a folder":     {ErrObstructed, folderIn("spool.json")},
		"state a link":            {ErrObstructed, func(target string) { os.Symlink("/tmp", swap.StateDir(target)) }},
		"world-writable":          {ErrUnsafeFolder, func(target string) { os.Chmod(filepath.Dir(target), 0o777) }},
	}
	if runtime.GOOS == "windows" {
		delete(cases, "world-writable") // a mode says nothing there
	}
	for name, c := range cases {
		target := install(t, old)
		c.spoil(target)
		if _, err := ApplyContext(context.Background(), r.options(target)...); !errors.Is(err, c.want) || Hint(err) == "" {
			t.Errorf("%s: %v (hint %q), want %v", name, err, Hint(err), c.want)
		}
		_, found, err := Diagnose(context.Background(), r.options(target)...) // owner, folder, state, ...
		if err != nil && !errors.Is(err, c.want) || err == nil && found[1].OK && found[2].OK && name != "temp a folder" {
			t.Errorf("%s: the diagnosis says %v (%v)", name, found, err)
		}
	}
	if r.count() != 0 {
		t.Errorf("%d requests were made", r.count())
	}
}

func folderIn(name string) func(target string) {
	return func(target string) { os.MkdirAll(filepath.Join(swap.StateDir(target), name), 0o700) }
}

func TestPlantedLinks(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(target)
	for _, name := range []string{".tool.updater-new", ".tool.updater-bak", "tool.backup", "tool.new"} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil {
		t.Fatal(err)
	}
	if string(read(t, victim)) != "precious" || !bytes.Equal(read(t, target), new) || !bytes.Equal(read(t, target+".backup"), old) {
		t.Error("a planted link was followed")
	}
}

func TestSymlinkedTargetAndRollback(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	var steps []Step
	opts := r.options(link, OnEvent(func(e Event) { steps = append(steps, e.Step) }))
	plan, err := Check(context.Background(), opts...)
	if err != nil || plan.UpToDate || plan.Artifact.Encoding != Zstd || plan.Fetch != plan.Artifact.Size {
		t.Fatalf("%+v, %v", plan, err)
	}
	staged, err := plan.Stage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ApplyContext(context.Background(), opts...); !errors.Is(err, ErrBusy) {
		t.Errorf("a second updater: %v", err)
	}
	result, err := staged.Apply(context.Background())
	if err != nil || !result.Applied {
		t.Fatalf("%+v, %v", result, err)
	}
	if info, _ := os.Lstat(link); info.Mode()&fs.ModeSymlink == 0 || !bytes.Equal(read(t, target), new) {
		t.Error("the link is gone or the target is not new")
	}
	again, err := ApplyContext(context.Background(), opts...)
	if err != nil || again.Applied || !bytes.Equal(read(t, target+".backup"), old) {
		t.Errorf("nothing to do: %+v, %v", again, err)
	}
	for range 2 {
		if _, err := Rollback(context.Background(), TargetFile(link)); err != nil || !bytes.Equal(read(t, target), old) {
			t.Errorf("rollback: %v", err)
		}
	}
	if !bytes.Equal(read(t, target+".backup"), old) {
		t.Error("the backup did not survive")
	}
	if len(steps) == 0 {
		t.Error("no events")
	}
}

func TestTampered(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	plan, err := Check(context.Background(), r.options(target)...)
	if err != nil {
		t.Fatal(err)
	}
	staged, err := plan.Stage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(tempOf(target), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("evil"), 100)
	f.Close()
	if _, err := staged.Apply(context.Background()); !errors.Is(err, ErrTampered) || !bytes.Equal(read(t, target), old) {
		t.Errorf("%v, want ErrTampered", err)
	}
}

func TestSignatures(t *testing.T) {
	_, new := buildPrograms(t)
	public, private, _ := ed25519.GenerateKey(nil)
	other, _, _ := ed25519.GenerateKey(nil)
	sign := func(version, arch string) func(map[string]any) {
		return func(s map[string]any) {
			spec := Spec{Sha256Hash: sum(new), Size: int64(len(new))}
			s["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(private, spec.SignedText(version, runtime.GOOS, arch)))
		}
	}
	for name, c := range map[string]struct {
		key  []byte
		edit func(map[string]any)
		want error
	}{
		"good":          {public, sign("1.2.3", runtime.GOARCH), nil},
		"unsigned":      {public, nil, ErrSignature},
		"other key":     {other, sign("1.2.3", runtime.GOARCH), ErrSignature},
		"other version": {public, sign("1.2.2", runtime.GOARCH), ErrSignature},
		"other arch":    {public, sign("1.2.3", "mips"), ErrSignature},
		"other size":    {public, func(s map[string]any) { sign("1.2.3", runtime.GOARCH)(s); s["size"] = len(new) + 1 }, ErrSignature},
		"malformed":     {public, func(s map[string]any) { s["signature"] = "x" }, ErrSignature},
	} {
		r := newRepo(t)
		r.publish(t, new, c.edit)
		if c.want != nil {
			refused(t, r, c.want, PublicKey(c.key))
			continue
		}
		old, _ := buildPrograms(t)
		if _, err := ApplyContext(context.Background(), r.options(install(t, old), PublicKey(c.key))...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that is none is told before anything is asked for: crypto/ed25519 panics at it.
func TestPublicKeySize(t *testing.T) {
	_, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, func(s map[string]any) {
		s["signature"] = base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	})
	for _, n := range []int{1, ed25519.PublicKeySize - 1, ed25519.PublicKeySize + 1, ed25519.PrivateKeySize} {
		if _, err := Check(context.Background(), r.options(install(t, new), PublicKey(make([]byte, n)))...); err == nil {
			t.Errorf("a key of %d bytes is accepted", n)
		}
	}
	if r.count() != 0 {
		t.Errorf("%d requests were made", r.count())
	}
}

// A connection that is cut goes on where it was, in the same process.
func TestResume(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	cut := false
	r.handle = func(w http.ResponseWriter, req *http.Request) bool {
		if cut || !strings.HasSuffix(req.URL.Path, ".zst") {
			return false
		}
		cut = true
		data := r.files[testFolder+"tool.zst"]
		w.Header().Set("ETag", `"`+sum(data)+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:len(data)/2])
		return true
	}
	target := install(t, old)
	if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil {
		t.Fatal(err)
	}
	last := r.requests[len(r.requests)-1]
	if last.Header.Get("Range") == "" || last.Header.Get("If-Range") == "" || !bytes.Equal(read(t, target), new) {
		t.Errorf("the last request has headers %v", last.Header)
	}
}

func TestMirrors(t *testing.T) {
	old, new := buildPrograms(t)
	bad, good := newRepo(t), newRepo(t)
	good.publish(t, new, nil)
	bad.publish(t, new, nil)
	bad.put("tool.zst", []byte("garbage"))
	target := install(t, old)
	if _, err := ApplyContext(context.Background(), bad.options(target, Mirrors(good.URL))...); err != nil || !bytes.Equal(read(t, target), new) {
		t.Errorf("with a mirror: %v", err)
	}
	noCache := 0
	for _, req := range bad.requests {
		if strings.HasSuffix(req.URL.Path, ".zst") && req.Header.Get("Cache-Control") == "no-cache" {
			noCache++
		}
	}
	if noCache != 1 {
		t.Errorf("caches were bypassed %d times, want once", noCache)
	}
}

// A repository that is down costs no pauses while there is another one.
func TestFirstRepositoryDown(t *testing.T) {
	old, new := buildPrograms(t)
	down, good := newSignedRepo(t, new), newSignedRepo(t, new)
	down.Close()
	tried := OnEvent(func(e Event) {
		if e.Step == StepWarning && strings.Contains(e.Message, "; retry") {
			t.Errorf("warning: %s", e.Message)
		}
	})
	for name, options := range map[string]func(target string, more ...Option) []Option{
		"unsigned": down.testRepo.options,
		"signed":   down.options,
	} {
		target := install(t, old)
		if _, err := ApplyContext(context.Background(), options(target, Mirrors(good.URL), tried)...); err != nil || !bytes.Equal(read(t, target), new) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancelAndHang(t *testing.T) {
	_, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	r.handle = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-hang
		return true
	}
	refused(t, r, store.ErrStalled, HTTPTimeouts(store.Timeouts{Idle: 200 * time.Millisecond}))
	r.CloseClientConnections()
}

type customDownloader struct {
	cfg  *Config
	data []byte
}

func (d *customDownloader) Configure(c *Config) error { d.cfg = c; return nil }
func (d *customDownloader) FetchSpec() (*Spec, error) { return &Spec{Sha256Hash: sum(d.data)}, nil }
func (d *customDownloader) FetchBinary(_ *Spec, _ string) error {
	return os.WriteFile(d.cfg.TargetFile+".new", d.data, 0o600)
}

func TestCustomDownloader(t *testing.T) {
	old, new := buildPrograms(t)
	target := install(t, old)
	err := Apply(TargetFile(target), SourceRepo("nowhere"), Version("1"), Logger(log.New(io.Discard, "", 0)),
		DownloadMethod(&customDownloader{data: new}))
	if err != nil || !bytes.Equal(read(t, target), new) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(target + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the downloaded file is left")
	}
}

func TestNoRoom(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	refused(t, r, ErrNoRoom, onDiskWith(1<<10))
	if r.count() != 0 {
		t.Errorf("%d requests were made", r.count())
	}

	// Room for the binary alone: how large the download is says release.json, and it may be a delta.
	room := onDiskWith(uint64(len(new)) + slack + 10_000)
	refused(t, r, ErrNoRoom, room)
	if r.count() != 1 {
		t.Errorf("%d requests were made, want that for release.json", r.count())
	}
	d := newDeltaRepo(t)
	d.add(t, "1.2.2", old)
	d.add(t, "1.2.3", new, "1.2.2")
	target := install(t, old)
	if _, err := ApplyContext(context.Background(), d.options(target, room)...); err != nil || !bytes.Equal(read(t, target), new) {
		t.Errorf("a delta for which there is room: %v", err)
	}
}

// onDiskWith has a disk say that so many bytes are free.
func onDiskWith(free uint64) Option {
	return func(c *Config) error { c.fs = smallDisk{disk.OS, free}; return nil }
}

type smallDisk struct {
	disk.FS
	free uint64
}

func (d smallDisk) Free(string) (uint64, error) { return d.free, nil }
