package repo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// build makes three versions of a program for linux/amd64, once.
var build = sync.OnceValues(func() (list [][]byte, err error) {
	dir, err := os.MkdirTemp("", "deltas")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for i := range 3 {
		source := "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"version\"" + strings.Repeat(", step(1)", i) + ") }\n\nfunc step(n int) int { return n + " + fmt.Sprint(i) + " }\n"
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
			return nil, err
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "program", "main.go")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off", "GOOS=linux", "GOARCH=amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(dir, "program"))
		if err != nil {
			return nil, err
		}
		list = append(list, data)
	}
	return list, nil
})

func programs(t testing.TB) [][]byte {
	t.Helper()
	list, err := build()
	must(t, err)
	return list
}

// similar is data of which three quarters do not depend on i.
func similar(i uint64) []byte {
	data := make([]byte, 20_000)
	for at := range data {
		data[at] = byte(rand.New(rand.NewPCG(uint64(at)/100, 7)).Uint32() >> (at % 24))
	}
	copy(data, elf(0)[:20])
	copy(data[5000:], fmt.Sprintf("this is number %d", i))
	return data
}

func versionOf(t *testing.T, version string, data []byte, deltas Deltas) Addition {
	t.Helper()
	a := addition(t, data)
	a.Version, a.Deltas, a.Force = version, deltas, true
	return a
}

func addVersion(t *testing.T, r *Repo, version string, data []byte, deltas Deltas) *Release {
	t.Helper()
	release, err := r.Add(ctx, versionOf(t, version, data, deltas))
	must(t, err)
	return release
}

// from are the versions that a release has deltas from.
func from(t testing.TB, r *Repo, version string) string {
	t.Helper()
	spec, err := r.spec(ctx, version+"/linux/amd64/release.json")
	must(t, err)
	var list []string
	for _, d := range spec.Deltas {
		list = append(list, d.Version)
	}
	return strings.Join(list, " ")
}

func verifyAll(t *testing.T, dir string, opts ...updater.Option) {
	t.Helper()
	r := Open(store.NewDir(dir))
	list, err := r.List(ctx)
	must(t, err)
	for _, release := range list {
		if err := Verify(ctx, store.NewDir(dir), release, nil, opts...); err != nil {
			t.Error(err)
		}
	}
	if unnamed, err := r.Unnamed(ctx); err != nil || len(unnamed) > 0 {
		t.Errorf("unnamed: %v, %v", unnamed, err)
	}
}

func TestDeltasMadeByAdd(t *testing.T) {
	p, dir := programs(t), t.TempDir()
	r := Open(store.NewDir(dir))
	addVersion(t, r, "1.9.0", p[0], Deltas{Last: 3})
	addVersion(t, r, "1.10.0", p[1], Deltas{Last: 3})
	release := addVersion(t, r, "1.11.0", p[2], Deltas{Last: 3})
	if got := from(t, r, "1.11.0"); got != "1.10.0 1.9.0" {
		t.Fatalf("deltas from %q", got)
	}
	d := release.Spec.Deltas[1]
	if d.From != sum(p[0]) || d.File != "choria."+sum(p[0])[:16]+".delta" || d.Size <= 0 || d.Size > int64(len(p[2]))/20 {
		t.Errorf("%+v", d)
	}
	verifyAll(t, dir)

	before := files(t, dir)
	a := versionOf(t, "1.11.0", p[2], Deltas{Last: 1})
	a.Force = false
	_, err := r.Add(ctx, a)
	must(t, err)
	if fmt.Sprint(files(t, dir)) != fmt.Sprint(before) {
		t.Error("adding the same again changes something")
	}
	// A patch of an old line has deltas from what is older, not from what is newer.
	addVersion(t, r, "1.9.1", p[1], Deltas{Last: 3})
	if got := from(t, r, "1.9.1"); got != "1.9.0" {
		t.Errorf("deltas from %q", got)
	}
	addVersion(t, r, "1.12.0", p[0], Deltas{Last: 1})
	if got := from(t, r, "1.12.0"); got != "1.11.0" {
		t.Errorf("deltas from %q", got)
	}
}

// A release that is replaced gets deltas of its own, and those from it are dropped: they are for another binary.
func TestDeltasOfReplacedBase(t *testing.T) {
	p, dir := programs(t), t.TempDir()
	r := Open(store.NewDir(dir))
	addVersion(t, r, "1.0.0", p[0], Deltas{})
	old := addVersion(t, r, "1.1.0", p[1], Deltas{Last: 3}).Spec.Deltas[0].File
	stale := addVersion(t, r, "1.2.0", p[2], Deltas{Last: 1}).Spec.Deltas[0].File

	other := append(bytes.Clone(p[1]), 0)
	addVersion(t, r, "1.1.0", other, Deltas{Last: 3})
	if _, err := os.Stat(filepath.Join(dir, "1.1.0/linux/amd64", old)); err == nil {
		t.Errorf("%s is left", old)
	}
	baseless, err := r.Baseless(ctx)
	if err != nil || fmt.Sprint(baseless) != "[1.2.0/linux/amd64/"+stale+"]" {
		t.Errorf("%v, %v", baseless, err)
	}
	verifyAll(t, dir)

	changes, err := r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 2}})
	if err != nil || len(changes) != 1 || changes[0].Version != "1.2.0" || changes[0].Made != 2 || changes[0].Dropped != 1 {
		t.Fatalf("%+v, %v", changes, err)
	}
	verifyAll(t, dir)
	spec, err := r.spec(ctx, "1.2.0/linux/amd64/release.json")
	if err != nil || len(spec.Deltas) != 2 || spec.Deltas[0].From != sum(other) {
		t.Errorf("%+v, %v", spec, err)
	}
	before := files(t, dir)
	if changes, err := r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 2}}); err != nil || len(changes) != 0 || fmt.Sprint(files(t, dir)) != fmt.Sprint(before) {
		t.Errorf("again: %+v, %v", changes, err)
	}
}

