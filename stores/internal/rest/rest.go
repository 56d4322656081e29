// Package rest reads files from services that are web servers with a dialect: S3, Google Cloud Storage, Azure Blob.
//
// Everything that [store.HTTP] does, time limits, redirects, ranges, stays as it is; only credentials, versions and
// error messages are the service's.
package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/choria-io/go-updater/store"
)

// Dialect is how a service differs from a web server.
type Dialect struct {
	// Base is the URL of the folder of all files.
	Base string

	// Sign adds credentials to a request.
	Sign func(*http.Request) error

	// Rewrite, where it is not nil, makes the GET request of a web server one of the service.
	Rewrite func(*http.Request)

	// Version is that of the file in an answer, quoted as an ETag is; nil takes the ETag.
	Version func(http.Header) string

	// Explain says what is wrong by the body of an answer and its headers, nil if the status says it all.
	Explain func(status *store.StatusError, h http.Header, body []byte) error

	// Transport makes the requests; nil is one of [NewTransport].
	Transport http.RoundTripper

	// Hides says that 403 is the answer for what is not there.
	Hides bool

	Timeouts store.Timeouts
}

// NewTransport is a transport for many requests to one host.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
	}
}

// Reader reads the files of a service.
type Reader struct{ http *store.HTTP }

// NewReader returns a reader of the files below d.Base.
func NewReader(d Dialect) (*Reader, error) {
	if d.Transport == nil {
		d.Transport = NewTransport()
	}
	h, err := store.NewHTTP(d.Base, store.HTTPOptions{
		Client: &http.Client{Transport: &transport{d}}, ForbiddenIsMissing: d.Hides, Timeouts: d.Timeouts,
	})
	if err != nil {
		return nil, err
	}
	return &Reader{h}, nil
}

// Open opens a file. One that is not any more what it was asked to be the rest of is opened at its start.
func (r *Reader) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	object, err := r.http.Open(ctx, name, req)
	var status *store.StatusError
	if req.Offset > 0 && (errors.Is(err, store.ErrBadRange) || errors.As(err, &status) && status.Code == http.StatusPreconditionFailed) {
		object, err = r.http.Open(ctx, name, store.Request{NoCache: true})
	}
	if err == nil {
		object.Body = &body{ReadCloser: object.Body, ctx: ctx}
	}
	return object, err
}

// body ends with ctx, even where all that is left has arrived.
type body struct {
	io.ReadCloser
	ctx context.Context
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}

// transport speaks the dialect.
type transport struct{ Dialect }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if t.Rewrite != nil {
		t.Rewrite(r)
	}
	if version := r.Header.Get("If-Range"); version != "" { // which these services do not document
		r.Header.Del("If-Range")
		r.Header.Set("If-Match", version)
	}
	if err := t.Sign(r); err != nil {
		return nil, err
	}
	resp, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if t.Version != nil {
		resp.Header.Set("ETag", t.Version(resp.Header))
	}
	if resp.StatusCode < 400 || resp.StatusCode == http.StatusPreconditionFailed || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return resp, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // half a message is better than none
	return nil, t.failure(resp, body)
}

func (t *transport) failure(resp *http.Response, body []byte) error {
	u := resp.Request.URL
	status := &store.StatusError{Code: resp.StatusCode, URL: u.Scheme + "://" + u.Host + u.EscapedPath()}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		status.RetryAfter = time.Duration(min(seconds, 1<<20)) * time.Second
	}
	err := t.Explain(status, resp.Header, body)
	if err == nil {
		err = status
	}
	if t.Hides && status.Code == http.StatusForbidden {
		return fmt.Errorf("%w (or forbidden: %w)", fs.ErrNotExist, err)
	}
	return err
}

// Prefix is the part of a location that files lie below, with a slash at its end unless it is empty.
func Prefix(path string) (string, error) {
	prefix := strings.Trim(path, "/")
	if prefix == "" {
		return "", nil
	}
	if err := store.CheckName(prefix); err != nil {
		return "", err
	}
	return prefix + "/", nil
}

// Tail reads up to limit bytes and tells whether that was all.
func Tail(ctx context.Context, r io.Reader, limit int64) (data []byte, all bool, err error) {
	data, err = io.ReadAll(io.LimitReader(WithContext(ctx, r), limit))
	if err != nil || int64(len(data)) < limit {
		return data, true, err
	}
	return data, false, nil
}

// Holds tells whether a file has the bytes of a sum: where the answer to the end of an upload was lost, and the service
// does not know the upload any more, it tells whether it was done.
func Holds(ctx context.Context, r store.Reader, name string, sum []byte) bool {
	object, err := r.Open(ctx, name, store.Request{NoCache: true})
	if err != nil {
		return false
	}
	defer object.Body.Close()
	h := sha256.New()
	_, err = io.Copy(h, object.Body)
	return err == nil && bytes.Equal(h.Sum(nil), sum)
}

// WithContext ends reading when ctx does.
func WithContext(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
