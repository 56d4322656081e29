package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// faulty is a store whose n-th call fails, before or after it had its effect,
// and, if it crashes, all later ones.
type faulty struct {
	*store.Mem
	at             int
	crashes, after bool
	calls          int
	failed         bool
}

var errFault = errors.New("fault")

func (f *faulty) do(call func() error) error {
	f.calls++
	due := f.calls == f.at
	if !due && !(f.crashes && f.failed) {
		return call()
	}
	if due && f.after {
		call()
	}
	f.failed = true
	return errFault
}

func (f *faulty) Open(ctx context.Context, name string, req store.Request) (o *store.Object, err error) {
	err = f.do(func() error { o, err = f.Mem.Open(ctx, name, req); return err })
	return o, err
}

func (f *faulty) Put(ctx context.Context, name string, r io.Reader) error {
	r = f.notice(name, r)
	return f.do(func() error { return f.Mem.Put(ctx, name, r) })
}

func (f *faulty) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	r = f.notice(name, r)
	return f.do(func() error { return f.Mem.PutIf(ctx, name, r, version) })
}

// notice panics when a versioned file gets other bytes: caches would go on serving the old ones.
func (f *faulty) notice(name string, r io.Reader) io.Reader {
	if number, _, _ := strings.Cut(strings.TrimPrefix(name, "metadata/"), "."); name != "metadata/1.root.json" && strings.Trim(number, "0123456789") == "" {
		old, err := Open(f.Mem).read(ctx, name, targetsLimit)
		data, rerr := io.ReadAll(r)
		if err == nil && rerr == nil && string(old) != string(data) {
			panic(name + " is overwritten")
		}
		r = bytes.NewReader(data)
	}
	return r
}

func (f *faulty) Delete(ctx context.Context, name string) error {
	return f.do(func() error { return f.Mem.Delete(ctx, name) })
}

func (f *faulty) List(ctx context.Context, prefix string) (list []store.Entry, err error) {
	err = f.do(func() error { list, err = f.Mem.List(ctx, prefix); return err })
	return list, err
}

// state says which versions can be installed.
type state map[string]bool

func stateOf(s store.Store, root []byte, versions ...string) (state, error) {
	is := state{}
	for _, v := range versions {
		ok, err := installable(s, root, v)
		if err != nil {
			return nil, fmt.Errorf("version %s: %w", v, err)
		}
		is[v] = ok
	}
	return is, nil
}

// atEveryFault runs an operation again and again, with a fault at each of its
// calls of the store. After each the repository has to be in one of the states, and the
// last one is reached by running the operation again.
func atEveryFault(t *testing.T, before *store.Mem, root []byte, op func(*Repo) error, open func(store.Store) *Repo, states ...state) {
	t.Helper()
	var versions []string
	for v := range states[0] {
		versions = append(versions, v)
	}
	runs := 0
	for _, mode := range []faulty{{}, {after: true}, {crashes: true}, {crashes: true, after: true}} {
		for n := 1; ; n++ {
			f := mode
			f.Mem, f.at = copyMem(t, before), n
			err := op(open(&f))
			if !f.failed {
				must(t, err)
				break
			}
			runs++
			what := fmt.Sprintf("fault %d (after %t, crash %t)", n, mode.after, mode.crashes)
			is, serr := stateOf(f.Mem, root, versions...)
			if serr != nil {
				t.Fatalf("%s: %v\nthe operation: %v", what, serr, err)
			}
			known := false
			for _, s := range states {
				known = known || maps.Equal(is, s)
			}
			if !known {
				t.Fatalf("%s: %v", what, is)
			}
			if err := op(open(&faulty{Mem: f.Mem})); err != nil {
				t.Fatalf("%s: again: %v", what, err)
			}
			if is, err := stateOf(f.Mem, root, versions...); err != nil || !maps.Equal(is, states[len(states)-1]) {
				t.Fatalf("%s: again: %v, %v", what, is, err)
			}
		}
	}
	t.Logf("%d faults", runs)
}

func signedRepo(t *testing.T, versions ...string) (*store.Mem, keys, []byte) {
	t.Helper()
	s, k := &store.Mem{}, newKeys(t)
	r := k.open(s)
	root, err := r.Sign(ctx, k.init())
	must(t, err)
	for _, v := range versions {
		_, err := r.Add(ctx, small(t, v, v))
		must(t, err)
	}
	return s, k, root
}

func TestFaultsOfAdd(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	a := small(t, "2", "two")
	op := func(r *Repo) error { _, err := r.Add(ctx, a); return err }
	atEveryFault(t, s, root, op, k.open, state{"1": true, "2": false}, state{"1": true, "2": true})
}

func TestFaultsOfReplace(t *testing.T) {
	s, k, root := signedRepo(t, "1", "2")
	a := small(t, "2", "other")
	op := func(r *Repo) error { _, err := r.Add(ctx, a); return err }
	atEveryFault(t, s, root, op, k.open, state{"1": true, "2": false}, state{"1": true, "2": true})
}

func TestFaultsOfRemove(t *testing.T) {
	s, k, root := signedRepo(t, "1", "2")
	op := func(r *Repo) error {
		_, err := r.Remove(ctx, "2", "linux", "amd64")
		if list, lerr := r.store.List(ctx, "2/"); lerr == nil && len(list) == 0 && !errors.Is(err, errFault) {
			return nil // the last file was gone before
		}
		return err
	}
	atEveryFault(t, s, root, op, k.open, state{"1": true, "2": true}, state{"1": true, "2": false})
}

func TestFaultsOfTimestamp(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	op := func(r *Repo) error { _, err := r.Timestamp(ctx); return err }
	atEveryFault(t, s, root, op, k.open, state{"1": true})
}

// interrupted is a store that does something else before its n-th call.
type interrupted struct {
	store.Store
	at int
	f  func()
}

func (i *interrupted) next() {
	if i.at--; i.at == 0 {
		f := i.f
		i.f = nil
		f()
	}
}

func (i *interrupted) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	i.next()
	return i.Store.Open(ctx, name, req)
}

func (i *interrupted) Put(ctx context.Context, name string, r io.Reader) error {
	i.next()
	return i.Store.Put(ctx, name, r)
}

func (i *interrupted) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	i.next()
	return store.PutIf(ctx, i.Store, name, r, version)
}

func (i *interrupted) Delete(ctx context.Context, name string) error {
	i.next()
	return i.Store.Delete(ctx, name)
}
