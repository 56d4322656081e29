package repo

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
)

func TestAudit(t *testing.T) {
	s, k, root := signedRepo(t, "1", "2")
	r := k.open(s)
	must(t, r.ChangeRoot(ctx, RootChange{}))
	must(t, r.ChangeRoot(ctx, RootChange{}))
	audit := func(s store.Store, at time.Time) *Audit {
		t.Helper()
		r := Open(s)
		r.TrustRoot(root)
		r.clock = func() time.Time { return at }
		a, err := r.Audit(ctx, nil)
		must(t, err)
		return a
	}
	a := audit(s, time.Now())
	if len(a.Problems)+len(a.Warnings) != 0 || a.Root != 3 || a.Files != 6 || a.RolesSeen != 2 {
		t.Errorf("%+v", a)
	}
	if a := audit(s, time.Now().Add(25*day)); len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "update-repo timestamp") {
		t.Errorf("close to expiry: %+v", a)
	}
	if a := audit(s, time.Now().Add(366*day)); len(a.Problems) != 4 {
		t.Errorf("expired: %+v", a)
	}
	for name, breakIt := range map[string]func(m *store.Mem) error{
		"root 2 is missing": func(m *store.Mem) error { return m.Delete(ctx, "metadata/2.root.json") },
		"tool.zst":          func(m *store.Mem) error { return m.Put(ctx, "1/linux/amd64/tool.zst", strings.NewReader("other")) },
		"tool.bz2":          func(m *store.Mem) error { return m.Delete(ctx, "2/linux/amd64/tool.bz2") },
		"linux-amd64":       func(m *store.Mem) error { return m.Delete(ctx, "metadata/2.linux-amd64.json") },
		"snapshot":          func(m *store.Mem) error { return m.Put(ctx, "metadata/3.snapshot.json", strings.NewReader("{}")) },
	} {
		m := copyMem(t, s)
		must(t, breakIt(m))
		r := Open(m) // from root 1
		a, err := r.Audit(ctx, nil)
		if err != nil || !strings.Contains(strings.Join(a.Problems, "\n"), name) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if _, err := Open(&store.Mem{}).Audit(ctx, nil); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
}

// Half a year on, a publish renews everything below targets, so that no release that clients may ask
// for expires while the repository is in use.
func TestRenewal(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	r := k.open(s)
	now := time.Now()
	good := func(day int) {
		t.Helper()
		a, err := r.Audit(ctx, nil)
		must(t, err)
		if len(a.Problems) != 0 {
			t.Fatalf("after %d days: %v", day, a.Problems)
		}
	}
	for i, arch := range []string{"arm64", "arm", "386", "s390x", "ppc64le", "riscv64", "mips"} {
		// A platform that is new has targets signed anew; one that is old is not touched.
		other := small(t, "1", arch)
		other.Arch = arch
		_, err := r.Add(ctx, other)
		must(t, err)
		good(100 * i)
		now = now.Add(100 * day)
		r.clock = func() time.Time { return now }
		_, err = r.Timestamp(ctx)
		must(t, err)
		good(100 * (i + 1))
	}
	r.clock = nil
	must(t, r.Renew(ctx))
	expect(t, s, root, map[string]bool{"1": true})
}

