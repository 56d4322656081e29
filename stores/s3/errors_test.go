package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// What is not there, and what is something else, whatever the service's words for it are.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		code    string
		want    string
		missing bool // fs.ErrNotExist
		hides   bool
	}{
		"missing file":             {404, "NoSuchKey", "404", true, false},
		"missing, without a word":  {404, "", "404", true, false},
		"missing bucket":           {404, "NoSuchBucket", "create bucket", false, false},
		"something else's missing": {404, "NoSuchWhatever", "NoSuchWhatever", false, false},
		"unknown key":              {403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID", false, false},
		"unknown key, versitygw":   {404, "XAdminUserNotFound", "AWS_ACCESS_KEY_ID", false, false},
		"wrong secret":             {403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY", false, false},
		"expired":                  {400, "ExpiredToken", "AWS_SESSION_TOKEN", false, false},
		"clock":                    {403, "RequestTimeTooSkewed", "clock", false, false},
		"other region":             {400, "AuthorizationHeaderMalformed", "AWS_REGION", false, false},
		"not allowed":              {403, "AccessDenied", "s3:GetObject", false, false},
		"not allowed or missing":   {403, "AccessDenied", "s3:GetObject", true, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				t.Errorf("%s: an unsigned request", name)
			}
			w.WriteHeader(c.status)
			if c.code != "" {
				fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", c.code)
			}
		}))
		s, err := New("bucket", "p", Options{Endpoint: server.URL, AccessKey: "AK", SecretKey: "secret", ForbiddenIsMissing: c.hides})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(t.Context(), "f", store.Request{})
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, fs.ErrNotExist) != c.missing {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}
