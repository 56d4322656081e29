//go:build unix

// Package compat holds the library to what programs, repositories and clients
// of v0.1.0 rely on: real programs, a real update-repo, a real server.
package compat

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// built are the programs that all tests share, by name and version.
var built = map[string]string{}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "compat")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := buildAll(dir); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func buildAll(dir string) error {
	const ours = "github.com/choria-io/go-updater"
	for name, build := range map[string][]string{
		"update-repo":          {ours + "/cmd/update-repo"},
		"seed 0.6.0":           {"-ldflags", "-s -w -X main.version=0.6.0", "./seed"},
		"seed 0.7.0":           {"-ldflags", "-s -w -X main.version=0.7.0", "./seed"},
		"self 0.6.0":           {"-ldflags", "-s -w -X main.version=0.6.0", "./self"},
		"self 0.99.0.20221201": {"-ldflags", "-s -w -X main.version=0.99.0.20221201", "./self"},
	} {
		built[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		out, err := exec.Command("go", append([]string{"build", "-o", built[name]}, build...)...).CombinedOutput()
		if err != nil {
			return &buildError{name, string(out), err}
		}
	}
	return nil
}

type buildError struct {
	name, output string
	err          error
}

func (e *buildError) Error() string {
	return "building " + e.name + ": " + e.err.Error() + "\n" + e.output
}

// tool runs update-repo.
func tool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(built["update-repo"], args...).CombinedOutput(); err != nil {
		t.Fatalf("update-repo %v: %v\n%s", args, err, out)
	}
}

// publish adds a program as v0.1.0's README does, and returns the repository's folder.
func publish(t *testing.T, name, version string) string {
	t.Helper()
	repo := t.TempDir()
	tool(t, built[name+" "+version], "--arch", runtime.GOARCH, "--os", runtime.GOOS, "--version", version, "--repo", repo)
	return repo
}

// serve starts update-repo serve for a folder, and returns its address.
func serve(t *testing.T, repo string) string {
	t.Helper()
	cmd := exec.Command(built["update-repo"], "serve", "--repo", repo, "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// install copies a program to a folder, as name.
func install(t *testing.T, program, folder, name string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, read(t, built[program]), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func isProgram(t *testing.T, path, program string) {
	t.Helper()
	if !bytes.Equal(read(t, path), read(t, built[program])) {
		t.Errorf("%s is not %s", path, program)
	}
}
