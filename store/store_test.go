package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/store/storetest"
)

func TestDir(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return store.NewDir(t.TempDir()) })
}

func TestMem(t *testing.T) { storetest.Run(t, func(*testing.T) store.Store { return &store.Mem{} }) }

func TestNew(t *testing.T) {
	for location, want := range map[string]string{
		"https://user:secret@example.test/repo?token=secret": "https://example.test/repo",
		"file:///srv/my%20repo":                              filepath.FromSlash("/srv/my repo"),
		"file://localhost/srv/repo":                          filepath.FromSlash("/srv/repo"),
		"relative/path":                                      "relative/path",
	} {
		r, err := store.New(location, store.HTTPOptions{})
		if err != nil || r.String() != want {
			t.Errorf("%s: %v, %v", location, r, err)
		}
	}
	for _, location := range []string{"", "ftp://x/y", "s3://bucket", "file://server/share", "file://", "http://"} {
		if _, err := store.New(location, store.HTTPOptions{}); err == nil {
			t.Errorf("%q is accepted", location)
		}
	}
}

// fetch reads "f" from a server, without waiting between tries.
func fetch(t *testing.T, h http.HandlerFunc, o store.HTTPOptions) ([]byte, []store.Notice, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := store.NewHTTP(server.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	var notices []store.Notice
	f := store.Fetcher{
		Readers: []store.Reader{r}, Attempts: 3,
		Sleep:  func(context.Context, time.Duration) error { return nil },
		Notify: func(n store.Notice) { notices = append(notices, n) },
	}
	data, err := f.ReadFile(context.Background(), "f", 1<<20, nil)
	return data, notices, err
}

func TestStatuses(t *testing.T) {
	for code, tries := range map[int]int{304: 1, 400: 1, 401: 1, 403: 1, 404: 1, 410: 1, 429: 3, 500: 3, 503: 3, 206: 5} {
		n := 0
		_, _, err := fetch(t, func(w http.ResponseWriter, _ *http.Request) {
			n++
			if code == 206 {
				w.Header().Set("Content-Range", "bytes 0-4/10")
			}
			w.WriteHeader(code)
		}, store.HTTPOptions{})
		var status *store.StatusError
		if code != 206 && (!errors.As(err, &status) || status.Code != code) || code == 206 && !errors.Is(err, store.ErrBadRange) {
			t.Errorf("%d: %v", code, err)
		}
		if n != tries && code != 206 {
			t.Errorf("%d was asked for %d times, want %d", code, n, tries)
		}
	}
}

// A server that is down is tried again, unless there is another one.
func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "data") }))
	defer server.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		urls   []string
		pauses int
		good   bool
	}{
		"alone": {[]string{gone.URL}, 2, false},
		"first": {[]string{gone.URL, server.URL}, 0, true},
		"both":  {[]string{gone.URL, gone.URL}, 2, false},
	} {
		pauses := 0
		f := store.Fetcher{Attempts: 3, Sleep: func(context.Context, time.Duration) error { pauses++; return nil }}
		for _, url := range c.urls {
			r, err := store.NewHTTP(url, store.HTTPOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f.Readers = append(f.Readers, r)
		}
		data, err := f.ReadFile(context.Background(), "f", 10, nil)
		if (err == nil) != c.good || c.good && string(data) != "data" || pauses != c.pauses {
			t.Errorf("%s: %q, %v after %d pauses, want %d", name, data, err, pauses, c.pauses)
		}
	}
}

// quiet is for servers whose complaints are expected.
var quiet = log.New(io.Discard, "", 0)

