package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/store/storetest"
)

var ctx = context.Background()

// elf is an executable for linux/amd64 as far as its header goes, of bytes
// that seed chooses and that do compress.
func elf(seed uint64) []byte {
	head := "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"
	r, body := rand.New(rand.NewPCG(seed, 1)), make([]byte, 50_000)
	for i := range body {
		body[i] = byte(r.IntN(16))
	}
	return append([]byte(head), body...)
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "choria")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func addition(t *testing.T, data []byte) Addition {
	return Addition{Path: write(t, data), Name: "choria", Version: "1.2.3", OS: "linux", Arch: "amd64"}
}

// files are the names and contents below a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".publisher-lock.part" {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// whole returns the hash of the release that clients see in dir, "" where there is none, and
// fails the test if any file of it is not as release.json says.
func whole(t *testing.T, dir string) string {
	t.Helper()
	list, err := Open(store.NewDir(dir)).List(ctx)
	if err != nil || len(list) > 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if len(list) == 0 {
		return ""
	}
	if err := Verify(ctx, store.NewDir(dir), list[0], nil); err != nil {
		t.Error(err)
	}
	if list[0].Spec == nil {
		return list[0].Err
	}
	return list[0].Spec.Sha256Hash
}

func TestAddIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	r, a := Open(store.NewDir(dir)), addition(t, elf(1))
	reports := map[string]int64{}
	a.Uncompressed, a.Progress = true, func(file string, done, total int64) {
		if done > total {
			t.Errorf("%s: %d of %d bytes", file, done, total)
		}
		reports[file] = done
	}
	release, err := r.Add(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	first := files(t, dir)
	want := []string{"1.2.3/linux/amd64/choria", "1.2.3/linux/amd64/choria.bz2", "1.2.3/linux/amd64/choria.zst", "1.2.3/linux/amd64/release.json"}
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("files %v", got)
	}
	if first[want[0]] != string(elf(1)) || release.Spec.Size != int64(len(elf(1))) || len(reports) != 3 || reports["choria.zst"] != release.Spec.Size {
		t.Errorf("%+v, progress %v", release.Spec, reports)
	}
	again, err := Open(&readOnly{Store: store.NewDir(dir)}).Add(ctx, a)
	if err != nil || again.Spec.Sha256Hash != sum(elf(1)) || !maps.Equal(files(t, dir), first) {
		t.Errorf("again: %v", err)
	}
	if whole(t, dir) != sum(elf(1)) {
		t.Error("the release is not the binary")
	}
}

// readOnly fails each write.
type readOnly struct{ store.Store }

func (*readOnly) Put(context.Context, string, io.Reader) error { return errors.New("a write") }
func (*readOnly) Delete(context.Context, string) error         { return errors.New("a delete") }

