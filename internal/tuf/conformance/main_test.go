package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

// suite is a repository on a real server, and a client program.
type suite struct {
	t             *testing.T
	repo          *tuftest.Repo
	targets       map[string]string
	program       string
	metadata, dir string
	url           string
	mu            sync.Mutex
	requests      []string
}

func newSuite(t *testing.T) *suite {
	s := &suite{t: t, repo: tuftest.New(), targets: map[string]string{}, metadata: t.TempDir(), dir: t.TempDir()}
	s.program = filepath.Join(t.TempDir(), "conformance")
	if out, err := exec.Command("go", "build", "-o", s.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, r.RequestURI)
		name := path.Base(r.URL.EscapedPath())
		data, ok := s.repo.Files[name]
		if strings.HasPrefix(r.URL.Path, "/targets/") {
			var text string
			text, ok = s.targets[r.URL.Path]
			data = []byte(text)
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	root := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(root, s.repo.Files["1.root.json"], 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(0, "init", root)
	s.asked()
	return s
}

// locked does what the server must not see half done.
func (s *suite) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// target lists and serves a file under its hash.
func (s *suite) target(name, content string) {
	s.locked(func() {
		s.repo.Target("targets", name, []byte(content), nil)
		s.repo.Publish("targets")
		s.targets["/targets/"+path.Join(path.Dir(name), tuftest.Hash([]byte(content))+"."+path.Base(name))] = content
	})
}

func (s *suite) run(want int, args ...string) {
	s.t.Helper()
	s.locked(func() { s.requests = nil })
	cmd := exec.Command(s.program, append([]string{"--metadata-dir", s.metadata}, args...)...)
	cmd.Env = append(os.Environ(), s.env()...)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != want {
		s.t.Errorf("%v: exit code %d, want %d: %v %s", args, code, want, err, out)
	}
}

// env sets the time at which tuftest's metadata is fresh.
func (s *suite) env() []string { return []string{"FAKETIME=@2030-01-01 00:00:00", "TZ=UTC"} }

func (s *suite) refresh(want int) {
	s.t.Helper()
	s.run(want, "--metadata-url", s.url+"/metadata/", "refresh")
}

func (s *suite) download(want int, names ...string) {
	s.t.Helper()
	args := []string{"--metadata-url", s.url + "/metadata/"}
	for _, n := range names {
		args = append(args, "--target-name", n)
	}
	s.run(want, append(args, "--target-dir", s.dir, "--target-base-url", s.url+"/targets/", "download")...)
}

func (s *suite) asked(want ...string) {
	s.t.Helper()
	s.locked(func() {
		if !slices.Equal(s.requests, want) {
			s.t.Errorf("asked %v, want %v", s.requests, want)
		}
	})
}

func TestProtocol(t *testing.T) {
	s := newSuite(t)
	s.refresh(0)
	s.asked("/metadata/2.root.json", "/metadata/timestamp.json", "/metadata/1.snapshot.json", "/metadata/1.targets.json")
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		got, err := os.ReadFile(filepath.Join(s.metadata, role+".json"))
		served := s.repo.Files["1."+role+".json"]
		if role == "timestamp" {
			served = s.repo.Files["timestamp.json"]
		}
		if err != nil || string(got) != string(served) {
			t.Errorf("%s is not stored as it was served: %v", role, err)
		}
	}

	s.download(1, "missing")
	s.target("dir/a file?", "one")
	s.target("other", "two")
	s.download(0, "dir/a file?", "other")
	s.locked(func() {
		if last := s.requests[len(s.requests)-2]; last != "/targets/dir/"+tuftest.Hash([]byte("one"))+".a%20file%3F" {
			t.Errorf("asked %s", last)
		}
	})
	got, err := os.ReadFile(filepath.Join(s.dir, "dir%2Fa%20file%3F"))
	if err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	s.download(0, "dir/a file?", "other") // are there already
	s.asked("/metadata/2.root.json", "/metadata/timestamp.json")

	s.target("dir/a file?", "one, changed")
	s.locked(func() { s.targets["/targets/dir/"+tuftest.Hash([]byte("one, changed"))+".a file?"] = "evil" })
	s.download(1, "dir/a file?", "other")
	if got, _ := os.ReadFile(filepath.Join(s.dir, "dir%2Fa%20file%3F")); string(got) != "one" {
		t.Errorf("the file is %q", got)
	}
}

// A later failure leaves what came before, and what comes after is not fetched.
func TestFirstFailureEnds(t *testing.T) {
	s := newSuite(t)
	s.target("a", "1")
	s.target("b", "2")
	s.download(1, "a", "missing", "b")
	if _, err := os.Stat(filepath.Join(s.dir, "a")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "b")); err == nil {
		t.Error("b was fetched")
	}
}

func TestBadRoot(t *testing.T) {
	s := newSuite(t)
	root := filepath.Join(s.metadata, "root.json")
	if err := os.WriteFile(root, []byte(`{"signed":{},"signatures":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.refresh(1)
	s.asked()
}

func TestClock(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for fake, want := range map[string]time.Time{
		"": now, "+18d": now.AddDate(0, 0, 18), "-1h": now.Add(-time.Hour), "+90": now.Add(90 * time.Second),
		"+1.5m": now.Add(90 * time.Second), "@0": time.Unix(0, 0), "2031-02-03 04:05:06": time.Date(2031, 2, 3, 4, 5, 6, 0, time.Local),
	} {
		if got, err := clock(fake, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", fake, got, err, want)
		}
	}
	for _, fake := range []string{"tomorrow", "+x", "@"} {
		if _, err := clock(fake, now); err == nil {
			t.Errorf("%q is accepted", fake)
		}
	}
}