// TestAnswersToRange: after a cut, the rest is asked for, and answered with something else. The file is
// fetched from its start then, and is right.
func TestAnswersToRange(t *testing.T) {
	var whole []byte
	for i := range 200 {
		whole = fmt.Appendf(whole, "%05d", i)
	}
	for name, answer := range map[string]func(w http.ResponseWriter){
		"another start":          func(w http.ResponseWriter) { part(w, `"v"`, "bytes 400-999/1000", whole[400:]) },
		"no range":               func(w http.ResponseWriter) { part(w, `"v"`, "", whole[500:]) },
		"malformed":              func(w http.ResponseWriter) { part(w, `"v"`, "bytes 500-", whole[500:]) },
		"not to the end":         func(w http.ResponseWriter) { part(w, `"v"`, "bytes 500-599/1000", whole[500:600]) },
		"another version":        func(w http.ResponseWriter) { part(w, `"w"`, "bytes 500-999/1000", whole[:500]) },
		"unsatisfiable":          func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
		"all of it":              func(w http.ResponseWriter) { w.Header().Set("ETag", `"v"`); w.Write(whole) },
		"all, without a version": func(w http.ResponseWriter) { w.Write(whole) },
	} {
		n := 0
		f := &spool{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++
			switch {
			case n == 1:
				w.Header().Set("ETag", `"v"`)
				w.Header().Set("Content-Length", "1000")
				w.Write(whole[:500])
			case r.Header.Get("Range") != "":
				if r.Header.Get("Range") != "bytes=500-" || r.Header.Get("If-Range") != `"v"` {
					t.Errorf("%s: headers %v", name, r.Header)
				}
				answer(w)
			default:
				w.Write(whole)
			}
		}))
		r, err := store.NewHTTP(server.URL, store.HTTPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fetcher := store.Fetcher{Readers: []store.Reader{r}, Sleep: func(context.Context, time.Duration) error { return nil }}
		err = fetcher.Download(context.Background(), store.Download{Name: "f", Limit: 1000, Spool: f})
		if err != nil || !bytes.Equal(f.data, whole) {
			t.Errorf("%s: %d bytes, %v", name, len(f.data), err)
		}
		server.Close()
	}
}

func part(w http.ResponseWriter, version, span string, data []byte) {
	w.Header().Set("ETag", version)
	if span != "" {
		w.Header().Set("Content-Range", span)
	}
	w.WriteHeader(http.StatusPartialContent)
	w.Write(data)
}

// spool remembers what has arrived.
type spool struct {
	source, version string
	data            []byte
}

func (s *spool) Have() (string, string, int64) { return s.source, s.version, int64(len(s.data)) }
func (s *spool) Begin(source, version string) error {
	s.source, s.version, s.data = source, version, nil
	return nil
}
func (s *spool) Write(p []byte) (int, error) { s.data = append(s.data, p...); return len(p), nil }

func TestRetryAfter(t *testing.T) {
	_, notices, _ := fetch(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
	}, store.HTTPOptions{})
	if len(notices) == 0 || notices[0].Wait < 7*time.Second {
		t.Errorf("notices %+v", notices)
	}
}

func TestRequestAsksForIdentity(t *testing.T) {
	_, _, err := fetch(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "x")
	}, store.HTTPOptions{})
	if !errors.Is(err, store.ErrEncoded) {
		t.Errorf("%v, want ErrEncoded", err)
	}
}

