package updater

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/internal/delta"
	"github.com/choria-io/go-updater/internal/swap"
)

// deltaRepo serves several versions, and deltas between them.
type deltaRepo struct {
	*testRepo
	binaries map[string][]byte
}

func newDeltaRepo(t testing.TB) *deltaRepo {
	return &deltaRepo{newRepo(t), map[string][]byte{}}
}

// add publishes a version with deltas from others; spoil may change what is said and served.
func (r *deltaRepo) add(t testing.TB, version string, binary []byte, from ...string) {
	t.Helper()
	r.binaries[version] = binary
	archive := zstdOf(t, binary)
	folder := version + "/" + testPlatform + "/"
	deltas := []any{}
	for _, base := range from {
		patch, _, err := delta.Diff(r.binaries[base], binary, delta.Options{})
		if err != nil {
			t.Fatal(err)
		}
		name := "from-" + base + ".delta"
		r.files[folder+name] = patch
		deltas = append(deltas, map[string]any{"file": name, "from": sum(r.binaries[base]), "version": base, "size": len(patch), "sha256": sum(patch)})
	}
	r.files[folder+"tool.zst"] = archive
	r.describe(t, version, map[string]any{
		"binary": "tool.bz2", "hash": sum(binary), "size": len(binary),
		"artifacts": []any{map[string]any{"file": "tool.zst", "encoding": "zstd", "size": len(archive), "sha256": sum(archive)}},
		"deltas":    deltas,
	})
}

func (r *deltaRepo) describe(t testing.TB, version string, spec map[string]any) {
	t.Helper()
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	r.files[version+"/"+testPlatform+"/release.json"] = data
}

// fetched lists the artifacts that were asked for.
func (r *deltaRepo) fetched() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, req := range r.requests {
		if name := filepath.Base(req.URL.Path); name != "release.json" {
			names = append(names, name)
		}
	}
	r.requests = nil
	return names
}

// versions are real programs: the last three differ by a string.
func versions(t testing.TB) (v1, v2, v3 []byte) {
	old, new := buildPrograms(t)
	return old, new, bytes.Replace(new, []byte("new"), []byte("neo"), 1)
}

