package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

var (
	// ErrRejected is wrapped by the error with which an accept function says that
	// the bytes it was given are not what they should be.
	ErrRejected = errors.New("not what was asked for")

	// ErrTooLarge: there is more than the caller's limit allows.
	ErrTooLarge = errors.New("larger than allowed")

	// ErrDowngrade: a server redirected from https to http.
	ErrDowngrade = errors.New("redirected from https to http, refused")

	// ErrRedirects: a server redirected more than MaxRedirects times.
	ErrRedirects = errors.New("too many redirects")

	// ErrStalled: bytes stopped coming, or came too slowly.
	ErrStalled = errors.New("the connection stalled")

	// ErrEncoded: a server compressed the file on its way though it was asked not to.
	ErrEncoded = errors.New("the server answered with a Content-Encoding")

	// ErrBadRange: a server answered a request for the rest of a file with
	// something that is not it. The file has to be fetched from its start.
	ErrBadRange = errors.New("the server did not answer with the range asked for")

	// ErrUnchanged: the file still is the version that Request.Unless names.
	ErrUnchanged = errors.New("the file has not changed")

	// ErrCut: the connection ended before the file did.
	ErrCut = errors.New("the connection was cut")
)

// StatusError is an HTTP answer other than the one hoped for.
//
// errors.Is finds [fs.ErrNotExist] in 404 and 410, and [fs.ErrPermission] in
// 401 and 403; with HTTPOptions.ForbiddenIsMissing, [fs.ErrNotExist] in 403 as well.
type StatusError struct {
	Code       int
	URL        string        // without credentials and query
	RetryAfter time.Duration // what the server asks for, 0 if nothing

	hidden bool // the store answers 403 for what is not there
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.URL, e.Code, http.StatusText(e.Code))
}

// Is tells errors.Is which file system error the status stands for.
func (e *StatusError) Is(target error) bool {
	switch e.Code {
	case http.StatusNotFound, http.StatusGone:
		return target == fs.ErrNotExist
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == fs.ErrPermission || target == fs.ErrNotExist && e.hidden && e.Code == http.StatusForbidden
	}
	return false
}

// describe adds to a rejection what usually explains it.
func describe(err error, contentType string) error {
	if strings.HasPrefix(contentType, "text/html") {
		return cause.Errorf("%w (the server sent a web page: is there a login page or captive portal in between?)", err)
	}
	return err
}
