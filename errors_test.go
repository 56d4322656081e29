package updater

import (
	"context"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is missing is told from what cannot be asked for, and each has a hint that fits.
func TestWhatIsMissing(t *testing.T) {
	old, new := buildPrograms(t)
	signed := newSignedRepo(t, new)
	signed.follow(t, encoded(t, offering()))
	down := httptest.NewServer(nil)
	down.Close()
	lacks := newRepo(t)
	lacks.publish(t, new, nil)
	delete(lacks.files, testFolder+"tool.zst")
	const (
		release = "check the repository, the version, the os and the arch"
		channel = "check the channel's name and the repository"
		file    = "try again later; if it stays so, tell the publisher"
		server  = "the server cannot be reached: check the address, and that it runs"
	)
	for name, c := range map[string]struct {
		opts    []Option
		says    string
		hint    string
		missing bool
	}{
		"release":          {[]Option{SourceRepo(signed.URL), Version("9")}, "release 9: not found: ", release, true},
		"signed release":   {[]Option{SourceRepo(signed.URL), Version("9"), TrustRoot(signed.root), at2030}, "release 9: not found: ", release, true},
		"folder":           {[]Option{SourceRepo(filepath.Join(t.TempDir(), "x")), Version("9")}, "release 9: not found: ", release, true},
		"artifact":         {[]Option{SourceRepo(lacks.URL), Version("1.2.3")}, "download failed: the repository lacks a file: ", file, true},
		"channel":          {[]Option{SourceRepo(signed.URL), Channel("stabel"), TrustRoot(signed.root), at2030}, "channel stabel: there is no such channel: ", channel, true},
		"unsigned channel": {[]Option{SourceRepo(signed.URL), UnsignedChannel("stabel")}, "channel stabel: there is no such channel: ", channel, true},
		"server":           {[]Option{SourceRepo(down.URL), Version("9")}, "release 9: requesting ", server, false},
		"signed server":    {[]Option{SourceRepo(down.URL), Version("9"), TrustRoot(signed.root), at2030}, "release 9: http", server, false},
		"channel's server": {[]Option{SourceRepo(down.URL), UnsignedChannel("stable")}, "channel stable: http", server, false},
		"no metadata": {[]Option{SourceRepo(lacks.URL), Version("1.2.3"), TrustRoot(signed.root), at2030}, "release 1.2.3: http",
			Hint(ErrUntrusted), true},
	} {
		_, err := ApplyContext(context.Background(), append(c.opts, TargetFile(install(t, old)), AllowContainer(), Attempts(1))...)
		if err == nil || !strings.HasPrefix(err.Error(), c.says) || Hint(err) != c.hint || errors.Is(err, fs.ErrNotExist) != c.missing {
			t.Errorf("%s: %v (hint %q)", name, err, Hint(err))
		}
	}
	if _, err := os.Open("nothere"); Hint(err) != "check the path; a relative one begins in the current folder" {
		t.Errorf("a file: hint %q", Hint(err))
	}
}

// A path that is mistyped, of a folder, or a link to what is gone, is told, and gets no state folder.
func TestMistypedTargets(t *testing.T) {
	_, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	folder := t.TempDir()
	missing, dangling := filepath.Join(folder, "nope"), filepath.Join(folder, "link")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Skip(err)
	}
	for _, target := range []string{missing, dangling} {
		_, aerr := ApplyContext(t.Context(), r.options(target)...)
		_, cerr := ApplyContext(t.Context(), SourceRepo(r.URL), UnsignedChannel("stable"), TargetFile(target), AllowContainer())
		_, rerr := Rollback(t.Context(), TargetFile(target))
		_, ierr := Inspect(t.Context(), TargetFile(target))
		for _, err := range []error{aerr, cerr, rerr, ierr} {
			if !errors.Is(err, ErrTargetMissing) || strings.Contains(err.Error(), "leads nowhere") != (target == dangling) {
				t.Errorf("%s: %v", target, err)
			}
		}
	}
	// An empty path is the current folder.
	below := filepath.Join(folder, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	for _, target := range []string{"", folder} {
		_, aerr := ApplyContext(t.Context(), r.options(target)...)
		_, cerr := Check(t.Context(), r.options(target)...)
		_, rerr := Rollback(t.Context(), TargetFile(target))
		_, ierr := Inspect(t.Context(), TargetFile(target))
		for _, err := range []error{aerr, cerr, rerr, ierr} {
			if !errors.Is(err, ErrObstructed) || !strings.Contains(err.Error(), "no regular file") {
				t.Errorf("%q: %v", target, err)
			}
		}
	}
	if err := Confirm(t.Context(), TargetFile(missing)); err != nil {
		t.Error(err)
	}
	if was, err := Unhold(t.Context(), "1.2.3", TargetFile(missing)); was || err != nil {
		t.Error(was, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}
