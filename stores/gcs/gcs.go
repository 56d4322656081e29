// Package gcs keeps a repository in a bucket of Google Cloud Storage.
//
// It speaks the JSON API over plain HTTP; only the tokens come from Google's own golang.org/x/oauth2. The whole storage SDK would be
// 27 MB in each program.
package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// Options say how to get into a bucket. The zero value finds credentials as Google's own tools do: GOOGLE_APPLICATION_CREDENTIALS, what
// `gcloud auth application-default login` left, the service account of the machine.
type Options struct {
	// Endpoint is the URL of a service other than Google's; STORAGE_EMULATOR_HOST where it is empty. It gets no credentials.
	Endpoint string

	// Anonymous sends no credentials: for a public bucket.
	Anonymous bool

	// Tokens are used instead of what is found.
	Tokens oauth2.TokenSource

	// ForbiddenIsMissing takes 403 for 404, as buckets answer for files that are not there to those who may not list them.
	ForbiddenIsMissing bool

	// Timeouts are those of reads.
	Timeouts store.Timeouts
}

// Store is a repository in a bucket.
type Store struct {
	*rest.Reader
	bucket, prefix string
	endpoint       string
	service        *rest.Service
}

const (
	home     = "https://storage.googleapis.com"
	scope    = "https://www.googleapis.com/auth/devstorage.read_write"
	perms    = "readers need storage.objects.get and storage.objects.list, publishers also create and delete (roles/storage.objectUser)"
	advise   = "set GOOGLE_APPLICATION_CREDENTIALS or run `gcloud auth application-default login`"
	noBucket = "The specified bucket does not exist."
)

// FromURL opens gs://BUCKET/PREFIX. The query may have endpoint, anonymous=true and hidden=true, the fields of Options.
func FromURL(location *url.URL) (*Store, error) {
	o := Options{}
	for key, values := range location.Query() {
		switch key {
		case "endpoint":
			o.Endpoint = values[0]
		case "anonymous":
			o.Anonymous = values[0] == "true"
		case "hidden":
			o.ForbiddenIsMissing = values[0] == "true"
		default:
			return nil, fmt.Errorf("gs://%s: there is no option %q; there are endpoint, anonymous and hidden", location.Host, key)
		}
	}
	if location.User != nil {
		return nil, errors.New("a gs URL has no credentials in it: " + advise)
	}
	return New(location.Host, location.Path, o)
}

// New opens a bucket; files lie below prefix, which may be empty. Nothing is asked of the service yet.
func New(bucket, prefix string, o Options) (*Store, error) {
	prefix, err := rest.Prefix(prefix)
	if err != nil {
		return nil, fmt.Errorf("gs://%s: %w", bucket, err)
	}
	if bucket == "" {
		return nil, errors.New("the gs URL names no bucket; it is gs://BUCKET/PREFIX")
	}
	s := &Store{bucket: bucket, prefix: prefix, endpoint: home}
	if o.Endpoint == "" {
		o.Endpoint = os.Getenv("STORAGE_EMULATOR_HOST")
	}
	sign := (&tokens{source: o.Tokens}).sign
	if o.Anonymous {
		sign = func(*http.Request) error { return nil }
	}
	if o.Endpoint != "" {
		if !strings.Contains(o.Endpoint, "://") {
			o.Endpoint = "http://" + o.Endpoint
		}
		s.endpoint, sign = strings.TrimSuffix(o.Endpoint, "/"), func(*http.Request) error { return nil }
	}
	dialect := rest.Dialect{
		Base: s.endpoint + "/storage/v1/b/" + url.PathEscape(bucket) + "/o/", Transport: rest.NewTransport(), Hides: o.ForbiddenIsMissing, Timeouts: o.Timeouts,
		Sign: sign, Explain: s.explain, Rewrite: s.rewrite,
		Version: func(h http.Header) string {
			if h.Get("X-Goog-Generation") == "" {
				return ""
			}
			return `"` + h.Get("X-Goog-Generation") + `"`
		},
	}
	s.service = rest.NewService(dialect)
	s.Reader, err = rest.NewReader(dialect)
	return s, err
}

// rewrite turns the request for a file into one of the JSON API, in which a name is one escaped element, and conditions are generations.
func (s *Store) rewrite(r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/storage/v1/b/"+s.bucket+"/o/")
	path := "/storage/v1/b/" + s.bucket + "/o/" + s.prefix + name
	r.URL.Path, r.URL.RawPath = path, "/storage/v1/b/"+url.PathEscape(s.bucket)+"/o/"+url.PathEscape(s.prefix+name)
	query := url.Values{"alt": {"media"}}
	if version := r.Header.Get("If-Range"); version != "" {
		r.Header.Del("If-Range")
		query.Set("ifGenerationMatch", strings.Trim(version, `"`))
	}
	if version := r.Header.Get("If-None-Match"); version != "" {
		r.Header.Del("If-None-Match")
		query.Set("ifGenerationNotMatch", strings.Trim(version, `"`))
	}
	r.URL.RawQuery = query.Encode()
}

// tokens are looked for when they are needed.
type tokens struct {
	once   sync.Once
	source oauth2.TokenSource
	err    error
}

func (t *tokens) sign(r *http.Request) error {
	t.once.Do(func() {
		if t.source == nil {
			// Not the request's context: the source lives on.
			t.source, t.err = google.DefaultTokenSource(context.Background(), scope)
		}
	})
	if t.err != nil {
		return fmt.Errorf("there are no Google credentials: %s: %w", advise, t.err)
	}
	token, err := t.source.Token()
	if err != nil {
		return fmt.Errorf("the Google credentials give no token, they may have expired or been revoked: %s: %w", advise, err)
	}
	token.SetAuthHeader(r)
	return nil
}

func (s *Store) String() string { return strings.TrimSuffix("gs://"+s.bucket+"/"+s.prefix, "/") }

var errNoBucket = errors.New("the bucket does not exist")

// explain says what is wrong and what to do about it; nil where the status is all that there is to say.
func (s *Store) explain(status *store.StatusError, _ http.Header, body []byte) error {
	var e struct{ Error struct{ Message string } }
	message := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &e) == nil && e.Error.Message != "" {
		message = e.Error.Message
	}
	switch status.Code {
	case http.StatusNotFound:
		if strings.Contains(message, noBucket) {
			return fmt.Errorf("%w: create %s, or check its name", errNoBucket, s.bucket)
		}
		return nil
	case http.StatusUnauthorized:
		return fmt.Errorf("the token is not accepted: %s: %w", advise, status)
	case http.StatusForbidden:
		return fmt.Errorf("the credentials do not allow it: %s: %s: %w", perms, message[:min(len(message), 200)], status)
	}
	return nil
}
