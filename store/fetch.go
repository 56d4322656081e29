package store

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// Fetcher gets files from the first of several stores that has them right. It
// is the one place that tries again.
//
// Tried again are answers 429 and 5xx, cut, refused and stalled connections; with pauses that
// double from half a second to half a minute, of which a random part is waited. What another try cannot mend (a missing
// file, a certificate, a refused redirect) moves on to the next store at once, and so does a connection that cannot be made, as
// long as there is a next store.
type Fetcher struct {
	// Readers are tried in order.
	Readers []Reader

	// Others says that the caller has other stores to ask, should these be down.
	Others bool

	// Attempts is how many tries in a row may bring nothing, for each
	// reader; 5 if zero. A try that came 64 KiB further starts the count anew.
	Attempts int

	// Sleep waits, Jitter is a number in [0,1); replaced by tests.
	Sleep  func(ctx context.Context, d time.Duration) error
	Jitter func() float64

	// Notify, if set, is told of each failure that is not the last word.
	Notify func(Notice)
}

// Notice is a failure, and what is done about it.
type Notice struct {
	_ uncomparable

	Reader string
	Name   string
	Err    error
	Wait   time.Duration // until the next try
	Next   string        // "retry", "restart" or "next repository"
}

const (
	firstPause  = 500 * time.Millisecond
	longest     = 30 * time.Second
	longestAsk  = time.Minute // of what a server may ask for
	progressMin = 64 << 10
	maxRestarts = 3
	bufferSize  = 128 << 10
)

// Download says what to download, and where to.
type Download struct {
	Name  string
	Limit int64 // bytes; what is larger is an error
	Spool Spool

	// Accept tells whether the spool holds what it should. It is called
	// when all has arrived. ErrRejected makes the Fetcher bypass caches once, and
	// then go to the next reader; another error ends the download.
	Accept func() error

	// Unless is a version of the file that the caller has, see Request. Where the file still is that, the
	// download ends with ErrUnchanged. It names the version of one store: let there be one reader.
	Unless string

	// NoCache asks caches on the way to be bypassed from the first try.
	NoCache bool

	// Progress, if set, is called as bytes arrive, with the size of the file
	// or -1.
	Progress func(done, total int64)
}

// Spool keeps what has arrived, so that a later try, or a later process, can
// go on from there.
type Spool interface {
	// Have says how many bytes there are and where they came from.
	Have() (source, version string, size int64)

	// Begin forgets them. What is written next is the start of the file,
	// from source, with that version.
	Begin(source, version string) error

	io.Writer
}

// ReadFile reads a file of at most limit bytes. accept, if not nil, tells
// whether the bytes are right, as Download.Accept does.
func (f *Fetcher) ReadFile(ctx context.Context, name string, limit int64, accept func([]byte) error) ([]byte, error) {
	return f.ReadAll(ctx, Download{Name: name, Limit: limit}, accept)
}

// ReadAll downloads a file into memory; d needs no Spool and no Accept.
func (f *Fetcher) ReadAll(ctx context.Context, d Download, accept func([]byte) error) ([]byte, error) {
	var spool memSpool
	d.Spool = &spool
	d.Accept = func() error {
		if accept == nil {
			return nil
		}
		return accept(spool.data)
	}
	if err := f.Download(ctx, d); err != nil {
		return nil, err
	}
	return spool.data, nil
}

type memSpool struct{ data []byte }

func (s *memSpool) Have() (string, string, int64) { return "", "", 0 }
func (s *memSpool) Begin(string, string) error    { s.data = s.data[:0]; return nil }
func (s *memSpool) Write(p []byte) (int, error)   { s.data = append(s.data, p...); return len(p), nil }

// Download fetches a file into a spool.
//
// Errors: those of the reader, or of all readers, joined; ErrTooLarge, ErrRejected, ctx's; and
// [*LocalError] for a failure on this side.
func (f *Fetcher) Download(ctx context.Context, d Download) error {
	var failures []error
	for i, r := range f.Readers {
		t := &transfer{f: f, r: r, d: d, noCache: d.NoCache, last: !f.Others && i+1 == len(f.Readers), buf: make([]byte, min(bufferSize, max(d.Limit, 512)))}
		err := t.run(ctx)
		if err == nil || ctx.Err() != nil || isLocal(err) {
			return err
		}
		failures = append(failures, err)
		if i+1 < len(f.Readers) {
			f.notify(Notice{Reader: r.String(), Name: d.Name, Err: err, Next: "next repository"})
		}
	}
	if len(failures) == 0 {
		return errors.New("no repository to fetch from")
	}
	return joined(failures)
}

// joined is missing only if it is missing everywhere.
func joined(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	var other []error
	for _, err := range failures {
		if !errors.Is(err, fs.ErrNotExist) {
			other = append(other, err)
		}
	}
	if len(other) == 0 {
		return cause.Join(failures...)
	}
	return cause.Join(other...)
}

// LocalError is a failure of the spool or of the accept function, which no
// other try and no other store can mend.
type LocalError struct{ Err error }

func (e *LocalError) Error() string { return e.Err.Error() }

// Unwrap returns the failure itself.
func (e *LocalError) Unwrap() error { return e.Err }

func isLocal(err error) bool {
	_, local := cause.Find[*LocalError](err)
	return local
}

func (f *Fetcher) notify(n Notice) {
	if f.Notify != nil {
		f.Notify(n)
	}
}

// temporary tells which failures another try may mend.
func temporary(err error) bool {
	if status, ok := cause.Find[*StatusError](err); ok {
		return status.Code == 429 || status.Code >= 500
	}
	switch {
	case cause.Any(err, isCertificate):
		return false
	case errors.Is(err, ErrStalled), errors.Is(err, ErrCut), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	if dns, ok := cause.Find[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	if op, ok := cause.Find[*net.OpError](err); ok { // refused, reset, unreachable, timed out
		return op.Op == "dial" || op.Op == "read" || op.Op == "write"
	}
	timeout, ok := cause.Find[net.Error](err)
	return ok && timeout.Timeout()
}

// isUnreachable tells whether a connection was never made.
func isUnreachable(err error) bool {
	op, ok := err.(*net.OpError)
	return ok && op.Op == "dial"
}

func isCertificate(err error) bool {
	switch err.(type) {
	case x509.CertificateInvalidError, x509.UnknownAuthorityError, x509.HostnameError:
		return true
	}
	return false
}

// pause is how long to wait before try number n+1: a random part of a time that doubles, but at least what the server asks for.
func (f *Fetcher) pause(n int, err error) time.Duration {
	jitter := rand.Float64
	if f.Jitter != nil {
		jitter = f.Jitter
	}
	wait := time.Duration(jitter() * float64(min(longest, firstPause<<min(n, 10))))
	if status, ok := cause.Find[*StatusError](err); ok {
		wait = max(wait, min(status.RetryAfter, longestAsk))
	}
	return wait
}

func (f *Fetcher) sleep(ctx context.Context, d time.Duration) error {
	if f.Sleep != nil {
		return f.Sleep(ctx, d)
	}
	return pauseFor(ctx, d)
}
