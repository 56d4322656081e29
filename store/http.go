package store

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// MaxRedirects is how many redirects one request follows.
const MaxRedirects = 5

// Timeouts bound how long a server may take, and how slow it may be. There is
// no limit to a whole download. Zero means the default, a negative value none.
type Timeouts struct {
	Dial   time.Duration // to connect; 10 s
	TLS    time.Duration // for the TLS handshake; 10 s
	Header time.Duration // from request to answer; 30 s
	Idle   time.Duration // without a single byte; 30 s

	// MinRate is the fewest bytes per second, averaged over RateWindow;
	// 100 B/s over 60 s.
	MinRate    int64
	RateWindow time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
		*d = max(*d, 0)
	}
	set(&t.Dial, 10*time.Second)
	set(&t.TLS, 10*time.Second)
	set(&t.Header, 30*time.Second)
	set(&t.Idle, 30*time.Second)
	set(&t.RateWindow, time.Minute)
	if t.MinRate == 0 {
		t.MinRate = 100
	}
	return t
}

// HTTPOptions say how an [HTTP] store makes its requests. The zero value is good.
type HTTPOptions struct {
	// Client makes the requests where set. Its transport, cookie jar and
	// timeout are used, so that Timeouts' Dial and TLS have no effect; its CheckRedirect
	// is replaced by ours.
	Client *http.Client

	// Header is sent with each request to the repository's host, and to no other.
	Header http.Header

	// UserAgent is "go-updater" unless set.
	UserAgent string

	// ForbiddenIsMissing takes an answer 403 for 404, as buckets give it
	// for missing files to those who may not list them.
	ForbiddenIsMissing bool

	Timeouts Timeouts
}

// HTTP reads from a web server. A proxy is taken from the environment
// (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) unless a client is given.
type HTTP struct {
	base     *url.URL
	request  func(*http.Request) (*http.Response, error) // a client's Do; see [NewHTTP]
	header   http.Header
	timeouts Timeouts
	hides    bool // a 403 may be a 404
}

// NewHTTP returns a store of the files below an http or https URL. User name and
// password in it are sent as basic authentication, and a query is sent with each
// request; neither ever appears in an error.
func NewHTTP(base string, o HTTPOptions) (*HTTP, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("the repository's URL is malformed") // url.Error has all of it
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, cause.Errorf("%s is no http or https URL", u.Redacted())
	}
	h := &HTTP{base: u, timeouts: o.Timeouts.withDefaults(), header: o.Header.Clone(), hides: o.ForbiddenIsMissing}
	if h.header == nil {
		h.header = http.Header{}
	}
	set(h.header, "User-Agent", "go-updater")
	if o.UserAgent != "" {
		set(h.header, "User-Agent", o.UserAgent)
	}
	client := http.Client{Transport: newTransport(h.timeouts)}
	if o.Client != nil {
		client = *o.Client
	}
	client.CheckRedirect = h.checkRedirect
	h.request = client.Do
	return h, nil
}

func newTransport(t Timeouts) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: t.Dial, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    t.TLS,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
	}
}

// checkRedirect keeps secrets at home: net/http forgets Authorization and
// Cookie for other hosts, and nothing else.
func (h *HTTP) checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return ErrRedirects
	}
	if next.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return ErrDowngrade
	}
	if next.URL.Host != h.base.Host {
		for key := range h.header {
			if key != "User-Agent" {
				next.Header.Del(key)
			}
		}
		next.Header.Del("Authorization")
		next.Header.Del("Cookie")
	}
	return nil
}

func (h *HTTP) String() string { return h.base.Scheme + "://" + h.base.Host + h.base.EscapedPath() }

// Open makes one GET request. The version of a file is its strong ETag or,
// without one, its Last-Modified time if that is strong by RFC 9110, section 8.8.2.2.
//
// Errors, beside those of the net and crypto/tls packages: [*StatusError], ErrUnchanged, ErrBadRange, ErrEncoded,
// ErrDowngrade, ErrRedirects, ErrStalled, ErrInvalidName.
func (h *HTTP) Open(ctx context.Context, name string, req Request) (*Object, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	where := h.locate(name)
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newWatch(cancel, h.timeouts)
	resp, err := h.do(ctx, where, req)
	if err != nil {
		watch.stop()
		err = h.explain(ctx, name, err)
		cancel(nil)
		return nil, err
	}
	object, err := h.accept(resp, where, req)
	if err != nil {
		watch.stop()
		cancel(nil)
		resp.Body.Close()
		return nil, err
	}
	watch.body()
	object.Body = &body{body: resp.Body, watch: watch, ctx: ctx, cancel: cancel, left: resp.ContentLength}
	return object, nil
}

