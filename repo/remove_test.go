package repo

import (
	"errors"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// wholeOrGone fails unless release 1 either can be installed or has left nothing, and tells which. Without a root the repository is not signed.
func wholeOrGone(t *testing.T, s store.Store, root []byte, when string) bool {
	t.Helper()
	r := Open(s)
	if root != nil {
		a, err := r.Audit(ctx, nil)
		must(t, err)
		if len(a.Problems) > 0 {
			t.Fatalf("%s: %q", when, a.Problems)
		}
	}
	list, err := r.List(ctx)
	must(t, err)
	for _, release := range list {
		for _, a := range release.Spec.Artifacts {
			object, err := s.Open(ctx, release.Version+"/linux/amd64/"+a.File, store.Request{})
			if err != nil || object.Size != a.Size {
				t.Fatalf("%s: %s: %v", when, a.File, err)
			}
		}
	}
	return len(list) > 0
}

// One removes a release while another publishes it again, with the same bytes or forced with others, at any point of each other's way, on
// a store without locks: none is broken, and nothing that was said to be published is lost.
func TestFaultRemoveBesideAdd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ signed, force bool }{"unsigned": {}, "unsigned, forced": {false, true}, "signed": {true, false}, "signed, forced": {true, true}} {
		s, k := store.Store(lockless{&store.Mem{}}), newKeys(t)
		var root []byte
		open := func(s store.Store) *Repo { return Open(s) }
		if c.signed {
			var err error
			root, err = k.open(s).Sign(ctx, k.init())
			must(t, err)
			open = k.open
		}
		first := small(t, "1", "one")
		_, err := open(s).Add(ctx, first)
		must(t, err)
		again := first
		if again.Force = c.force; c.force {
			again = small(t, "1", "other")
		} else {
			again.Force = true // it is no executable
		}
		add := func(s store.Store) error { _, err := open(s).Add(ctx, again); return err }
		remove := func(s store.Store) error { _, err := open(s).Remove(ctx, "1", "linux", "amd64"); return err }
		for order, ops := range map[string][2]func(store.Store) error{"an add within a removal": {remove, add}, "a removal within an add": {add, remove}} {
			told := beside(t, s, root, name+": "+order, ops[0], ops[1], add)
			if told == 0 && c.signed {
				t.Errorf("%s: %s: nobody was told", name, order)
			}
		}
	}
}

// beside runs inner at each call of outer, up to each of its own calls and the rest after outer's end, and tells how often one of them was
// told that it is busy.
func beside(t *testing.T, s store.Store, root []byte, what string, outer, inner, add func(store.Store) error) (told int) {
	t.Helper()
	for n := 1; ; n++ {
		for pause := 1; ; pause += 12 {
			m := lockless{copyMem(t, s)}
			paused, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			halves := &interrupted{Store: m, at: pause, f: func() { close(paused); <-resume }}
			i := &interrupted{Store: m, at: n, f: func() {
				go func() { done <- inner(halves) }()
				select {
				case <-paused:
				case err := <-done:
					done <- err
				}
			}}
			err := outer(i)
			if i.f != nil {
				return told
			}
			close(resume)
			within := <-done
			for _, err := range []error{err, within} {
				if errors.Is(err, ErrBusy) {
					told++
				} else if err != nil && !strings.Contains(err.Error(), "there is no release") {
					t.Fatalf("%s: calls %d and %d: %v", what, n, pause, err)
				}
			}
			wholeOrGone(t, m, root, what)
			must(t, add(m))
			if !wholeOrGone(t, m, root, what) {
				t.Fatalf("%s: calls %d and %d: added again, it is not there", what, n, pause)
			}
			if halves.f != nil {
				break // it had no such call any more
			}
		}
	}
}

// A release.json that was lost comes back by publishing the release again.
func TestAddPutsBackWhatIsLost(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	must(t, s.Delete(ctx, "1/linux/amd64/release.json"))
	_, err := k.open(s).Add(ctx, small(t, "1", "1"))
	must(t, err)
	expect(t, s, root, map[string]bool{"1": true})
}

// A removal that was interrupted keeps publishers out until it is ended.
func TestRemovalIsEnded(t *testing.T) {
	s, k, root := signedRepo(t, "1", "2")
	m := lockless{copyMem(t, s)}
	must(t, m.Put(ctx, "1/linux/amd64/release.json", strings.NewReader(string(removing))))
	if _, err := k.open(m).Add(ctx, small(t, "1", "one")); !errors.Is(err, errRemoving) || !errors.Is(err, ErrBusy) {
		t.Errorf("add: %v", err)
	}
	list, err := k.open(m).List(ctx)
	if err != nil || len(list) != 2 || list[0].Err == "" {
		t.Errorf("list: %+v, %v", list, err)
	}
	if _, err := k.open(m).Unnamed(ctx); err != nil {
		t.Errorf("unnamed: %v", err)
	}
	_, err = k.open(m).Remove(ctx, "1", "linux", "amd64")
	must(t, err)
	_, err = k.open(m).Add(ctx, small(t, "1", "one"))
	must(t, err)
	expect(t, m, root, map[string]bool{"1": true, "2": true})
}

func TestFaultsOfRemoveWithoutLock(t *testing.T) {
	s, k, root := signedRepo(t, "1", "2")
	op := func(r *Repo) error {
		r.store = lockless{r.store}
		_, err := r.Remove(ctx, "2", "linux", "amd64")
		if list, lerr := r.store.List(ctx, "2/"); lerr == nil && len(list) == 0 && !errors.Is(err, errFault) {
			return nil // the last file was gone before
		}
		return err
	}
	atEveryFault(t, s, root, op, k.open, state{"1": true, "2": true}, state{"1": true, "2": false})
}