// Two publishers: the second is told, before and after the fact, and nothing is lost.
func TestTwoPublishers(t *testing.T) {
	folder := t.TempDir()
	dir := store.NewDir(folder)
	k := newKeys(t)
	root, err := k.open(dir).Sign(ctx, k.init())
	must(t, err)
	unlock, err := store.NewDir(folder).Lock(ctx)
	must(t, err)
	if _, err := k.open(dir).Add(ctx, small(t, "1", "one")); !errors.Is(err, ErrBusy) {
		t.Errorf("while another has the lock: %v", err)
	}
	unlock()
	_, err = k.open(dir).Add(ctx, small(t, "1", "one"))
	must(t, err)
	expect(t, dir, root, map[string]bool{"1": true})

	// A store without locks: the other publishes at any point of ours.
	s := lockless{&store.Mem{}}
	root, err = k.open(s).Sign(ctx, k.init())
	must(t, err)
	busy, lost := 0, 0
	for n := 1; ; n++ {
		m := lockless{copyMem(t, s)}
		i := &interrupted{Store: m, at: n, f: func() {
			_, err := k.open(m).Add(ctx, small(t, "2", "two"))
			must(t, err)
		}}
		_, err := k.open(i).Add(ctx, small(t, "1", "one"))
		if i.f != nil {
			break
		}
		if err != nil && !errors.Is(err, ErrBusy) {
			t.Fatalf("call %d: %v", n, err)
		}
		if errors.Is(err, ErrBusy) {
			busy++
			_, err = k.open(m).Add(ctx, small(t, "1", "one"))
			must(t, err)
		}
		is, err := stateOf(m, root, "1", "2")
		if err != nil || !is["1"] {
			t.Fatalf("call %d: %v, %v", n, is, err)
		}
		if !is["2"] {
			lost++
		}
	}
	if busy == 0 || lost > 0 {
		t.Errorf("told %d times, lost %d times", busy, lost)
	}
}

// lockless hides the lock of a store.
type lockless struct{ store.Store }

func (l lockless) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	return store.PutIf(ctx, l.Store, name, r, version)
}

// Two publishers of the same version: whoever wins, what clients get is whole, and the other's files do not mix with it.
func TestTwoPublishersOfOneRelease(t *testing.T) {
	s, k := lockless{&store.Mem{}}, newKeys(t)
	root, err := k.open(s).Sign(ctx, k.init())
	must(t, err)
	busy := 0
	for n := 1; ; n++ {
		m := lockless{copyMem(t, s)}
		i := &interrupted{Store: m, at: n, f: func() {
			_, err := k.open(m).Add(ctx, small(t, "1", "theirs"))
			must(t, err)
		}}
		_, err := k.open(i).Add(ctx, small(t, "1", "ours"))
		if i.f != nil {
			break
		}
		if err != nil && !errors.Is(err, ErrBusy) {
			t.Fatalf("call %d: %v", n, err)
		}
		expect(t, m, root, map[string]bool{"1": true})
		if errors.Is(err, ErrBusy) {
			busy++
			_, err = k.open(m).Add(ctx, small(t, "1", "ours"))
			must(t, err)
			expect(t, m, root, map[string]bool{"1": true})
		}
	}
	if busy == 0 {
		t.Error("nobody was told")
	}
}

// Two that sign a repository for the first time: one does, and it is whole.
func TestTwoFirstSigners(t *testing.T) {
	ours, theirs := newKeys(t), newKeys(t)
	busy := 0
	for n := 1; ; n++ {
		m := lockless{&store.Mem{}}
		var root []byte
		won := false
		i := &interrupted{Store: m, at: n, f: func() {
			var err error
			if root, err = theirs.open(m).Sign(ctx, theirs.init()); errors.Is(err, ErrSigned) {
				won = true // the calls from here on tidy up
				return
			}
			must(t, err)
		}}
		mine, err := ours.open(i).Sign(ctx, ours.init())
		if i.f != nil {
			break
		}
		if won {
			must(t, err)
			_, err = ours.open(m).Add(ctx, small(t, "1", "one"))
			must(t, err)
			expect(t, m, mine, map[string]bool{"1": true})
			continue
		}
		if errors.Is(err, ErrBusy) || errors.Is(err, ErrSigned) {
			busy++
		} else {
			t.Fatalf("call %d: %v", n, err)
		}
		_, err = theirs.open(m).Add(ctx, small(t, "1", "one"))
		must(t, err)
		expect(t, m, root, map[string]bool{"1": true})
	}
	if busy == 0 {
		t.Error("nobody was told")
	}
}
