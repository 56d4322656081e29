package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// wellServed serves a repository as it should be served, but for what spoil changes of an answer's header.
func wellServed(s store.Store, spoil func(name string, header http.Header)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		spoil(name, w.Header())
		object, err := s.Open(r.Context(), name, store.Request{})
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		data, err := io.ReadAll(object.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		contentType, cacheControl := store.HeadersFor(name)
		for key, value := range map[string]string{"Content-Type": contentType, "Cache-Control": cacheControl, "ETag": `"` + object.Version + `"`} {
			if w.Header().Get(key) == "" {
				w.Header().Set(key, value)
			}
		}
		for key, values := range w.Header() {
			if values[0] == "none" {
				w.Header().Del(key)
			}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}

// examine examines what a handler serves, by https if told.
func examine(t *testing.T, h http.Handler, secure bool, what Examination, root []byte) []updater.Finding {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	defer server.Close()
	what.Wire = NewWire()
	what.Wire.transport = server.Client().Transport
	from, err := store.NewHTTP(server.URL, store.HTTPOptions{Client: &http.Client{Transport: what.Wire}})
	must(t, err)
	r := Open(unlisted{from})
	r.TrustRoot(root)
	found, err := r.Examine(ctx, what)
	must(t, err)
	return found
}

// unlisted is a web server as a Store.
type unlisted struct{ store.Reader }

func (unlisted) Put(context.Context, string, io.Reader) error { return errors.ErrUnsupported }
func (unlisted) Delete(context.Context, string) error         { return errors.ErrUnsupported }
func (unlisted) List(context.Context, string) ([]store.Entry, error) {
	return nil, errors.ErrUnsupported
}

// told finds the finding that has a text.
func told(found []updater.Finding, text string) *updater.Finding {
	for i, f := range found {
		if strings.Contains(f.What, text) {
			return &found[i]
		}
	}
	return nil
}

func untouched(string, http.Header) {}

func TestExamineFindsNothing(t *testing.T) {
	s, _, root := signedRepo(t, "1", "2")
	for _, secure := range []bool{false, true} {
		for _, f := range examine(t, wellServed(s, untouched), secure, Examination{}, root) {
			if !f.OK || f.Do != "" {
				t.Errorf("https %v: %+v", secure, f)
			}
		}
	}
	found, err := Open(s).Examine(ctx, Examination{}) // not on a web server
	must(t, err)
	if len(found) != 5 || told(found, "goes on where it was") == nil || told(found, "not sent again") == nil {
		t.Errorf("%+v", found)
	}
}

func TestExamineHeaders(t *testing.T) {
	s, _, root := signedRepo(t, "1")
	now := func(off time.Duration) string { return time.Now().Add(off).UTC().Format(http.TimeFormat) }
	const anyFile = ""
	for text, c := range map[string]struct {
		file, key, value string
		works            bool // it is advice
	}{
		"timestamp.json says nothing about caches":                         {"timestamp.json", "Cache-Control", "none", true},
		"may keep metadata/timestamp.json for 10m0s":                       {"timestamp.json", "Cache-Control", "public, max-age=1, S-MaxAge=600", true},
		"may keep metadata/timestamp.json for 2h0m0s: clients are late by": {"timestamp.json", "Cache-Control", "max-age=7200", false},
		"may keep metadata/timestamp.json for 3h0m0s":                      {"timestamp.json", "Age", "10800", false},
		"keep metadata/timestamp.json for 0s at most":                      {"timestamp.json", "Cache-Control", "no-store, max-age=7200", true},
		"may keep that a file is missing for 10m0s":                        {"0.root.json", "Cache-Control", "max-age=600", true},
		"tool.bz2 for 1m0s at most":                                        {"tool.bz2", "Cache-Control", "max-age=60", true},
		"tool.bz2 says nothing about caches":                               {"tool.bz2", "Cache-Control", "none", true},
		"sent again though it has not changed":                             {"timestamp.json", "ETag", `W/"weak"`, true},
		"tool.bz2 has no version":                                          {"tool.bz2", "ETag", `W/"weak"`, false},
		"timestamp.json: ":                                                 {"timestamp.json", "Content-Encoding", "gzip", false},
		"is ahead of the server's by 2m":                                   {anyFile, "Date", now(-2 * time.Minute), true},
		"is ahead of the server's by 1h":                                   {anyFile, "Date", now(-time.Hour), false},
		"is behind the server's by 1h0m":                                   {anyFile, "Date", now(time.Hour + 30*time.Second), false},
		"does not say what time":                                           {anyFile, "Date", "noon", true},
	} {
		found := examine(t, wellServed(s, func(name string, h http.Header) {
			if strings.HasSuffix(name, c.file) {
				h.Set(c.key, c.value)
			}
		}), false, Examination{}, root)
		f := told(found, text)
		if text == "timestamp.json: " {
			f = told(found, "Content-Encoding")
		}
		if f == nil || f.OK != c.works {
			t.Errorf("%s: %+v in %+v", text, f, found)
		}
	}
}

func TestExamineExpires(t *testing.T) {
	for value, want := range map[string]time.Duration{"0": 0, "Mon, 02 Jan 2006 15:04:05 GMT": time.Hour, "Mon, 02 Jan 2006 13:04:05 GMT": 0} {
		a := &answer{header: http.Header{"Date": {"Mon, 02 Jan 2006 14:04:05 GMT"}, "Expires": {value}}}
		if d, said := a.kept(); d != want || !said {
			t.Errorf("%s: %v, %v", value, d, said)
		}
	}
}

// answering answers some files otherwise.
func answering(good http.Handler, suffix string, otherwise http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, suffix) {
			otherwise(w, r)
			return
		}
		good.ServeHTTP(w, r)
	})
}