func TestOpaqueVersions(t *testing.T) {
	r := Open(&store.Mem{})
	addVersion(t, r, "nightly", similar(1), Deltas{})
	addVersion(t, r, "weekly", similar(2), Deltas{Last: 3})
	addVersion(t, r, "1.0.0", similar(3), Deltas{Last: 3})
	if got := from(t, r, "weekly") + from(t, r, "1.0.0"); got != "" {
		t.Errorf("deltas from %q", got)
	}
	addVersion(t, r, "monthly", similar(4), Deltas{Last: 3, From: []string{"nightly", "1.0.0"}})
	if got := from(t, r, "monthly"); got != "nightly 1.0.0" {
		t.Errorf("deltas from %q", got)
	}
	for _, v := range []string{"gone", "../x", "yearly"} {
		_, err := r.Add(ctx, versionOf(t, "yearly", similar(5), Deltas{From: []string{v}}))
		if err == nil || !strings.Contains(err.Error(), "a delta from") {
			t.Errorf("from %s: %v", v, err)
		}
		if _, err := r.release(ctx, "yearly", "linux", "amd64"); err == nil {
			t.Errorf("from %s: it is published", v)
		}
	}
}

// What saves too little is not kept; a base that is damaged stops nothing unless it was named.
func TestDeltasNotKept(t *testing.T) {
	r := Open(&store.Mem{})
	var notes []string
	note := func(text string) { notes = append(notes, text) }
	noise := func(seed uint64) []byte {
		random, data := rand.New(rand.NewPCG(seed, 9)), make([]byte, 20_000)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		return data
	}
	addVersion(t, r, "1.0.0", noise(1), Deltas{})
	addVersion(t, r, "1.1.0", noise(2), Deltas{Last: 3, Note: note})
	if from(t, r, "1.1.0") != "" || len(notes) != 1 || !strings.Contains(notes[0], "save too little") {
		t.Errorf("%s, notes %q", from(t, r, "1.1.0"), notes)
	}
	must(t, r.store.Put(ctx, "1.0.0/linux/amd64/choria.zst", strings.NewReader("damaged")))
	addVersion(t, r, "1.2.0", similar(1), Deltas{})
	addVersion(t, r, "1.3.0", similar(2), Deltas{Last: 3})
	if got := from(t, r, "1.3.0"); !strings.HasPrefix(got, "1.2.0") {
		t.Errorf("deltas from %q", got)
	}
	// The other archive serves as well.
	must(t, r.store.Put(ctx, "1.2.0/linux/amd64/choria.zst", strings.NewReader("damaged")))
	addVersion(t, r, "1.4.0", similar(3), Deltas{From: []string{"1.2.0"}})
	must(t, r.store.Put(ctx, "1.2.0/linux/amd64/choria.bz2", strings.NewReader("damaged")))
	if _, err := r.Add(ctx, versionOf(t, "1.5.0", similar(4), Deltas{From: []string{"1.2.0"}})); err == nil {
		t.Error("a damaged base that was named is passed over")
	}
	notes = nil
	addVersion(t, r, "1.2.1", similar(4), Deltas{Last: 1, Note: note})
	if from(t, r, "1.2.1") != "" || len(notes) != 1 || !strings.Contains(notes[0], "choria.bz2") {
		t.Errorf("%s, notes %q", from(t, r, "1.2.1"), notes)
	}
}

func TestVerifyDeltas(t *testing.T) {
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	addVersion(t, r, "1.0.0", similar(1), Deltas{})
	addVersion(t, r, "1.1.0", similar(2), Deltas{})
	release := addVersion(t, r, "1.2.0", similar(3), Deltas{Last: 2})
	verifyAll(t, dir)
	good := *release.Spec
	folder := "1.2.0/linux/amd64"
	file := filepath.Join(dir, folder, good.Deltas[0].File)
	patch, err := os.ReadFile(file)
	must(t, err)
	flipped := bytes.Clone(patch)
	flipped[len(flipped)-3] ^= 1
	for name, c := range map[string]struct {
		data   []byte
		change func(*updater.Delta)
		want   string
	}{
		"other bytes":      {flipped, func(*updater.Delta) {}, "not the file"},
		"missing":          {nil, func(*updater.Delta) {}, "no such file"},
		"damaged":          {flipped, func(d *updater.Delta) { d.SHA256 = sum(flipped) }, "delta"},
		"another base":     {patch, func(d *updater.Delta) { d.From = good.Deltas[1].From }, "another base"},
		"no delta":         {[]byte("x"), func(d *updater.Delta) { d.SHA256, d.Size = sum([]byte("x")), 1 }, "not a valid delta"},
		"larger than said": {append(bytes.Clone(patch), 0), func(*updater.Delta) {}, "larger"},
	} {
		spec := good
		spec.Deltas = append([]updater.Delta{}, good.Deltas...)
		c.change(&spec.Deltas[0])
		was, _, err := r.specBytes(ctx, folder+"/"+specName)
		must(t, err)
		_, err = r.putSpec(ctx, folder, was, &spec)
		must(t, err)
		must(t, os.Remove(file))
		if c.data != nil {
			must(t, os.WriteFile(file, c.data, 0o600))
		}
		err = Verify(ctx, store.NewDir(dir), *release, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), good.Deltas[1].File) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, os.WriteFile(file, patch, 0o600))
	}
}
