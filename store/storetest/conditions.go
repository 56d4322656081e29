package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// Conditions checks conditional writes. again opens the same files for someone else.
func Conditions(t *testing.T, open func(t *testing.T) store.Store, again func(t *testing.T, s store.Store) store.Store) {
	ctx := context.Background()
	version := func(t *testing.T, s store.Store, name string) string {
		t.Helper()
		object, err := s.Open(ctx, name, store.Request{})
		if err != nil {
			t.Fatal(err)
		}
		object.Body.Close()
		return object.Version
	}
	t.Run("conditions", func(t *testing.T) {
		s := conditional(t, open(t))
		put := func(data, version string, want error) {
			t.Helper()
			if err := s.PutIf(ctx, "a/f", strings.NewReader(data), version); !errors.Is(err, want) {
				t.Errorf("%q if %q: %v, want %v", data, version, err, want)
			}
		}
		put("x", "no such version", store.ErrConflict)
		put("one", "", nil)
		put("two", "", store.ErrConflict)
		first := version(t, s, "a/f")
		put("two", first, nil)
		put("three", first, store.ErrConflict)
		if got := read(t, s, "a/f", store.Request{}); got != "two" {
			t.Errorf("a/f is %q", got)
		}
		if list, err := s.List(ctx, ""); err != nil || len(list) != 1 {
			t.Errorf("refused writes left %v, %v", list, err)
		}
		if err := s.PutIf(ctx, "../f", strings.NewReader(""), ""); !errors.Is(err, store.ErrInvalidName) {
			t.Errorf("a bad name: %v", err)
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if err := s.PutIf(canceled, "a/f", strings.NewReader(""), ""); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if err := s.PutIf(ctx, "g", brokenReader{}, ""); !errors.Is(err, errBroken) {
			t.Errorf("a broken reader: %v", err)
		}
	})
	// Each of many writers reads a number and replaces it by the next. If every success counts, none was lost.
	t.Run("races", func(t *testing.T) {
		s := open(t)
		const writers, each = 4, 5
		var mu sync.Mutex
		won := []string{}
		var wg sync.WaitGroup
		for w := range writers {
			mine := conditional(t, again(t, s))
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range each {
					if value, ok := increment(t, mine, w); ok {
						mu.Lock()
						won = append(won, value)
						mu.Unlock()
					}
				}
			}()
		}
		wg.Wait()
		got := strings.Fields(read(t, s, "number", store.Request{}))
		slices.Sort(won)
		if slices.Sort(got); !slices.Equal(got, won) || len(won) == 0 {
			t.Errorf("won %v, and there is %v", won, got)
		}
	})
}

func conditional(t *testing.T, s store.Store) store.Conditional {
	t.Helper()
	c, ok := s.(store.Conditional)
	if !ok {
		t.Fatalf("%s has no conditional writes", s)
	}
	return c
}

// increment adds a word to the file "number", once.
func increment(t *testing.T, s store.Conditional, writer int) (word string, ok bool) {
	ctx := context.Background()
	version, text := "", ""
	object, err := s.Open(ctx, "number", store.Request{})
	if err == nil {
		var b strings.Builder
		buf := make([]byte, 512)
		for n, err := object.Body.Read(buf); ; n, err = object.Body.Read(buf) {
			b.Write(buf[:n])
			if err != nil {
				break
			}
		}
		object.Body.Close()
		version, text = object.Version, b.String()
	}
	word = fmt.Sprintf("%d.%d", writer, len(strings.Fields(text)))
	err = s.PutIf(ctx, "number", strings.NewReader(text+" "+word), version)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.Errorf("writer %d: %v", writer, err)
	}
	return word, err == nil
}