func TestAddRefuses(t *testing.T) {
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	if _, err := r.Add(ctx, addition(t, elf(1))); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	for name, c := range map[string]struct {
		edit func(*Addition)
		want string
	}{
		"other bytes":        {func(a *Addition) { a.Path = write(t, elf(2)) }, ErrExists.Error()},
		"text":               {func(a *Addition) { a.Path, a.Version = write(t, []byte("text")), "2" }, updater.ErrNotExecutable.Error()},
		"other platform":     {func(a *Addition) { a.OS, a.Version = "windows", "2" }, updater.ErrOtherPlatform.Error()},
		"unknown arch":       {func(a *Addition) { a.Arch = "x86_64" }, "amd64"},
		"unknown os":         {func(a *Addition) { a.OS = "macos" }, "darwin"},
		"version of parents": {func(a *Addition) { a.Version = ".." }, "version"},
		"name with a folder": {func(a *Addition) { a.Name = "a/b" }, "plain file name"},
		"no such file":       {func(a *Addition) { a.Path += ".none" }, "choria.none"},
	} {
		a := addition(t, elf(1))
		c.edit(&a)
		if _, err := r.Add(ctx, a); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if !maps.Equal(files(t, dir), before) {
		t.Error("a refusal left traces")
	}
	a := addition(t, elf(2))
	a.Version, a.OS, a.Force = "2", "plan10", true
	if _, err := r.Add(ctx, a); err != nil {
		t.Errorf("an unknown platform, forced: %v", err)
	}
}

// Whichever call of the store fails, a replaced release stays or is replaced, whole.
func TestFailuresLeaveARelease(t *testing.T) {
	broken := errors.New("broken store")
	for _, start := range []string{"nothing", "a release"} {
		old := ""
		for at, failed := int64(1), true; failed; at++ {
			dir := t.TempDir()
			if start == "a release" {
				if _, err := Open(store.NewDir(dir)).Add(ctx, addition(t, elf(1))); err != nil {
					t.Fatal(err)
				}
				old = sum(elf(1))
			}
			a := addition(t, elf(2))
			a.Force, a.Uncompressed = true, true
			_, err := Open(&storetest.Failing{Store: store.NewDir(dir), At: at, Err: broken}).Add(ctx, a)
			if failed = err != nil; failed && !errors.Is(err, broken) {
				t.Fatal(err)
			}
			got := whole(t, dir)
			if got != old && got != sum(elf(2)) || !failed && got != sum(elf(2)) {
				t.Errorf("%s, call %d fails (%v): clients see %q", start, at, err, got)
			}
			if _, err := Open(store.NewDir(dir)).Add(ctx, a); err != nil || whole(t, dir) != sum(elf(2)) {
				t.Errorf("%s, call %d: a rerun: %v", start, at, err)
			}
			if !failed && at < 5 {
				t.Errorf("%s: only %d calls", start, at-1)
			}
		}
	}
}

// A build that still writes to the file must not become a release whose archives differ.
func TestFileChangesMeanwhile(t *testing.T) {
	dir := t.TempDir()
	a := addition(t, elf(1))
	a.Progress = func(file string, done, total int64) {
		if file == "choria.zst" && done == total {
			os.WriteFile(a.Path, elf(2), 0o600)
		}
	}
	if _, err := Open(store.NewDir(dir)).Add(ctx, a); !errors.Is(err, ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
	if got := whole(t, dir); got != "" {
		t.Errorf("clients see %s", got)
	}
}

func TestForcedAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	for i := range uint64(4) {
		a := addition(t, elf(i))
		a.Force = true
		if _, err := r.Add(ctx, a); err != nil {
			t.Fatal(err)
		}
		if unnamed, err := r.Unnamed(ctx); err != nil || len(unnamed) != 0 || whole(t, dir) != sum(elf(i)) || len(files(t, dir)) != 3 {
			t.Errorf("round %d: %v, %v, %v", i, unnamed, err, slices.Sorted(maps.Keys(files(t, dir))))
		}
	}
}

func TestSigning(t *testing.T) {
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	public, private, _ := ed25519.GenerateKey(nil)
	a := addition(t, elf(1))
	if _, err := r.Add(ctx, a); err != nil {
		t.Fatal(err)
	}
	list, _ := r.List(ctx)
	if err := Verify(ctx, store.NewDir(dir), list[0], public); !errors.Is(err, updater.ErrSignature) {
		t.Errorf("unsigned: %v", err)
	}
	before := files(t, dir)
	a.Key = private
	if _, err := r.Add(ctx, a); err != nil {
		t.Fatal(err)
	}
	after := files(t, dir)
	if err := Verify(ctx, store.NewDir(dir), list[0], public); err != nil || before["1.2.3/linux/amd64/choria.zst"] != after["1.2.3/linux/amd64/choria.zst"] {
		t.Errorf("signed later: %v", err)
	}
}

func TestZstHandedIn(t *testing.T) {
	encode := func(data []byte, window int) string {
		enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(window))
		if err != nil {
			t.Fatal(err)
		}
		return write(t, enc.EncodeAll(data, nil))
	}
	large := append(elf(1), make([]byte, 3*updater.MaxWindow)...)
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	for name, c := range map[string]struct{ binary, zst, want string }{
		"another binary": {write(t, elf(1)), encode(elf(2), 1<<20), "another binary"},
		"a longer one":   {write(t, elf(1)), encode(append(elf(1), 0), 1<<20), "another binary"},
		"no archive":     {write(t, elf(1)), write(t, []byte("text")), "decoding it"},
		"large window":   {write(t, large), encode(large, 2*updater.MaxWindow), "window"},
	} {
		a := addition(t, nil)
		a.Path, a.Zst = c.binary, c.zst
		if _, err := r.Add(ctx, a); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if n := len(files(t, dir)); n != 0 {
		t.Errorf("%d files were published", n)
	}
	a := addition(t, elf(1))
	a.Zst = encode(elf(1), 1<<20)
	if _, err := r.Add(ctx, a); err != nil {
		t.Fatal(err)
	}
	archive, _ := os.ReadFile(a.Zst)
	if whole(t, dir) != sum(elf(1)) || files(t, dir)["1.2.3/linux/amd64/choria.zst"] != string(archive) {
		t.Error("the archive was not taken as it is")
	}
}

func TestVerifySeesDamage(t *testing.T) {
	for name, damage := range map[string]func(folder string){
		"zst flipped": func(f string) { flip(t, f+"/choria.zst") },
		"bz2 flipped": func(f string) { flip(t, f+"/choria.bz2") },
		"plain gone":  func(f string) { os.Remove(f + "/choria") },
		"bz2 cut":     func(f string) { os.Truncate(f+"/choria.bz2", 1000) },
		"zst longer":  func(f string) { appendTo(t, f+"/choria.zst") },
		"v0.1.0, bz2 flipped": func(f string) {
			flip(t, f+"/choria.bz2")
			spec := `{"binary":"choria.bz2","hash":"` + sum(elf(1)) + `"}`
			if err := os.WriteFile(f+"/release.json", []byte(spec), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"json garbled": func(f string) { os.Truncate(f+"/release.json", 20) },
	} {
		dir := t.TempDir()
		r, a := Open(store.NewDir(dir)), addition(t, elf(1))
		a.Uncompressed = true
		if _, err := r.Add(ctx, a); err != nil {
			t.Fatal(err)
		}
		damage(filepath.Join(dir, "1.2.3/linux/amd64"))
		list, err := r.List(ctx)
		if err != nil || len(list) != 1 || Verify(ctx, store.NewDir(dir), list[0], nil) == nil {
			t.Errorf("%s is not seen: %v, %v", name, list, err)
		}
	}
}

func flip(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	os.WriteFile(path, data, 0o600)
}

func appendTo(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(path, append(bytes.Clone(data), 0), 0o600)
}

func TestUnnamedAndRemove(t *testing.T) {
	dir := t.TempDir()
	s := store.NewDir(dir)
	r := Open(s)
	if _, err := r.Add(ctx, addition(t, elf(1))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.2.3/linux/amd64/stray", "1.2.3/linux/arm64/choria.zst", "metadata/1.root.json", "README"} {
		if err := s.Put(ctx, name, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"1.2.3/linux/amd64/stray", "1.2.3/linux/arm64/choria.zst"}
	if got, err := r.Unnamed(ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("unnamed %v, %v", got, err)
	}
	if n, err := r.Remove(ctx, "1.2.3", "linux", "amd64"); err != nil || n != 4 {
		t.Errorf("removed %d, %v", n, err)
	}
	if _, err := r.Remove(ctx, "1.2.3", "linux", "amd64"); err == nil {
		t.Error("removed twice")
	}
	if list, err := r.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("list %v, %v", list, err)
	}
}

// release.json goes first, or is none to clients from then on, so that they are not sent to files that are gone.
func TestRemoveInterrupted(t *testing.T) {
	for at := int64(1); ; at++ {
		dir := t.TempDir()
		if _, err := Open(store.NewDir(dir)).Add(ctx, addition(t, elf(1))); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken store")
		_, err := Open(&storetest.Failing{Store: store.NewDir(dir), At: at, Err: broken}).Remove(ctx, "1.2.3", "linux", "amd64")
		if list, err := Open(store.NewDir(dir)).List(ctx); err == nil && len(list) == 1 && list[0].Err == errRemoving.Error() {
			continue // no client takes it for a release
		}
		if got := whole(t, dir); got != "" && got != sum(elf(1)) {
			t.Errorf("call %d: clients see %q", at, got)
		}
		if err == nil {
			return
		}
	}
}
