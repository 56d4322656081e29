package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/delta"
	"github.com/choria-io/go-updater/store"
)

// deltasInstallable has go-tuf's client fetch all deltas of a version, applies them, and tells which there are.
func deltasInstallable(s store.Store, root []byte, version string, binaries map[string][]byte) (string, error) {
	ok, err := installable(s, root, version)
	if !ok || err != nil {
		return "no release", err
	}
	u, err := newOracle(s, root, "")
	if err != nil {
		return "", err
	}
	get := func(file string) ([]byte, error) {
		target, err := u.GetTargetInfo(version + "/linux/amd64/" + file)
		if err != nil {
			return nil, err
		}
		_, data, err := u.DownloadTarget(target, "x", "")
		return data, err
	}
	data, err := get(specName)
	if err != nil {
		return "", err
	}
	spec, err := updater.ParseSpec(data)
	if err != nil {
		return "", err
	}
	var list []string
	for _, d := range spec.Deltas {
		patch, err := get(d.File)
		if err != nil {
			return "", err
		}
		if err := delta.Apply(io.Discard, binaries[d.From], patch, delta.NewFiles(d.From, spec.Sha256Hash, spec.Size)); err != nil {
			return "", err
		}
		list = append(list, d.Version)
	}
	return strings.Join(list, " "), nil
}

// signedVersions is a signed repository with the versions v1.0, v1.1 and v1.2, of which the last has a delta from v1.1.
func signedVersions(t *testing.T) (*store.Mem, keys, []byte, map[string][]byte) {
	t.Helper()
	s, k, root := signedRepo(t)
	binaries := map[string][]byte{}
	for i, deltas := range []int{0, 0, 1} {
		data := similar(uint64(i))
		binaries[sum(data)] = data
		addVersion(t, k.open(s), fmt.Sprintf("v1.%d", i), data, Deltas{Last: deltas})
	}
	return s, k, root, binaries
}

// deltaFaults runs an operation with a fault at each of its calls of the store. After each, a client finds
// all as it was or as it will be; only if the process died, and then between two calls, may it find a
// release.json that is not the signed one. Another run finishes it.
func deltaFaults(t *testing.T, before *store.Mem, k keys, root []byte, binaries map[string][]byte, version, was, will string, op func(*Repo) error) {
	t.Helper()
	runs, between := 0, 0
	for _, mode := range []faulty{{}, {after: true}, {crashes: true}, {crashes: true, after: true}} {
		for n := 1; ; n++ {
			f := mode
			f.Mem, f.at = copyMem(t, before), n
			err := op(k.open(&f))
			if !f.failed {
				must(t, err)
				break
			}
			runs++
			what := fmt.Sprintf("fault %d (after %t, crash %t)", n, mode.after, mode.crashes)
			is, serr := deltasInstallable(f.Mem, root, version, binaries)
			switch {
			case serr == nil && (is == was || is == will):
			case serr != nil && mode.crashes:
				between++
			default:
				t.Fatalf("%s: %q, %v\nthe operation: %v", what, is, serr, err)
			}
			if err := op(k.open(f.Mem)); err != nil {
				t.Fatalf("%s: again: %v", what, err)
			}
			if is, err := deltasInstallable(f.Mem, root, version, binaries); err != nil || is != will {
				t.Fatalf("%s: again: %q, %v", what, is, err)
			}
		}
	}
	t.Logf("%d faults, %d of them between release.json and timestamp", runs, between)
}

func TestFaultsOfAddWithDeltas(t *testing.T) {
	s, k, root, binaries := signedVersions(t)
	a := versionOf(t, "v1.3", similar(3), Deltas{Last: 2})
	a.Force = false
	op := func(r *Repo) error { _, err := r.Add(ctx, a); return err }
	deltaFaults(t, s, k, root, binaries, "v1.3", "no release", "v1.2 v1.1", op)
}

