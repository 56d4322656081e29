// Package storetest checks that a store keeps its contract.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/choria-io/go-updater/store"
)

var ctx = context.Background()

// Run checks all of the contract on empty stores that open returns.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, part := range []struct {
		name  string
		check func(*testing.T, store.Store)
	}{
		{"names", names},
		{"files", files},
		{"offsets", offsets},
		{"unless", unless},
		{"failed put", failedPut},
		{"canceled", canceled},
	} {
		t.Run(part.name, func(t *testing.T) { part.check(t, open(t)) })
	}
}

func names(t *testing.T, s store.Store) {
	for _, name := range []string{"", ".", "..", "/a", "a/", "a//b", "a/../b", "./a", `a\b`, "a\x00b"} {
		_, err := s.Open(ctx, name, store.Request{})
		perr, derr := s.Put(ctx, name, strings.NewReader("x")), s.Delete(ctx, name)
		for _, err := range []error{err, perr, derr} {
			if !errors.Is(err, store.ErrInvalidName) {
				t.Errorf("name %q: %v, want ErrInvalidName", name, err)
			}
		}
	}
}

func files(t *testing.T, s store.Store) {
	if _, err := s.Open(ctx, "a/b", store.Request{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	put(t, s, "a/b", "")
	put(t, s, "a/b", "one")
	put(t, s, "a/c", strings.Repeat("x", 1<<20))
	put(t, s, "ab", "two")
	if got := read(t, s, "a/b", store.Request{}); got != "one" {
		t.Errorf("a/b is %q", got)
	}
	if _, err := s.Open(ctx, "a", store.Request{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder: %v", err)
	}
	list, err := s.List(ctx, "a/")
	if err != nil || len(list) != 2 || list[0] != (store.Entry{Name: "a/b", Size: 3}) || list[1].Size != 1<<20 {
		t.Errorf("list %v, %v", list, err)
	}
	for range 2 {
		if err := s.Delete(ctx, "a/b"); err != nil {
			t.Error(err)
		}
	}
	if list, err := s.List(ctx, ""); err != nil || len(list) != 2 || list[0].Name != "a/c" || list[1].Name != "ab" {
		t.Errorf("list %v, %v", list, err)
	}
}

func offsets(t *testing.T, s store.Store) {
	put(t, s, "f", "0123456789")
	object, err := s.Open(ctx, "f", store.Request{})
	if err != nil {
		t.Fatal(err)
	}
	object.Body.Close()
	if object.Size != 10 || object.Version == "" {
		t.Errorf("%+v", object)
	}
	if got := read(t, s, "f", store.Request{Offset: 4, Version: object.Version}); got != "456789" {
		t.Errorf("from 4: %q", got)
	}
	for _, req := range []store.Request{{Offset: 4}, {Offset: 4, Version: "other"}} {
		if got := read(t, s, "f", req); got != "0123456789" {
			t.Errorf("%+v: %q", req, got)
		}
	}
}

func unless(t *testing.T, s store.Store) {
	put(t, s, "f", "one")
	object, err := s.Open(ctx, "f", store.Request{})
	if err != nil {
		t.Fatal(err)
	}
	object.Body.Close()
	if object, err := s.Open(ctx, "f", store.Request{Unless: object.Version}); err == nil {
		object.Body.Close() // it may not be able to tell
	} else if !errors.Is(err, store.ErrUnchanged) {
		t.Errorf("%v, want ErrUnchanged", err)
	}
	put(t, s, "f", "another")
	if got := read(t, s, "f", store.Request{Unless: object.Version}); got != "another" {
		t.Errorf("after a change: %q", got)
	}
}

func failedPut(t *testing.T, s store.Store) {
	put(t, s, "f", "old")
	broken := io.MultiReader(strings.NewReader("new"), brokenReader{})
	if err := s.Put(ctx, "f", broken); !errors.Is(err, errBroken) {
		t.Errorf("put: %v", err)
	}
	if got := read(t, s, "f", store.Request{}); got != "old" {
		t.Errorf("after a failed put: %q", got)
	}
	if list, err := s.List(ctx, ""); err != nil || len(list) != 1 {
		t.Errorf("list %v, %v", list, err)
	}
}

func canceled(t *testing.T, s store.Store) {
	put(t, s, "f", "x")
	ctx, cancel := context.WithCancel(ctx)
	object, err := s.Open(ctx, "f", store.Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	cancel()
	_, rerr := io.ReadAll(object.Body)
	_, oerr := s.Open(ctx, "f", store.Request{})
	_, lerr := s.List(ctx, "")
	for _, err := range []error{rerr, oerr, lerr, s.Put(ctx, "g", strings.NewReader("")), s.Delete(ctx, "f")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	}
}

func put(t *testing.T, s store.Store, name, data string) {
	t.Helper()
	if err := s.Put(ctx, name, strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s store.Store, name string, req store.Request) string {
	t.Helper()
	object, err := s.Open(context.Background(), name, req)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(object.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var errBroken = errors.New("broken reader")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// Failing is a store whose call number At, from 1, fails with Err.
type Failing struct {
	store.Store
	At  int64
	Err error

	calls atomic.Int64
}

func (f *Failing) fail() error {
	if f.calls.Add(1) == f.At {
		return f.Err
	}
	return nil
}

// Open is Store's, unless it is its turn to fail; so are the others.
func (f *Failing) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.Open(ctx, name, req)
}

// Put writes a file.
func (f *Failing) Put(ctx context.Context, name string, r io.Reader) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Store.Put(ctx, name, r)
}

// PutIf writes a file on a condition.
func (f *Failing) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return store.PutIf(ctx, f.Store, name, r, version)
}

// Delete removes a file.
func (f *Failing) Delete(ctx context.Context, name string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Store.Delete(ctx, name)
}

// List lists files.
func (f *Failing) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.List(ctx, prefix)
}
