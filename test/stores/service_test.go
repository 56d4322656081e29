package stores

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/store/storetest"
	"github.com/choria-io/go-updater/stores"
)

// service is something that stores live in.
type service struct {
	name string

	// url is where it listens, and location names its repository number n, reached through a URL that may be another.
	url      string
	location func(endpoint string, n int64) string

	many, kills, races int // how many files are listed, publishers killed, races run

	wait time.Duration // how long a publisher may have to wait for one that was killed

	appends bool // it keeps a part that it is sent twice twice, where the real service ignores it
	bare    bool // it serves no headers of files
	forget  bool // it forgets Cache-Control, so that only what is sent can be looked at
}

var repositories atomic.Int64

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openAny(location string) (store.Reader, error) {
	return stores.Open(ctx, location, stores.Options{})
}

func openStore(t testing.TB, location string) store.Store {
	t.Helper()
	s, err := stores.OpenStore(ctx, location, stores.Options{})
	must(t, err)
	if c, ok := s.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	return s
}

// fresh is the location of an empty repository.
func (s *service) fresh() (location func(endpoint string) string) {
	n := repositories.Add(1)
	return func(endpoint string) string { return s.location(endpoint, n) }
}

// conform runs all that every store has to pass.
func (s *service) conform(t *testing.T) {
	where := map[string]string{} // by store
	open := func(t *testing.T) store.Store {
		location := s.fresh()(s.url)
		opened := openStore(t, location)
		where[opened.String()] = location
		return opened
	}
	again := func(t *testing.T, of store.Store) store.Store { return openStore(t, where[of.String()]) }
	t.Run("contract", func(t *testing.T) { storetest.Run(t, open) })
	storetest.Conditions(t, open, again)
	t.Run("many", func(t *testing.T) { storetest.Many(t, open(t), s.many) })
	t.Run("whole", func(t *testing.T) { storetest.Whole(t, open, again) })
	t.Run("resumes", func(t *testing.T) { storetest.Resumes(t, open(t)) })
	if strings.HasPrefix(s.url, "http") {
		t.Run("faults", s.faults)
		if !s.bare {
			t.Run("headers", s.headers)
		}
	}
}

// faults: whatever happens to single requests, each operation succeeds in the end, once.
func (s *service) faults(t *testing.T) {
	for name, fault := range map[string]int{"503": 503, "429": 429, "cut": cutFirst, "lost answers": cutAfter} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, s.url)
			st := openStore(t, s.fresh()(p.url))
			must(t, st.Put(ctx, "a/f", strings.NewReader("one")))
			p.breaks(func(n int, r *http.Request) int {
				if n%2 == 1 && r.Method != http.MethodGet {
					return fault
				}
				return noFault
			})
			must(t, st.Put(ctx, "a/f", strings.NewReader("two")))
			big := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
			if s.appends && fault == cutAfter {
				p.breaks(nil)
			}
			must(t, st.Put(ctx, "a/big", bytes.NewReader(big)))
			must(t, st.Delete(ctx, "a/g"))
			p.breaks(nil)
			for file, want := range map[string][]byte{"a/f": []byte("two"), "a/big": big} {
				f := store.Fetcher{Readers: []store.Reader{st}}
				got, err := f.ReadFile(ctx, file, 64<<20, nil)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s has %d bytes, %v", file, len(got), err)
				}
			}
		})
	}
	t.Run("endless", func(t *testing.T) {
		p := newProxy(t, s.url)
		st := openStore(t, s.fresh()(p.url))
		p.breaks(func(int, *http.Request) int { return 503 })
		_, err := st.Open(ctx, "f", store.Request{})
		var status *store.StatusError
		if !errors.As(err, &status) || status.Code != 503 || p.count() > 2 {
			t.Errorf("a read: %v after %d requests", err, p.count())
		}
	})
}

// headers: what a CDN in front sees.
func (s *service) headers(t *testing.T) {
	p := newProxy(t, s.url)
	st := openStore(t, s.fresh()(p.url))
	for _, name := range []string{"metadata/timestamp.json", "metadata/7.targets.json", "1.0/linux/amd64/tool.zst", "1.0/linux/amd64/tool.bz2", "1.0/linux/amd64/release.json"} {
		must(t, st.Put(ctx, name, strings.NewReader("{}")))
		object, err := st.Open(ctx, name, store.Request{})
		must(t, err)
		object.Body.Close()
		contentType, cache := store.HeadersFor(name)
		suffix, of := name[strings.LastIndex(name, "/")+1:], p.headers
		if s.forget {
			of = p.sent
		}
		if got := p.header(of, suffix, "Content-Type"); got != contentType {
			t.Errorf("%s: Content-Type %q, want %q", name, got, contentType)
		}
		if got := p.header(of, suffix, "Cache-Control"); got != cache {
			t.Errorf("%s: Cache-Control %q, want %q", name, got, cache)
		}
	}
}

// refuses checks that neither reads nor writes work, that it is not called a missing file, and that the error says what to do.
func refuses(t *testing.T, s *service, what string) {
	t.Helper()
	st := openStore(t, s.fresh()(s.url))
	_, oerr := st.Open(ctx, "f", store.Request{})
	_, lerr := st.List(ctx, "")
	for action, err := range map[string]error{"a read": oerr, "a list": lerr, "a write": st.Put(ctx, "f", strings.NewReader("x"))} {
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", action, err, what)
		}
	}
}

func withQuery(location, key, value string) string {
	sign := "?"
	if strings.Contains(location, "?") {
		sign = "&"
	}
	return fmt.Sprint(location, sign, key, "=", value)
}