func TestFaultsOfMakeDeltas(t *testing.T) {
	s, k, root, binaries := signedVersions(t)
	op := func(r *Repo) error {
		_, err := r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 2}, Version: "v1.2"})
		return err
	}
	deltaFaults(t, s, k, root, binaries, "v1.2", "v1.1", "v1.1 v1.0", op)
}

func TestFaultsOfPrune(t *testing.T) {
	s, k, root, binaries := signedVersions(t)
	_, err := k.open(s).MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 1, From: []string{"v1.0"}}, Version: "v1.2"})
	must(t, err)
	op := func(r *Repo) error { _, err := r.Prune(ctx, 1, false); return err }
	deltaFaults(t, s, k, root, binaries, "v1.2", "v1.1 v1.0", "", op)
	must(t, op(k.open(s)))
	for _, v := range []string{"v1.0", "v1.1"} {
		if ok, err := installable(s, root, v); ok || err != nil {
			t.Errorf("%s is there: %v", v, err)
		}
		if left, err := s.List(ctx, v); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
	}
}

// A store that was tampered with gets no signature: neither on a release that nobody published, nor on a delta
// that somebody put into a release.json.
func TestMakeDeltasBelievesNothing(t *testing.T) {
	s, k, root, binaries := signedVersions(t)
	evil := &store.Mem{}
	addVersion(t, Open(evil), "v1.9", similar(9), Deltas{})
	for _, file := range []string{"choria.zst", "choria.bz2", specName} {
		data, err := Open(evil).read(ctx, "v1.9/linux/amd64/"+file, 1<<20)
		must(t, err)
		must(t, s.Put(ctx, "v1.9/linux/amd64/"+file, bytes.NewReader(data)))
	}
	r := k.open(s)
	spec, err := r.spec(ctx, "v1.1/linux/amd64/release.json")
	must(t, err)
	spec.Deltas = []updater.Delta{{File: "evil.delta", From: sum(similar(0)), Version: "v1.0", Size: 4, SHA256: sum([]byte("evil"))}}
	must(t, s.Put(ctx, "v1.1/linux/amd64/evil.delta", strings.NewReader("evil")))
	data, err := json.Marshal(spec)
	must(t, err)
	must(t, s.Put(ctx, "v1.1/linux/amd64/release.json", bytes.NewReader(data)))

	var notes []string
	_, err = r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 1, Note: func(text string) { notes = append(notes, text) }}})
	must(t, err)
	if len(notes) != 1 || !strings.Contains(notes[0], "v1.9 for linux/amd64: it is not signed") {
		t.Errorf("notes %q", notes)
	}
	if ok, err := installable(s, root, "v1.9"); ok || err != nil {
		t.Errorf("a release that nobody published is signed: %v", err)
	}
	if is, err := deltasInstallable(s, root, "v1.1", binaries); err != nil || is != "v1.0" {
		t.Errorf("%q, %v", is, err)
	}
	if got, _ := r.spec(ctx, "v1.1/linux/amd64/release.json"); got == nil || got.Deltas[0].File == "evil.delta" {
		t.Errorf("%+v", got)
	}
}

// With another maintainer's signature missing, release.json cannot change: it would not be the signed one until then.
func TestDeltasNeedEnoughKeys(t *testing.T) {
	s, k, root, binaries := signedVersions(t)
	r := Open(s)
	r.SignWith(k.release)
	if _, err := r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 3}}); !errors.Is(err, ErrKeys) {
		t.Errorf("%v", err)
	}
	if is, err := deltasInstallable(s, root, "v1.2", binaries); err != nil || is != "v1.1" {
		t.Errorf("%q, %v", is, err)
	}
}

