package stores

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy stands before a service, counts, remembers and breaks.
type proxy struct {
	url string

	mu       sync.Mutex
	requests int
	headers  map[string]http.Header // of the last answer to a GET, by path
	sent     map[string]http.Header // of the last PUT or POST
	fault    func(n int, r *http.Request) int
	forgets  bool // only counts: a hundred thousand headers are more than what is measured
}

// What a fault does to a request: a status that is answered, or one of these.
const (
	noFault  = 0
	cutFirst = -1 // the connection ends before the service has seen the request
	cutAfter = -2 // the service does as it is told, and the answer is lost
)

// quiet is for servers whose complaints are expected.
var quiet = log.New(io.Discard, "", 0)

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{headers: map[string]http.Header{}, sent: map[string]http.Header{}}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(resp *http.Response) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if resp.Request.Method == http.MethodGet && !p.forgets {
				p.headers[resp.Request.URL.Path] = resp.Header.Clone()
			}
			return nil
		},
		ErrorLog:  quiet,
		Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true},
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests++
		if (r.Method == http.MethodPut || r.Method == http.MethodPost) && !p.forgets {
			p.sent[r.URL.Path] = r.Header.Clone()
		}
		what := noFault
		if p.fault != nil {
			what = p.fault(p.requests, r)
		}
		p.mu.Unlock()
		switch what {
		case noFault:
			pass.ServeHTTP(w, r)
		case cutFirst:
			panic(http.ErrAbortHandler)
		case cutAfter:
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(what)
		}
	}))
	server.Config.ErrorLog = quiet
	server.Start()
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *proxy) breaks(fault func(n int, r *http.Request) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.fault = 0, fault
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// header finds what was answered for a file, or sent of it.
func (p *proxy) header(of map[string]http.Header, suffix, key string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, h := range of {
		if strings.HasSuffix(path, suffix) {
			return h.Get(key)
		}
	}
	return ""
}
