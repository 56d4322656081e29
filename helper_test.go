package updater

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/zstd/zstdtest"
)

// children are the programs that the test binary is when such a variable is set.
var children = map[string]func(){faultChild: runFaultChild}

func TestMain(m *testing.M) {
	for name, run := range children {
		if os.Getenv(name) != "" {
			run()
			return
		}
	}
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// programs are two small real executables that print "old" and "new".
var programs struct {
	sync.Once
	dir      string
	old, new []byte
	err      error
}

const programSource = `package main

var says string

func main() { print(says) }
`

func buildPrograms(t testing.TB) (old, new []byte) {
	t.Helper()
	p := &programs
	p.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "updater"); p.err != nil {
			return
		}
		source := filepath.Join(p.dir, "main.go")
		if p.err = os.WriteFile(source, []byte(programSource), 0o600); p.err != nil {
			return
		}
		for says, to := range map[string]*[]byte{"old": &p.old, "new": &p.new} {
			out := filepath.Join(p.dir, says)
			cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.says="+says, "-o", out, source)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GO111MODULE=off", "GOFLAGS=")
			if output, err := cmd.CombinedOutput(); err != nil {
				p.err = &exec.Error{Name: string(output), Err: err}
				return
			}
			if *to, p.err = os.ReadFile(out); p.err != nil {
				return
			}
		}
	})
	if p.err != nil {
		t.Fatalf("building the programs: %v", p.err)
	}
	return p.old, p.new
}

func runs(t testing.TB, path string) string {
	t.Helper()
	out, err := exec.Command(path).CombinedOutput()
	for range 50 {
		// Another test forked while the file was open for writing (golang.org/issue/22315).
		if !errors.Is(err, syscall.ETXTBSY) {
			break
		}
		time.Sleep(20 * time.Millisecond)
		out, err = exec.Command(path).CombinedOutput()
	}
	if err != nil {
		t.Errorf("running %s: %v", path, err)
	}
	return string(out)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func zstdOf(t testing.TB, data []byte) []byte {
	t.Helper()
	return zstdtest.Frame(data)
}

// testRepo serves files from memory, over real HTTP on loopback.
type testRepo struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests []*http.Request
	handle   func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newRepo(t testing.TB) *testRepo {
	r := &testRepo{files: map[string][]byte{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, req.Clone(context.Background()))
		data, ok := r.files[req.URL.Path[1:]]
		handle := r.handle
		r.mu.Unlock()
		if handle != nil && handle(w, req) {
			return
		}
		if !ok {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("ETag", `"`+sum(data)+`"`)
		http.ServeContent(w, req, "", timeZero, bytes.NewReader(data))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *testRepo) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

// What is published is for the platform that the tests run on, whose programs can be run.
const (
	testPlatform = runtime.GOOS + "/" + runtime.GOARCH
	testFolder   = "1.2.3/" + testPlatform + "/"
	testRole     = runtime.GOOS + "-" + runtime.GOARCH
)

// publish adds version 1.2.3 with a zstd artifact, changed by edit.
func (r *testRepo) publish(t testing.TB, binary []byte, edit func(spec map[string]any)) {
	t.Helper()
	archive := zstdOf(t, binary)
	spec := map[string]any{
		"binary": "tool.bz2", "hash": sum(binary), "size": len(binary),
		"artifacts": []any{map[string]any{"file": "tool.zst", "encoding": "zstd", "size": len(archive), "sha256": sum(archive)}},
	}
	if edit != nil {
		edit(spec)
	}
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[testFolder+"tool.zst"] = archive
	r.files[testFolder+"release.json"] = data
}

func (r *testRepo) put(name string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[testFolder+name] = data
}

func (r *testRepo) options(target string, more ...Option) []Option {
	return append([]Option{
		SourceRepo(r.URL), Version("1.2.3"), TargetFile(target),
		AllowContainer(), // tests may run in one
	}, more...)
}

// tempOf is where the staged file of a target is.
func tempOf(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".updater-new")
}

// install puts a file where a target is.
func install(t testing.TB, data []byte) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "tool")
	if runtime.GOOS == "windows" {
		target += ".exe"
	}
	if err := os.WriteFile(target, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(target, 0o751); err != nil {
		t.Fatal(err)
	}
	return target
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
