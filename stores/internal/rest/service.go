package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	neturl "net/url"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/retry"
)

// Service makes the requests that are no reads.
type Service struct{ client *http.Client }

// NewService returns a service of a dialect.
func NewService(d Dialect) *Service {
	d.Rewrite, d.Hides = nil, false
	return &Service{&http.Client{
		Transport:     &transport{d},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Answer is what a service said.
type Answer struct {
	Code   int
	Header http.Header
	Body   []byte
}

// answerLimit is how many bytes of an answer are read: a page of a list is the longest.
const answerLimit = 16 << 20

// Do makes a request until there is an answer that is not temporary. A status of 400 and more is an error, other
// than 412.
func (s *Service) Do(ctx context.Context, method, url string, header http.Header, body []byte) (answer Answer, err error) {
	err = Again(ctx, func() error {
		answer, err = s.Once(ctx, method, url, header, bytes.NewReader(body))
		return err
	})
	return answer, err
}

// Again calls f, which makes requests, until its failure is none that another try may mend.
func Again(ctx context.Context, f func() error) error {
	err := retry.Do(ctx, Temporary, f)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Body is what is sent: bytes in memory or in a file, which can be sent again.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Once makes a request one time.
func (s *Service) Once(ctx context.Context, method, url string, header http.Header, body Body) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return Answer{}, err
	}
	if size := body.Size(); size > 0 {
		r.ContentLength = size
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(body, 0, size)), nil }
		r.Body, _ = r.GetBody()
	}
	for key, values := range header {
		r.Header[key] = values
	}
	resp, err := s.client.Do(r)
	var wrapped *neturl.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL may hold secrets: the session of an upload
	}
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	return Answer{resp.StatusCode, resp.Header, data}, err
}

// Temporary tells which failures another try may mend.
func Temporary(err error) bool {
	var status *store.StatusError
	if errors.As(err, &status) {
		return status.Code == http.StatusTooManyRequests || status.Code >= 500 || status.Code == http.StatusRequestTimeout
	}
	var op *net.OpError
	var timeout net.Error
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &timeout) && timeout.Timeout()
}