// locate makes path and escaped path by hand: [url.URL.JoinPath] would clean what needs no cleaning, with 4 KB in each program.
func (h *HTTP) locate(name string) *url.URL {
	elements := strings.Split(name, "/")
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	u := *h.base
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/") + "/" + strings.Join(elements, "/")
	u.Path = strings.TrimRight(u.Path, "/") + "/" + name
	return &u
}

func (h *HTTP) do(ctx context.Context, where *url.URL, req Request) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, err
	}
	for key, values := range h.header {
		r.Header[key] = values
	}
	set(r.Header, "Accept-Encoding", "identity")
	if req.Offset > 0 && req.Version != "" {
		set(r.Header, "Range", "bytes="+strconv.FormatInt(req.Offset, 10)+"-")
		set(r.Header, "If-Range", req.Version)
	}
	switch {
	case strings.HasPrefix(req.Unless, `"`):
		set(r.Header, "If-None-Match", req.Unless)
	case req.Unless != "":
		set(r.Header, "If-Modified-Since", req.Unless)
	}
	if req.NoCache {
		set(r.Header, "Cache-Control", "no-cache")
		set(r.Header, "Pragma", "no-cache")
	}
	return h.request(r)
}

// explain takes the URL, which may hold secrets, out of an error, and says when
// it was our own watch that ended the request.
func (h *HTTP) explain(ctx context.Context, name string, err error) error {
	if why := context.Cause(ctx); errors.Is(why, ErrStalled) {
		err = why
	}
	if u, ok := cause.Find[*url.Error](err); ok {
		err = u.Err
	}
	return cause.Errorf("requesting %s from %s: %w", name, h, err)
}

// accept decides what an answer means.
func (h *HTTP) accept(resp *http.Response, where *url.URL, req Request) (*Object, error) {
	asked := req.Offset > 0 && req.Version != ""
	shown := where.Scheme + "://" + where.Host + where.EscapedPath()
	version := strongValidator(resp.Header)
	object := &Object{Size: resp.ContentLength, Version: version, contentType: get(resp.Header, "Content-Type")}

	switch {
	case resp.StatusCode == http.StatusNotModified && req.Unless != "":
		return nil, cause.Errorf("%s: %w", shown, ErrUnchanged)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && asked:
		return nil, cause.Errorf("%s: %w", shown, ErrBadRange)
	case resp.StatusCode == http.StatusPartialContent && asked:
		start, size, ok := parseContentRange(get(resp.Header, "Content-Range"))
		if !ok || start != req.Offset || version != "" && version != req.Version {
			return nil, cause.Errorf("%s: %w: Content-Range %q", shown, ErrBadRange, get(resp.Header, "Content-Range"))
		}
		object.Offset, object.Size, object.Version = start, size, req.Version
	case resp.StatusCode == http.StatusPartialContent:
		return nil, cause.Errorf("%s: %w: it sent a part, and the whole was asked for", shown, ErrBadRange)
	case resp.StatusCode != http.StatusOK:
		return nil, &StatusError{Code: resp.StatusCode, URL: shown, RetryAfter: retryAfter(resp.Header), hidden: h.hides}
	}
	if enc := get(resp.Header, "Content-Encoding"); enc != "" && strings.ToLower(enc) != "identity" {
		return nil, cause.Errorf("%s: %w: %q", shown, ErrEncoded, enc)
	}
	return object, nil
}

// strongValidator is the value for If-Range, empty if there is none.
func strongValidator(header http.Header) string {
	if tag := get(header, "ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	modified, err := http.ParseTime(get(header, "Last-Modified"))
	if err != nil {
		return ""
	}
	date, err := http.ParseTime(get(header, "Date"))
	if err != nil || date.Sub(modified) < time.Minute {
		return ""
	}
	return get(header, "Last-Modified")
}

// parseContentRange reads "bytes START-END/SIZE" where END is the last byte of
// the file, as it has to be for what we ask.
func parseContentRange(s string) (start, size int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, total, _ := strings.Cut(rest, "/")
	first, last, _ := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	size, err3 := strconv.ParseInt(total, 10, 64)
	if cause.Join(err1, err2, err3) != nil || start < 0 || end < start || size != end+1 {
		return 0, 0, false
	}
	return start, size, true
}

func retryAfter(header http.Header) time.Duration {
	value := get(header, "Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// set and get are [http.Header]'s. The compiler would put those into all of their callers.
//
//go:noinline
func set(h http.Header, key, value string) { h.Set(key, value) }

//go:noinline
func get(h http.Header, key string) string { return h.Get(key) }

var _ io.ReadCloser = (*body)(nil)
