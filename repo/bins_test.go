package repo

import (
	"fmt"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/store"
)

// fake are files that are signed without being there.
func fake(from, to int) map[string]*metadata.TargetFiles {
	files := map[string]*metadata.TargetFiles{}
	for i := from; i < to; i++ {
		path := fmt.Sprintf("0.%d.0/linux/amd64/tool.zst", i)
		files[path] = &metadata.TargetFiles{Length: int64(i + 1), Hashes: sha256Of([]byte(path))}
	}
	return files
}

func publishFake(t testing.TB, r *Repo, from, to int) {
	t.Helper()
	base, err := r.load(ctx, false)
	must(t, err)
	must(t, r.commitFiles(ctx, base, fake(from, to)))
}

// A platform grows from a list to more and more bins. Clients that have seen it small go on.
func TestBins(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	r := k.open(s)
	cache := t.TempDir()
	listed := map[string]int64{}
	seen := map[int]bool{}
	for from := 0; from < 3000; {
		to := from + 60
		if from > 120 {
			to = from + 400
		}
		publishFake(t, r, from, to)
		u, err := newOracle(s, root, cache)
		must(t, err)
		for _, i := range []int{0, from, to - 1} {
			path := fmt.Sprintf("0.%d.0/linux/amd64/tool.zst", i)
			if f, err := u.GetTargetInfo(path); err != nil || f.Length != int64(i+1) {
				t.Fatalf("%d files, %s: %+v, %v", to, path, f, err)
			}
		}
		base, err := r.load(ctx, false)
		must(t, err)
		for name, version := range listed {
			if is := base.snapshot.Signed.Meta[name]; is == nil || is.Version < version {
				t.Fatalf("%d files: snapshot lists %s at %+v, before %d", to, name, is, version)
			}
		}
		for name, m := range base.snapshot.Signed.Meta {
			listed[name] = m.Version
		}
		platform, err := base.role(ctx, "linux-amd64", base.roles["targets"])
		must(t, err)
		bits := 0
		if d := platform.Signed.Delegations; d != nil {
			bits = d.SuccinctRoles.BitLength
			for _, bin := range d.SuccinctRoles.GetRoles() {
				m, err := base.role(ctx, bin, platform)
				must(t, err)
				if data, err := m.ToBytes(false); err != nil || len(data) > binLimit+2000 {
					t.Errorf("%s has %d bytes, %v", bin, len(data), err)
				}
			}
		}
		seen[bits] = true
		from = to
	}
	for _, bits := range []int{0, 3, 5} {
		if !seen[bits] {
			t.Errorf("never %d bits: %v", bits, seen)
		}
	}
	_, err := r.Add(ctx, small(t, "2", "two"))
	must(t, err)
	_, err = r.Remove(ctx, "1", "linux", "amd64")
	must(t, err)
	expect(t, s, root, map[string]bool{"1": false, "2": true})

	// A new release key, and with it all bins.
	fresh := newKeys(t).release
	r.SignWith(fresh)
	must(t, r.ChangeRoot(ctx, replaceKeys(k.release, fresh, "targets", "snapshot")))
	expect(t, s, root, map[string]bool{"1": false, "2": true})
	a, err := r.Audit(ctx, nil)
	if err != nil || a.RolesSeen < 34 {
		t.Errorf("%+v, %v", a.RolesSeen, err)
	}
}

func TestFaultsOfSplit(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	publishFake(t, k.open(s), 0, directFiles-4) // and three of version 1
	a := small(t, "2", "two")
	op := func(r *Repo) error { _, err := r.Add(ctx, a); return err }
	atEveryFault(t, s, root, op, k.open, state{"1": true, "2": false}, state{"1": true, "2": true})
	must(t, op(k.open(s)))
	base, err := Open(s).load(ctx, false)
	must(t, err)
	if m, err := base.role(ctx, "linux-amd64", base.roles["targets"]); err != nil || m.Signed.Delegations == nil {
		t.Errorf("no bins: %v", err)
	}
}

// init is run again after every fault, and old clients see their release all the while.
func TestFaultsOfInit(t *testing.T) {
	before := &store.Mem{}
	_, err := Open(before).Add(ctx, small(t, "1", "one"))
	must(t, err)
	k := newKeys(t)
	runs := 0
	for _, mode := range []faulty{{}, {after: true}, {crashes: true}, {crashes: true, after: true}} {
		for n := 1; ; n++ {
			f := mode
			f.Mem, f.at = copyMem(t, before), n
			_, err := k.open(&f).Sign(ctx, k.init())
			if !f.failed {
				must(t, err)
				break
			}
			runs++
			if spec, err := Open(f.Mem).spec(ctx, "1/linux/amd64/release.json"); err != nil || spec.Sha256Hash != sum([]byte("one")) {
				t.Fatalf("fault %d: old clients see %+v, %v", n, spec, err)
			}
			var root []byte
			if base, err := Open(f.Mem).load(ctx, false); err != nil {
				t.Fatalf("fault %d: %v", n, err)
			} else if base != nil { // the last write had its effect
				root = base.rootData
			} else if root, err = k.open(f.Mem).Sign(ctx, k.init()); err != nil {
				t.Fatalf("fault %d: again: %v", n, err)
			}
			if is, err := stateOf(f.Mem, root, "1"); err != nil || !is["1"] {
				t.Fatalf("fault %d: again: %v, %v", n, is, err)
			}
		}
	}
	t.Logf("%d faults", runs)
}