func TestDelta(t *testing.T) {
	v1, v2, _ := versions(t)
	r := newDeltaRepo(t)
	r.add(t, "1.2.2", v1)
	r.add(t, "1.2.3", v2, "1.2.2")
	target := install(t, v1)
	plan, err := Check(context.Background(), r.options(target)...)
	if err != nil || plan.Artifact.Encoding != DeltaEncoding || plan.Fetch != plan.Artifact.Size || !strings.Contains(plan.Why, "delta from version 1.2.2") {
		t.Fatalf("%+v, %v", plan, err)
	}
	r.fetched()
	result, err := ApplyContext(context.Background(), r.options(target)...)
	if err != nil || !bytes.Equal(read(t, target), v2) || !bytes.Equal(read(t, target+".backup"), v1) {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := fmt.Sprint(r.fetched()); got != "[from-1.2.2.delta]" {
		t.Errorf("fetched %s", got)
	}
	if runs(t, target) != "new" {
		t.Error("the new binary does not run")
	}
	scenario{}.checkClean(t, "delta", target)
}

// A host that is two releases behind goes through the one in between if that is shorter.
func TestDeltaChain(t *testing.T) {
	v1, v2, v3 := versions(t)
	r := newDeltaRepo(t)
	r.add(t, "1.2.1", v1)
	r.add(t, "1.2.2", v2, "1.2.1")
	r.add(t, "1.2.3", v3, "1.2.2")
	target := install(t, v1)
	plan, err := Check(context.Background(), r.options(target)...)
	if err != nil || len(plan.hops) != 2 || plan.Fetch != bytesOf(plan.hops) || !strings.Contains(plan.Why, "a chain of 2 deltas") {
		t.Fatalf("%+v, %v", plan, err)
	}
	r.fetched()
	if _, err := ApplyContext(context.Background(), r.options(target, OnEvent(func(e Event) {
		if e.Err != nil {
			t.Log(e.Err)
		}
	}))...); err != nil || !bytes.Equal(read(t, target), v3) {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.fetched()); got != "[from-1.2.1.delta from-1.2.2.delta]" {
		t.Errorf("fetched %s", got)
	}
	scenario{}.checkClean(t, "chain", target)
}

// Whatever is wrong with a delta, the full binary is fetched in the same update. What
// cannot get better is not tried again for that release.
func TestDeltaFallsBack(t *testing.T) {
	v1, v2, v3 := versions(t)
	good, _, err := delta.Diff(v1, v2, delta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := delta.Diff(v1, v3, delta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cut := good[:len(good)-1]
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2+50] ^= 1
	for name, c := range map[string]struct {
		said, served []byte
		remembered   bool
	}{
		"missing":            {good, nil, false},
		"other bytes served": {good, flipped, true},
		"damaged":            {flipped, flipped, true},
		"cut":                {cut, cut, true},
		"empty of sense":     {[]byte("garbage"), []byte("garbage"), true},
		"makes another":      {other, other, true},
	} {
		r := newDeltaRepo(t)
		r.add(t, "1.2.2", v1)
		r.add(t, "1.2.3", v2)
		var spec map[string]any
		if err := json.Unmarshal(r.files[testFolder+"release.json"], &spec); err != nil {
			t.Fatal(err)
		}
		spec["deltas"] = []any{map[string]any{"file": "d", "from": sum(v1), "version": "1.2.2", "size": len(c.said), "sha256": sum(c.said)}}
		r.describe(t, "1.2.3", spec)
		if c.served != nil {
			r.files[testFolder+"d"] = c.served
		}
		target := install(t, v1)
		if _, err := ApplyContext(context.Background(), r.options(target, Attempts(1))...); err != nil || !bytes.Equal(read(t, target), v2) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := r.fetched(); got[0] != "d" || got[len(got)-1] != "tool.zst" {
			t.Errorf("%s: fetched %v", name, got)
		}
		if _, err := Rollback(context.Background(), TargetFile(target)); err != nil {
			t.Fatal(err)
		}
		plan, err := Check(context.Background(), r.options(target)...)
		if err != nil || (plan.Artifact.Encoding == Zstd) != c.remembered {
			t.Errorf("%s: the next plan takes %s, remembered: %v, %v", name, plan.Artifact.Encoding, c.remembered, err)
		}
	}
}

// Deltas that are for other binaries, or no gain, are not fetched.
func TestUselessDeltas(t *testing.T) {
	v1, v2, v3 := versions(t)
	for name, d := range map[string]map[string]any{
		"another base":    {"from": sum(v3), "size": 10, "version": "1.2.2"},
		"larger":          {"from": sum(v1), "size": 100 << 20, "version": "1.2.2"},
		"no size":         {"from": sum(v1), "size": 0, "version": "1.2.2"},
		"from itself":     {"from": sum(v2), "size": 10, "version": "1.2.3"},
		"no such version": {"from": sum(v3), "size": 10, "version": "0.0.1"},
	} {
		r := newDeltaRepo(t)
		r.add(t, "1.2.2", v1)
		r.add(t, "1.2.3", v2)
		var spec map[string]any
		if err := json.Unmarshal(r.files[testFolder+"release.json"], &spec); err != nil {
			t.Fatal(err)
		}
		d["file"], d["sha256"] = "d", goodHash
		spec["deltas"] = []any{d}
		r.describe(t, "1.2.3", spec)
		plan, err := Check(context.Background(), r.options(install(t, v1))...)
		if err != nil || plan.Artifact.Encoding != Zstd {
			t.Errorf("%s: %+v, %v", name, plan.Artifact, err)
		}
	}
}

func TestParseDeltasRefuses(t *testing.T) {
	for name, d := range map[string]string{
		"a path":        `{"file":"../d","from":"` + goodHash + `","version":"1","size":1,"sha256":"` + goodHash + `"}`,
		"no base":       `{"file":"d","version":"1","size":1,"sha256":"` + goodHash + `"}`,
		"no hash":       `{"file":"d","from":"` + goodHash + `","version":"1","size":1}`,
		"bad version":   `{"file":"d","from":"` + goodHash + `","version":"../1","size":1,"sha256":"` + goodHash + `"}`,
		"negative size": `{"file":"d","from":"` + goodHash + `","version":"1","size":-1,"sha256":"` + goodHash + `"}`,
		"a number":      `1`,
	} {
		doc := `{"binary":"tool.bz2","hash":"` + goodHash + `","deltas":[` + d + `]}`
		if _, err := ParseSpec([]byte(doc)); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A release in between that names another binary than the delta's base is no way.
func TestChainHasToMeet(t *testing.T) {
	v1, v2, v3 := versions(t)
	r := newDeltaRepo(t)
	r.add(t, "1.2.1", v1)
	r.add(t, "1.2.2", v2, "1.2.1")
	r.add(t, "1.2.3", v3, "1.2.2")
	r.add(t, "1.2.2", append(v2, 0), "1.2.1") // republished
	target := install(t, v1)
	if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil || !bytes.Equal(read(t, target), v3) {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.fetched()); got != "[tool.zst]" {
		t.Errorf("fetched %s", got)
	}
	if _, err := os.Stat(filepath.Join(swap.StateDir(target), "delta-failed")); err == nil {
		t.Error("a delta that was never tried is remembered")
	}
}
