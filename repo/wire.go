package repo

import (
	"crypto/tls"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Wire is the [http.RoundTripper] of a store that [Repo.Examine] looks at, and remembers how the web server answered. It is safe for
// concurrent use.
type Wire struct {
	transport http.RoundTripper
	mu        sync.Mutex
	last      *answer
	redirect  string // the last that was answered, to the host that it leads to
}

// answer is what the doctor wants of an HTTP answer.
type answer struct {
	header  http.Header
	tls     *tls.ConnectionState // nil without TLS
	arrived time.Time
}

// NewWire returns a Wire to the network, with proxies from the environment.
func NewWire() *Wire {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	return &Wire{transport: t}
}

// RoundTrip makes a request.
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = &answer{header: resp.Header, tls: resp.TLS, arrived: time.Now()}
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		w.redirect = to.Scheme + "://" + to.Host
	}
	return resp, nil
}

// answered is the last answer, nil if there is none or the repository is not on a web server.
func (w *Wire) answered() *answer {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// redirected is where requests were sent on to, empty if they were not.
func (w *Wire) redirected() string {
	if w == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.redirect
}

// kept is how long caches on the way may keep an answer, by RFC 9111, section 4.2. said is false where it does not tell, and they guess.
func (a *answer) kept() (d time.Duration, said bool) {
	directives := map[string]string{}
	for _, d := range strings.Split(strings.Join(a.header.Values("Cache-Control"), ","), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		directives[strings.ToLower(key)] = strings.Trim(value, `"`)
	}
	for _, never := range []string{"no-store", "no-cache", "private"} {
		if _, ok := directives[never]; ok {
			return 0, true
		}
	}
	for _, age := range []string{"s-maxage", "max-age"} {
		if seconds, err := strconv.ParseUint(directives[age], 10, 31); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
	}
	if expires := a.header.Get("Expires"); expires != "" {
		at, err := http.ParseTime(expires)
		if err != nil {
			return 0, true // "0" and the like mean the past
		}
		return max(0, at.Sub(a.serverTime())), true
	}
	return 0, false
}

// age is for how long a cache has had what it answered with, 0 if the server itself answered.
func (a *answer) age() time.Duration {
	seconds, _ := strconv.ParseUint(a.header.Get("Age"), 10, 31)
	return time.Duration(seconds) * time.Second
}

// serverTime is what the server's clock showed, zero if it does not say so.
func (a *answer) serverTime() time.Time {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return date.Add(a.age())
}