func TestExamineAnswers(t *testing.T) {
	s, _, root := signedRepo(t, "1")
	good := wellServed(s, untouched)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}
	for text, h := range map[string]http.Handler{
		"the repository cannot be read":      status(503),
		"answered as forbidden":              answering(good, "/0.root.json", status(403)),
		"answered as if it were there":       answering(good, "/0.root.json", body("<html>")),
		"not told to be missing":             answering(good, "/0.root.json", status(500)),
		"clients refuse the metadata":        answering(good, "/timestamp.json", body("{}")),
		"the metadata cannot be read":        answering(good, "/1.root.json", status(500)),
		"is not the file that was published": answering(good, "/tool.bz2", body("other")),
		"is sent from its start": answering(good, "/tool.bz2", func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			good.ServeHTTP(w, r)
		}),
		"other bytes came": answering(good, "/tool.bz2", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				good.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			good.ServeHTTP(answer, r)
			w.Header().Set("Content-Range", answer.Header().Get("Content-Range"))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, answer.Body.Len()))
		}),
	} {
		pin := root
		if text == "the metadata cannot be read" {
			pin = nil
		}
		found := examine(t, h, false, Examination{}, pin)
		if f := told(found, text); f == nil || f.OK {
			t.Errorf("%s: %+v", text, found)
		}
	}
	if found := examine(t, http.HandlerFunc(status(403)), false, Examination{}, nil); told(found, "answered as forbidden") == nil {
		t.Errorf("all is forbidden: %+v", found)
	}
}

func TestExamineRedirect(t *testing.T) {
	s, _, root := signedRepo(t, "1")
	there := httptest.NewServer(wellServed(s, untouched))
	defer there.Close()
	found := examine(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, there.URL+r.URL.Path, http.StatusFound)
	}), false, Examination{}, root)
	if told(found, "is sent on to "+there.URL) == nil {
		t.Errorf("%+v", found)
	}
}

func TestExamineCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	wire := NewWire()
	wire.transport = server.Client().Transport
	resp, err := (&http.Client{Transport: wire}).Get(server.URL)
	must(t, err)
	resp.Body.Close()
	for left, works := range map[time.Duration]bool{15 * day: true, 13 * day: false} {
		e := &exam{repo: Open(&store.Mem{})}
		e.repo.clock = func() time.Time { return server.Certificate().NotAfter.Add(-left) }
		e.certificate(wire.answered())
		if len(e.found) != 1 || e.found[0].OK != works {
			t.Errorf("%v left: %+v", left, e.found)
		}
	}
}

func TestExamineUnsigned(t *testing.T) {
	s := &store.Mem{}
	_, err := Open(s).Add(ctx, small(t, "1", strings.Repeat("one", 100)))
	must(t, err)
	h := wellServed(s, untouched)
	found := examine(t, h, false, Examination{}, nil)
	if told(found, "neither signed nor encrypted").OK || told(found, "no release was looked at").Do == "" {
		t.Errorf("%+v", found)
	}
	found = examine(t, h, true, Examination{Version: "1", OS: "linux", Arch: "amd64"}, nil)
	if told(found, "neither signed") != nil || told(found, "goes on where it was") == nil || told(found, "tool.zst") == nil {
		t.Errorf("%+v", found)
	}
	if found := examine(t, h, true, Examination{Version: "2", OS: "linux", Arch: "amd64"}, nil); told(found, "2/linux/amd64/release.json").OK {
		t.Errorf("%+v", found)
	}
	found, err = Open(s).Examine(ctx, Examination{OS: "plan9"})
	must(t, err)
	if told(found, "there is no such release") == nil {
		t.Errorf("%+v", found)
	}
}

// A sample is all that is fetched of a large artifact.
func TestExamineSample(t *testing.T) {
	s := &store.Mem{}
	must(t, s.Put(ctx, "large", io.LimitReader(zeros{}, sampleLimit+1)))
	e := &exam{repo: Open(s)}
	e.artifact(ctx, "large", sampleLimit+1, "its sum, of which a sample says nothing")
	if told(e.found, strconv.Itoa(sampleLimit)+" bytes fetched") == nil || told(e.found, "goes on where it was") == nil {
		t.Errorf("%+v", e.found)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A server that is down is told with what to do; so is a release that is not there.
func TestExamineMissing(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	from, err := store.NewHTTP(server.URL, store.HTTPOptions{})
	must(t, err)
	found, err := Open(unlisted{from}).Examine(ctx, Examination{})
	must(t, err)
	if f := told(found, "the repository cannot be read: "); f == nil || f.OK || !strings.Contains(f.Do, "cannot be reached") {
		t.Errorf("%+v", found)
	}
	found = examine(t, wellServed(store.NewDir(t.TempDir()), untouched), false, Examination{Version: "9", OS: "linux", Arch: "amd64"}, nil)
	if f := told(found, "9/linux/amd64/release.json"); f == nil || f.OK || !strings.Contains(f.Do, "the version") {
		t.Errorf("%+v", found)
	}
}

func TestCheckTrustRoot(t *testing.T) {
	_, _, root := signedRepo(t, "1")
	must(t, CheckTrustRoot(root))
	for _, bad := range [][]byte{nil, []byte("{}"), []byte("no JSON"), bytes.Replace(root, []byte(`"tool"`), []byte(`"evil"`), 1)} {
		if CheckTrustRoot(bad) == nil {
			t.Errorf("%.40q is taken for a trust root", bad)
		}
	}
}
