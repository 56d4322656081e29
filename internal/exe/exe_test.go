package exe

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build cross-compiles a tiny program and returns its first bytes.
func build(t *testing.T, goos, goarch string) []byte {
	t.Helper()
	dir := t.TempDir()
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, []byte("package main\n\nfunc main() { println(1) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", out, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off", "GOOS="+goos, "GOARCH="+goarch)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building for %s/%s: %v\n%s", goos, goarch, err, output)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, HeaderSize)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	return head[:n]
}

func TestRealPrograms(t *testing.T) {
	platforms := []string{"linux/amd64", "linux/arm64", "linux/386", "linux/mips", "freebsd/amd64", "darwin/arm64", "windows/amd64"}
	heads := map[string][]byte{}
	for _, p := range platforms {
		goos, goarch, _ := strings.Cut(p, "/")
		heads[p] = build(t, goos, goarch)
		if !IsExecutable(heads[p]) {
			t.Errorf("%s is not seen as an executable", p)
		}
	}
	for _, is := range platforms {
		for _, wanted := range platforms {
			goos, goarch, _ := strings.Cut(wanted, "/")
			err := Check(heads[is], goos, goarch)
			if is == wanted && err != nil {
				t.Errorf("%s: %v", is, err)
			}
			// Go leaves the OSABI of Linux at 0, which FreeBSD's could be too.
			same := is == "linux/amd64" && wanted == "freebsd/amd64"
			if is != wanted && !same && !errors.Is(err, ErrOtherPlatform) {
				t.Errorf("%s for %s: %v, want ErrOtherPlatform", is, wanted, err)
			}
		}
	}
}

func TestGuess(t *testing.T) {
	for head, want := range map[string]string{
		"\x7fELF\x02\x01\x01\x00" + strings.Repeat("\x00", 8) + "\x02\x00\x3e\x00":                                                                     " amd64",
		"\x7fELF\x02\x01\x01\x03" + strings.Repeat("\x00", 8) + "\x03\x00\xb7\x00":                                                                     "linux arm64",
		"\x7fELF\x01\x02\x01\x09" + strings.Repeat("\x00", 8) + "\x00\x02\x00\x08":                                                                     "freebsd mips",
		"\x7fELF\x02\x01\x01\x00" + strings.Repeat("\x00", 8) + "\x02\x00\xff\xff":                                                                     " ",
		"\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00":                                                             "darwin arm64",
		"\xca\xfe\xba\xbe\x00\x00\x00\x02" + strings.Repeat("\x01\x00\x00\x07"+strings.Repeat("\x00", 16), 2):                                          "darwin ",
		"MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00PE\x00\x00\x64\x86" + strings.Repeat("\x00", 16) + "\x02\x00" + strings.Repeat("\x00", 9): "windows amd64",
		"#!/bin/sh\necho this is no executable\n":                                                                                                      " ",
	} {
		if goos, goarch := Guess([]byte(head)); goos+" "+goarch != want {
			t.Errorf("%q is for %q %q, want %q", head, goos, goarch, want)
		}
	}
}

func TestNotExecutable(t *testing.T) {
	for name, head := range map[string]string{
		"empty":             "",
		"text":              "just a text file, longer than a header is",
		"script":            "#!/bin/sh\necho hello, this is a script\n",
		"html":              "<!DOCTYPE html><html><body>Log in to the network</body></html>",
		"truncated ELF":     "\x7fELF\x02\x01\x01",
		"ELF of no class":   "\x7fELF\x09\x01\x01" + strings.Repeat("\x00", 60),
		"ELF object":        "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x01\x00\x3e\x00" + strings.Repeat("\x00", 44),
		"MZ alone":          "MZ" + strings.Repeat("\x00", 100),
		"PE header far off": "MZ" + strings.Repeat("\x00", 58) + "\xff\xff\xff\xff" + strings.Repeat("\x00", 100),
		"Java class":        "\xca\xfe\xba\xbe\x00\x00\x00\x34" + strings.Repeat("\x00", 100),
		"bzip2":             "BZh91AY&SY" + strings.Repeat("\x00", 100),
	} {
		if IsExecutable([]byte(head)) {
			t.Errorf("%s is seen as an executable", name)
		}
		if err := Check([]byte(head), "linux", "amd64"); !errors.Is(err, ErrNotExecutable) {
			t.Errorf("%s: %v, want ErrNotExecutable", name, err)
		}
	}
}

func TestUnjudged(t *testing.T) {
	for _, p := range []string{"linux/sparc64", "haiku/amd64", "plan9/amd64", "aix/ppc64"} {
		goos, goarch, _ := strings.Cut(p, "/")
		if err := Check([]byte("anything at all, as its header is unknown"), goos, goarch); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestKnown(t *testing.T) {
	list, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(list)) {
		goos, goarch, _ := strings.Cut(p, "/")
		if goarch == "wasm" {
			continue
		}
		if err := Known(goos, goarch); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := Known("linux", "x86_64"); err == nil || !strings.Contains(err.Error(), "amd64") {
		t.Errorf("an unknown architecture: %v, want the valid ones named", err)
	}
	if err := Known("macos", "arm64"); err == nil || !strings.Contains(err.Error(), "darwin") {
		t.Errorf("an unknown system: %v, want the valid ones named", err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"))
	f.Add([]byte("MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00PE\x00\x00" + strings.Repeat("\x01", 40)))
	f.Add([]byte("\xca\xfe\xba\xbe\x00\x00\x00\x02" + strings.Repeat("\x01", 60)))
	f.Fuzz(func(t *testing.T, head []byte) {
		for _, s := range systems {
			for _, arch := range strings.Fields(s.goarchs) {
				err := Check(head, s.goos, arch)
				if err == nil && s.goos == "linux" && !IsExecutable(head) {
					t.Fatalf("%q passes for %s/%s and is no executable", head, s.goos, arch)
				}
			}
		}
	})
}
