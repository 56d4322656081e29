package gcs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// What is not there, and what is something else.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		message string
		want    string
		missing bool // fs.ErrNotExist
		hides   bool
	}{
		"missing file":           {404, "No such object: bucket/p/f", "404", true, false},
		"missing bucket":         {404, noBucket, "create bucket", false, false},
		"wrong token":            {401, "Invalid Credentials", "gcloud auth application-default login", false, false},
		"not allowed":            {403, "reader@x does not have storage.objects.create access", "publishers also create and delete", false, false},
		"not allowed or missing": {403, "x does not have storage.objects.get access", "publishers also create and delete", true, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `{"error": {"message": %q}}`, c.message)
		}))
		s, err := New("bucket", "p", Options{Endpoint: server.URL, ForbiddenIsMissing: c.hides})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(t.Context(), "f", store.Request{})
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, fs.ErrNotExist) != c.missing {
			t.Errorf("%s: %v", name, err)
		}
		if c.status != http.StatusNotFound {
			if err := s.Put(t.Context(), "f", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, a write: %v", name, err)
			}
		}
		server.Close()
	}
}

// Credentials that are not there, and those of a service account for which there are no tokens any more. Without a token the
// bucket is not asked.
func TestExpired(t *testing.T) {
	asked := 0
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}`)
	}))
	defer tokens.Close()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	refuses(t, "there are no Google credentials")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", account(t, tokens.URL))
	refuses(t, "they may have expired or been revoked")
	if asked == 0 {
		t.Error("nobody asked for a token")
	}
}

func refuses(t *testing.T, what string) {
	t.Helper()
	s, err := New("bucket", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, oerr := s.Open(t.Context(), "f", store.Request{})
	_, lerr := s.List(t.Context(), "")
	for action, err := range map[string]error{"a read": oerr, "a list": lerr, "a write": s.Put(t.Context(), "f", strings.NewReader("x"))} {
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), advise) {
			t.Errorf("%s: %v, want %q", action, err, what)
		}
	}
}

// account is the key file of a service account whose tokens come from a URL.
func account(t *testing.T, tokens string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "x@example.net", "private_key_id": "1", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
