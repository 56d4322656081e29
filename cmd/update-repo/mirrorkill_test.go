package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/stores"
	"github.com/choria-io/go-updater/stores/tarfile"
)

// killed is a repository that is mirrored, and its mirror from before it was published to.
type killed struct {
	t             *testing.T
	src, old, key string
}

func (k *killed) call(args ...string) string {
	k.t.Helper()
	var out bytes.Buffer
	if code := run(context.Background(), append(args, "--keys", k.key), &out, &out); code != 0 {
		k.t.Fatalf("%v: exit code %d: %s", args, code, &out)
	}
	return out.String()
}

func (k *killed) add(version string) {
	k.t.Helper()
	path := filepath.Join(k.t.TempDir(), "tool")
	data := make([]byte, 300_000)
	rand.Read(data)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.call("add", path, "--version", version, "--os", "linux", "--arch", "amd64", "--repo", k.src, "--force", "--deltas", "0")
}

// command is a mirror in a process of its own.
func (k *killed) command(dst string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	return &exec.Cmd{Path: self, Args: []string{"update-repo", "mirror", k.src, dst, "--jobs", "3"}}
}

func newKilled(t *testing.T) *killed {
	dir := t.TempDir()
	k := &killed{t, filepath.Join(dir, "src"), filepath.Join(dir, "old"), filepath.Join(dir, "keys")}
	k.call("init", "--product", "tool", "--repo", k.src, "--no-passphrase", "--out", filepath.Join(dir, "root.json"))
	k.add("1.0.0")
	k.call("promote", "1.0.0", "stable", "--repo", k.src)
	if out, err := k.command(k.old).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i := range 6 {
		k.add(fmt.Sprintf("1.%d.0", i+1))
	}
	k.call("rotate", "--renew", "--repo", k.src)
	k.call("promote", "1.6.0", "stable", "--repo", k.src)
	return k
}

// state is how the repository is: the version of its timestamp, if all that this leads to is right.
func (k *killed) state(dst string) int64 {
	k.t.Helper()
	s, err := openReadable(context.Background(), dst)
	if err != nil {
		k.t.Fatal(err)
	}
	a, err := repo.Open(s).Audit(context.Background(), nil)
	if err != nil || len(a.Problems) > 0 {
		k.t.Fatalf("%+v, %v", a, err)
	}
	k.call("verify", "--repo", dst)
	return a.Expires[3].Version
}

// A mirror that is killed at any moment leaves the old state or the new one, and the next one ends. UPDATER_KILLS says how often, `make kills` many times.
func TestKilledMirrors(t *testing.T) {
	k := newKilled(t)
	start := time.Now()
	whole := filepath.Join(t.TempDir(), "whole")
	if err := os.CopyFS(whole, os.DirFS(k.old)); err != nil {
		t.Fatal(err)
	}
	if out, err := k.command(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(start)
	before, after := k.state(k.old), k.state(whole)
	kills := 3
	if n, err := strconv.Atoi(os.Getenv("UPDATER_KILLS")); err == nil {
		kills = n
	}
	r := mathrand.New(mathrand.NewPCG(6, 1))
	seen := map[int64]int{}
	for i := range kills {
		dst := filepath.Join(t.TempDir(), "dst")
		if err := os.CopyFS(dst, os.DirFS(k.old)); err != nil {
			t.Fatal(err)
		}
		for is := before; is != after; {
			c := k.command(dst)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.Int64N(int64(took))))
			c.Process.Kill()
			c.Wait()
			is = k.state(dst)
			if seen[is]++; is != before && is != after {
				t.Fatalf("kill %d: timestamp %d, of %d and %d", i, is, before, after)
			}
		}
		if out, err := k.command(dst).CombinedOutput(); err != nil {
			t.Fatalf("after kill %d: %v: %s", i, err, out)
		}
		sameFolders(t, whole, dst)
	}
	t.Logf("%d mirrors killed: %d left the old state, %d the new one", seen[before]+seen[after], seen[before], seen[after])
	if seen[before] == 0 {
		t.Error("none was killed in time")
	}
}

// sameFolders compares what is served; writes that were cut short are not.
func sameFolders(t *testing.T, a, b string) {
	t.Helper()
	read := func(dir string) map[string]string {
		all := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".part") {
				return err
			}
			data, err := os.ReadFile(path)
			all[strings.TrimPrefix(path, dir)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	x, y := read(a), read(b)
	for name, data := range x {
		if y[name] != data {
			t.Errorf("%s differs", name)
		}
	}
	if len(x) != len(y) {
		t.Errorf("%d and %d files", len(x), len(y))
	}
}

// What a mirror says to do differs from what a client or a publisher is told.
func TestMirrorHints(t *testing.T) {
	c := mirrorCommand()
	for err, want := range map[error]string{
		updater.ErrExpired: "have the source signed anew", updater.ErrOlderMetadata: "restored from a backup", repo.ErrDiverged: "publish to one",
		repo.ErrUntrusted: "does not follow", updater.ErrMetadata: "does not follow", updater.ErrRejected: "damaged in the source",
		tarfile.ErrInvalid: "copy the file again", stores.ErrReadOnly: "behind the web server", repo.ErrBusy: "run it again",
	} {
		if got := hintFor(c, fmt.Errorf("mirroring: %w", err)); !strings.Contains(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestMirrorLine(t *testing.T) {
	p := repo.MirrorProgress{Files: 3, FilesTotal: 12, Bytes: 2_500_000, BytesCopied: 2_000_000, BytesTotal: 10_000_000}
	if got := mirrorLine(p, 4*time.Second); got != "3 of 12 files, 2.5 of 10.0 MB, 0.5 MB/s" {
		t.Error(got)
	}
	var out bytes.Buffer
	b := &bar{w: &out}
	b.status("a long text")
	b.status("not drawn, since it comes at once")
	b.drawn = time.Time{}
	b.status("short")
	b.end()
	if got := out.String(); got != "\ra long text\rshort                            \rshort\n" {
		t.Errorf("%q", got)
	}
	var none *bar
	none.status("x")
	none.end()
}
