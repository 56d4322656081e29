package repo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// otherToolchain is a program as if another release of Go had built it.
func otherToolchain(t *testing.T, program []byte) (data []byte, version string) {
	t.Helper()
	version = strings.Replace(runtime.Version(), "go1", "go0", 1)
	data = bytes.ReplaceAll(program, []byte(runtime.Version()), []byte(version))
	if bytes.Equal(data, program) {
		t.Fatal("the program does not tell its toolchain")
	}
	return data, version
}

func withDWARF(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { println(1) }\n"), 0o600))
	cmd := exec.Command("go", "build", "-o", "program", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off", "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "program"))
	must(t, err)
	return data
}

// What makes deltas larger than they have to be is said, by diff and by add.
func TestRemarks(t *testing.T) {
	p := programs(t)
	old, version := otherToolchain(t, p[0])
	debug := withDWARF(t)
	toolchain := "built by " + runtime.Version() + ", the old one by " + version
	for name, c := range map[string]struct {
		old, fresh []byte
		want       []string
	}{
		"one toolchain": {p[0], p[1], nil},
		"another":       {old, p[1], []string{toolchain}},
		"DWARF":         {p[0], debug, []string{"it has DWARF"}},
		"both":          {old, debug, []string{toolchain, "it has DWARF"}},
		"data":          {[]byte("old"), []byte("new"), nil},
		"half":          {old, p[1][:len(p[1])/2], nil},
	} {
		got := remarks(c.old, c.fresh)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}

	var notes []string
	r := Open(&store.Mem{})
	addVersion(t, r, "1.0.0", old, Deltas{})
	addVersion(t, r, "1.1.0", p[1], Deltas{Last: 1, Note: func(text string) { notes = append(notes, text) }})
	if got := strings.Join(notes, "\n"); !strings.Contains(got, toolchain) {
		t.Errorf("add notes %q", got)
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "old"), old, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "new"), p[1], 0o600))
	d, err := DiffFiles(filepath.Join(dir, "old"), filepath.Join(dir, "new"), filepath.Join(dir, "patch"), false, nil)
	if err != nil || len(d.Remarks) != 1 || !strings.HasPrefix(d.Remarks[0], toolchain) {
		t.Errorf("%+v, %v", d, err)
	}
}