func TestRedirects(t *testing.T) {
	var seen http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		io.WriteString(w, "data")
	}))
	defer other.Close()
	header := http.Header{"X-Token": {"secret"}, "Authorization": {"secret"}}
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, where, http.StatusFound) }
	}
	data, _, err := fetch(t, to(other.URL), store.HTTPOptions{Header: header})
	if err != nil || string(data) != "data" || seen.Get("X-Token") != "" || seen.Get("Authorization") != "" {
		t.Errorf("another host got %v, %v", seen, err)
	}
	requests := 0
	loop := func(w http.ResponseWriter, r *http.Request) { requests++; to("/f")(w, r) }
	if _, _, err := fetch(t, loop, store.HTTPOptions{}); !errors.Is(err, store.ErrRedirects) || requests != store.MaxRedirects+1 {
		t.Errorf("a loop: %v after %d requests", err, requests)
	}

	tls := httptest.NewTLSServer(to(other.URL))
	defer tls.Close()
	r, err := store.NewHTTP(tls.URL, store.HTTPOptions{Client: tls.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(context.Background(), "f", store.Request{}); !errors.Is(err, store.ErrDowngrade) {
		t.Errorf("https to http: %v", err)
	}
	untrusting, err := store.NewHTTP(tls.URL, store.HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := store.Fetcher{Readers: []store.Reader{untrusting}, Sleep: func(context.Context, time.Duration) error {
		t.Error("a certificate is tried again")
		return nil
	}}
	if _, err := f.ReadFile(context.Background(), "f", 10, nil); err == nil {
		t.Error("a self-signed certificate is accepted")
	}
}

func TestStalls(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	hang := func(headers bool, drip time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if headers {
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
			}
			for drip > 0 {
				select {
				case <-r.Context().Done():
					return
				case <-time.After(drip):
					w.Write([]byte("x"))
					w.(http.Flusher).Flush()
				}
			}
			select {
			case <-end:
			case <-r.Context().Done():
			}
		}
	}
	short := store.Timeouts{Dial: -1, TLS: -1, Header: 150 * time.Millisecond, Idle: 150 * time.Millisecond, MinRate: 1000, RateWindow: 200 * time.Millisecond}
	for name, h := range map[string]http.HandlerFunc{"headers": hang(false, 0), "body": hang(true, 0), "drip": hang(true, 20*time.Millisecond)} {
		if _, _, err := fetch(t, h, store.HTTPOptions{Timeouts: short}); !errors.Is(err, store.ErrStalled) {
			t.Errorf("%s: %v, want ErrStalled", name, err)
		}
	}
}

func TestLimit(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"announced": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", fmt.Sprint(1<<30)) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 { // not more, should the limit fail
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	} {
		if _, _, err := fetch(t, h, store.HTTPOptions{}); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

func TestNoSecretsInErrors(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := strings.Replace(server.URL, "://", "://user:secret@", 1) + "?sig=secret"
	r, err := store.NewHTTP(url, store.HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, missing := r.Open(context.Background(), "f", store.Request{})
	server.Close()
	_, refused := r.Open(context.Background(), "f", store.Request{})
	for _, err := range []error{missing, refused} {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v", err)
		}
	}
}

// changing serves a file that is cut in the middle and then is another one.
func TestChangedBetween(t *testing.T) {
	old, new := bytes.Repeat([]byte("o"), 1000), bytes.Repeat([]byte("n"), 1000)
	n := 0
	data, _, err := fetch(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		if n == 1 {
			w.Header().Set("ETag", `"old"`)
			w.Header().Set("Content-Length", "1000")
			w.Write(old[:500])
			return
		}
		w.Header().Set("ETag", `"new"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(new))
	}, store.HTTPOptions{})
	if err != nil || !bytes.Equal(data, new) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestConditions(t *testing.T) {
	t.Run("dir", func(t *testing.T) {
		storetest.Conditions(t, func(t *testing.T) store.Store { return store.NewDir(t.TempDir()) },
			func(_ *testing.T, s store.Store) store.Store { return store.NewDir(s.String()) })
	})
	t.Run("mem", func(t *testing.T) {
		storetest.Conditions(t, func(t *testing.T) store.Store { return &store.Mem{} },
			func(_ *testing.T, s store.Store) store.Store { return s })
	})
	// Who has the lock writes; who has not waits for it.
	t.Run("locked", func(t *testing.T) {
		ctx, dir := context.Background(), store.NewDir(t.TempDir())
		unlock, err := dir.Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.PutIf(ctx, "f", strings.NewReader("x"), ""); err != nil {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		other := store.NewDir(dir.String())
		if err := other.PutIf(short, "g", strings.NewReader("x"), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without the lock: %v", err)
		}
		unlock()
		if err := other.PutIf(ctx, "g", strings.NewReader("x"), ""); err != nil {
			t.Error(err)
		}
	})
}

// A server that is told which version is there answers 304 while it is that, by ETag or by date.
func TestUnless(t *testing.T) {
	modified := time.Now().Add(-time.Hour)
	for _, header := range []string{"ETag", "Last-Modified"} {
		content, tag := "one", `"1"`
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			when := modified
			if header == "ETag" {
				w.Header().Set("ETag", tag)
				when = time.Time{}
			}
			http.ServeContent(w, r, "", when, strings.NewReader(content))
		}))
		s, err := store.NewHTTP(server.URL, store.HTTPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		object, err := s.Open(context.Background(), "f", store.Request{})
		if err != nil || object.Version == "" {
			t.Fatalf("%s: %+v, %v", header, object, err)
		}
		object.Body.Close()
		f := store.Fetcher{Readers: []store.Reader{s}}
		if data, err := f.ReadAll(context.Background(), store.Download{Name: "f", Limit: 9, Unless: object.Version}, nil); !errors.Is(err, store.ErrUnchanged) {
			t.Errorf("%s: %q, %v", header, data, err)
		}
		content, tag, modified = "two", `"2"`, modified.Add(time.Minute)
		if data, err := f.ReadAll(context.Background(), store.Download{Name: "f", Limit: 9, Unless: object.Version}, nil); err != nil || string(data) != "two" {
			t.Errorf("%s: changed: %q, %v", header, data, err)
		}
		server.Close()
	}
}

func TestWatch(t *testing.T) { storetest.Watches(t, &store.Mem{}) }
