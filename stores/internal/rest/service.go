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

// Service makes the requests that are no reads. They have bodies of a few MiB at most, so each can be made again.
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
	err = retry.Do(ctx, temporary, func() error {
		answer, err = s.once(ctx, method, url, header, body)
		return err
	})
	if ctx.Err() != nil {
		return answer, ctx.Err()
	}
	return answer, err
}

func (s *Service) once(ctx context.Context, method, url string, header http.Header, body []byte) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
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

// temporary tells which failures another try may mend.
func temporary(err error) bool {
	var status *store.StatusError
	if errors.As(err, &status) {
		return status.Code == http.StatusTooManyRequests || status.Code >= 500 || status.Code == http.StatusRequestTimeout
	}
	var op *net.OpError
	var timeout net.Error
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &timeout) && timeout.Timeout()
}
