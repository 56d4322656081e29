package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// tree makes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestID(t *testing.T) {
	const a, b = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	for want, files := range map[string]map[string]string{
		a:  {"etc/machine-id": a + "\n", "var/lib/dbus/machine-id": b},
		b:  {"etc/machine-id": "", "var/lib/dbus/machine-id": b + "\n"},
		"": {"etc/machine-id": "uninitialized\n"},
	} {
		if got := idIn(tree(t, files)); got != want {
			t.Errorf("%v: %q", files, got)
		}
	}
	if got := idIn(t.TempDir()); got != "" {
		t.Errorf("nothing there: %q", got)
	}
}

func TestLibcs(t *testing.T) {
	const musl, glibc = "lib/ld-musl-x86_64.so.1", "lib64/ld-linux-x86-64.so.2"
	for _, c := range []struct {
		files map[string]string
		want  []string
	}{
		{nil, nil},
		{map[string]string{musl: ""}, []string{"musl"}},
		{map[string]string{glibc: ""}, []string{"glibc"}},
		{map[string]string{"lib/ld-linux-armhf.so.3": ""}, []string{"glibc"}},
		{map[string]string{musl: "", glibc: "", "bin/sh": "\x7fELF/lib/ld-musl-x86_64.so.1"}, []string{"musl", "glibc"}},
		{map[string]string{musl: "", glibc: "", "bin/sh": "\x7fELF/lib64/ld-linux-x86-64.so.2"}, []string{"glibc", "musl"}},
		{map[string]string{musl: "", glibc: ""}, []string{"glibc", "musl"}},
	} {
		if got := libcsIn(tree(t, c.files)); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.files, got, c.want)
		}
	}
}

// A Go program of the level that was found out starts here: Go's start-up code checks the processor itself.
func TestLevelRuns(t *testing.T) {
	level := Level()
	if runtime.GOARCH != "amd64" || level == "" {
		return // the baseline runs as this test does
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { print(1) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", source)
	cmd.Env = append(os.Environ(), "GOAMD64="+level, "GOWORK=off", "GO111MODULE=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1" {
		t.Errorf("a program for %s: %q, %v", level, out, err)
	}
}