// Repositories of v0.1.0 get deltas, too; what their release.json says stays.
func TestDeltasToOldReleases(t *testing.T) {
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	for i, v := range []string{"1", "2"} {
		data := similar(uint64(i))
		addVersion(t, r, v, data, Deltas{})
		folder := filepath.Join(dir, v, "linux/amd64")
		must(t, os.Remove(filepath.Join(folder, "choria.zst")))
		must(t, os.WriteFile(filepath.Join(folder, specName), []byte(`{"binary":"choria.bz2","hash":"`+sum(data)+`","note":"kept"}`), 0o600))
	}
	changes, err := r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 1}})
	if err != nil || len(changes) != 1 {
		t.Fatalf("%+v, %v", changes, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "2/linux/amd64/release.json"))
	if err != nil || !strings.Contains(string(data), `"note": "kept"`) || from(t, r, "2") != "1" {
		t.Errorf("%s, %v", data, err)
	}
	verifyAll(t, dir)
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	r := Open(store.NewDir(dir))
	for i, v := range []string{"1.9", "1.10", "nightly", "1.8"} {
		addVersion(t, r, v, similar(uint64(i)), Deltas{Last: 3})
	}
	arm := versionOf(t, "1.8", similar(8), Deltas{})
	arm.Arch = "arm64"
	_, err := r.Add(ctx, arm)
	must(t, err)
	before := files(t, dir)
	for _, dry := range []bool{true, false} {
		if fmt.Sprint(files(t, dir)) != fmt.Sprint(before) {
			t.Error("the dry run changes something")
		}
		p, err := r.Prune(ctx, 1, dry)
		if err != nil || fmt.Sprint(p.Releases) != "[1.8 for linux/amd64 1.9 for linux/amd64]" || fmt.Sprint(p.Unordered) != "[nightly for linux/amd64]" ||
			len(p.Deltas) != 1 || p.Deltas[0].Version != "1.10" || p.Deltas[0].Dropped != 1 {
			t.Fatalf("dry %t: %+v, %v", dry, p, err)
		}
	}
	list, err := r.List(ctx)
	if err != nil || len(list) != 3 || from(t, r, "1.10") != "" {
		t.Errorf("%v, %v", list, err)
	}
	verifyAll(t, dir)
	if _, err := r.Prune(ctx, 0, false); err == nil {
		t.Error("it would remove everything")
	}
}

// The very client takes a delta where there is one, and a chain to where there is none from what is installed.
func TestDeltasTakenByClient(t *testing.T) {
	p, dir, k := programs(t), t.TempDir(), newKeys(t)
	r := k.open(store.NewDir(dir))
	root, err := r.Sign(ctx, k.init())
	must(t, err)
	for i, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		addVersion(t, r, v, p[i], Deltas{Last: 1})
	}
	verifyAll(t, dir, updater.TrustRoot(root))
	for version, want := range map[string]struct {
		binary []byte
		why    string
	}{"1.1.0": {p[1], "a delta from version 1.0.0"}, "1.2.0": {p[2], "a chain of 2 deltas"}} {
		target := filepath.Join(t.TempDir(), "choria")
		must(t, os.WriteFile(target, p[0], 0o755))
		var fetched []string
		opts := []updater.Option{
			updater.SourceRepo(dir), updater.TargetFile(target), updater.Version(version), updater.OS("linux"), updater.Arch("amd64"),
			updater.TrustRoot(root), updater.AllowContainer(), updater.AllowManaged(), updater.Attempts(1), updater.Logger(log.New(io.Discard, "", 0)),
			updater.OnEvent(func(e updater.Event) {
				if e.Step == updater.StepWarning || strings.HasSuffix(e.File, ".zst") {
					fetched = append(fetched, e.File+e.Message)
				}
			}),
		}
		plan, err := updater.Check(ctx, opts...)
		if err != nil || !strings.HasPrefix(plan.Why, want.why) || plan.Fetch > int64(len(p[0]))/20 {
			t.Errorf("%s: %+v, %v", version, plan, err)
		}
		_, err = updater.ApplyContext(ctx, opts...)
		data, rerr := os.ReadFile(target)
		if err != nil || rerr != nil || !bytes.Equal(data, want.binary) || len(fetched) > 0 {
			t.Errorf("%s: %v, %v, fetched %v", version, err, rerr, fetched)
		}
	}
}
