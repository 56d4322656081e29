package oci

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

// What is not there, what is something else, and what is wrong with it, whatever the registry's words for it are.
func TestAnswers(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	name := "f"
	for what, c := range map[string]struct {
		status  int
		body    string
		want    string
		missing bool // fs.ErrNotExist
	}{
		"missing file":         {404, `{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}`, "404", true},
		"missing, no word":     {404, "", "404", true},
		"missing repository":   {404, `{"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}`, "no repository updates", true},
		"removed":              {200, string(goneManifest(name)), "not exist", true},
		"not allowed":          {403, `{"errors": [{"code": "DENIED", "message": "denied"}]}`, "docker login", false},
		"bad request":          {400, `{"errors": [{"code": "MANIFEST_INVALID", "message": "no\nway"}]}`, "MANIFEST_INVALID (no way)", false},
		"an image":             {200, `{"schemaVersion": 2, "layers": [{"digest": "sha256:x", "size": 1}]}`, errForeign.Error(), false},
		"no JSON":              {200, "<html>", errForeign.Error(), false},
		"another file":         {200, manifestOf(t, "g", 1, `"sha256:`+strings.Repeat("a", 64)+`"`), errForeign.Error(), false},
		"no digest":            {200, manifestOf(t, name, 1, `"sha256:../../x"`), "no blob", false},
		"another kind of hash": {200, manifestOf(t, name, 1, `"sha512:`+strings.Repeat("a", 128)+`"`), "no blob", false},
		"a negative size":      {200, manifestOf(t, name, -1, `"sha256:`+strings.Repeat("a", 64)+`"`), "no blob", false},
		"too large":            {200, strings.Repeat(" ", manifestLimit+1), "larger than allowed", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		s, err := New(strings.TrimPrefix(server.URL, "http://"), "updates", Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(t.Context(), name, store.Request{})
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, fs.ErrNotExist) != c.missing {
			t.Errorf("%s: %v", what, err)
		}
		server.Close()
	}
}

func manifestOf(t *testing.T, name string, size int, digest string) string {
	t.Helper()
	return fmt.Sprintf(`{"schemaVersion": 2, "artifactType": %q, "annotations": {"org.opencontainers.image.title": %q}, "layers": [{"size": %d, "digest": %s}]}`,
		FileType, name, size, digest)
}

// Bytes in a manifest that are not those of its digest are not believed: the blob is asked for.
func TestInlined(t *testing.T) {
	blob := blobOf("f", make([]byte, 32), 3)
	blob.Data = []byte("abc")
	if inlined(blob) {
		t.Error("other bytes were believed")
	}
	blob.Digest = digestOf(blob.Data)
	if !inlined(blob) {
		t.Error("the right bytes were not believed")
	}
	blob.Size = 4
	if inlined(blob) {
		t.Error("another size was believed")
	}
}

// A registry may name other hosts for uploads and pages, but takes nobody from HTTPS to HTTP.
func TestResolve(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s, err := New("x.test", "updates", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"/v2/updates/blobs/uploads/1?state=a": "https://x.test/v2/updates/blobs/uploads/1?state=a",
		"https://y.test/upload":               "https://y.test/upload",
		"http://x.test/upload":                "",
		"//y.test/upload":                     "https://y.test/upload",
		"mailto:x":                            "",
	} {
		if is, err := s.resolve(target); is != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", target, is, err)
		}
	}
}
