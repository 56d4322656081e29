package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
)

// Many checks that n files are listed, whatever a service's page holds.
func Many(t *testing.T, s store.Store, n int) {
	ctx := context.Background()
	const writers = 16
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < n; i += writers {
				if err := s.Put(ctx, fmt.Sprintf("d%02d/f%05d", i%7, i), strings.NewReader("x")); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	list, err := s.List(ctx, "")
	if err != nil || len(list) != n {
		t.Fatalf("%d files are listed, want %d: %v", len(list), n, err)
	}
	if !slices.IsSortedFunc(list, func(a, b store.Entry) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the list is not sorted")
	}
	seen := map[string]bool{}
	for _, e := range list {
		seen[e.Name] = e.Size == 1
	}
	for i := range n {
		if name := fmt.Sprintf("d%02d/f%05d", i%7, i); !seen[name] {
			t.Fatalf("%s is missing or has the wrong size", name)
		}
	}
	some, err := s.List(ctx, "d03/f0000")
	if err != nil || len(some) != 1 || some[0].Name != "d03/f00003" {
		t.Errorf("below a prefix: %v, %v", some, err)
	}
}

// Whole checks that readers never see half a file, while it is written and when writing it failed half way.
func Whole(t *testing.T, open func(t *testing.T) store.Store, again func(t *testing.T, s store.Store) store.Store) {
	ctx := context.Background()
	s := open(t)
	const size = 20 << 20 // more than a part of any store
	old, fresh := bytes.Repeat([]byte("o"), size), bytes.Repeat([]byte("n"), size)
	if err := s.Put(ctx, "f", bytes.NewReader(old)); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(bytes.NewReader(fresh[:size-size/4]), brokenReader{})
	if err := s.Put(ctx, "f", broken); err == nil {
		t.Fatal("a broken reader is no error")
	}
	if got := read(t, s, "f", store.Request{}); got != string(old) {
		t.Errorf("after a failed put there are %d other bytes", len(got))
	}
	for _, n := range []int{3, 16 << 20} { // where a part ends, too: a reader tells last whether what it gave is right
		broken := io.MultiReader(bytes.NewReader(fresh[:n]), brokenReader{})
		if err := store.PutIf(ctx, s, "g", broken, ""); err == nil {
			t.Errorf("a reader that breaks after %d bytes is no error", n)
		}
		if object, err := s.Open(ctx, "g", store.Request{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after a failed conditional put: %+v, %v", object, err)
		}
	}
	done := make(chan error)
	go func() { done <- s.Put(ctx, "f", &slowReader{r: bytes.NewReader(fresh)}) }()
	reader := again(t, s)
	for running := true; running; {
		select {
		case err := <-done:
			running = false
			if err != nil {
				t.Fatal(err)
			}
		default:
		}
		// A store may cut off who reads what is just being replaced; clients begin anew then.
		f := store.Fetcher{Readers: []store.Reader{reader}, Sleep: func(context.Context, time.Duration) error { return nil }}
		if got, err := f.ReadFile(ctx, "f", size, nil); err != nil || !bytes.Equal(got, old) && !bytes.Equal(got, fresh) {
			t.Fatalf("a reader got %d bytes that are neither old nor new, %v", len(got), err)
		}
	}
	if got := read(t, s, "f", store.Request{}); got != string(fresh) {
		t.Error("the new file is not there")
	}
	if list, err := s.List(ctx, ""); err != nil || len(list) != 1 || list[0].Size != size {
		t.Errorf("list %v, %v", list, err)
	}
}

// slowReader hands out a MiB at a time, so that others come between.
type slowReader struct{ r io.Reader }

func (s *slowReader) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 1<<20)]) }

// Resumes checks that a download goes on where it was cut, and begins anew where the file was replaced meanwhile.
func Resumes(t *testing.T, s store.Store) {
	ctx := context.Background()
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	if err := s.Put(ctx, "f", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	object, err := s.Open(ctx, "f", store.Request{})
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(object.Body, head); err != nil {
		t.Fatal(err)
	}
	object.Body.Close()
	if object.Size != int64(len(data)) || object.Version == "" {
		t.Errorf("size %d, version %q", object.Size, object.Version)
	}
	rest, err := s.Open(ctx, "f", store.Request{Offset: 1 << 20, Version: object.Version})
	if err != nil {
		t.Fatal(err)
	}
	tail, err := io.ReadAll(rest.Body)
	rest.Body.Close()
	if err != nil || rest.Offset != 1<<20 || rest.Size != object.Size || !bytes.Equal(append(head, tail...), data) {
		t.Errorf("from %d of %d: %d bytes, %v", rest.Offset, rest.Size, len(tail), err)
	}
	other := bytes.Repeat([]byte("z"), len(data))
	if err := s.Put(ctx, "f", bytes.NewReader(other)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "f", store.Request{Offset: 1 << 20, Version: object.Version}); got != string(other) {
		t.Errorf("of a replaced file there are %d bytes", len(got))
	}
}
