package managed

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestFolders(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/local/Cellar/nats-server/2.10/bin/nats-server": "Homebrew",
		"/opt/homebrew/bin/nats":                             "Homebrew",
		"/nix/store/abc-tool/bin/tool":                       "Nix",
		"/gnu/store/abc-tool/bin/tool":                       "Guix",
		"/snap/tool/1/bin/tool":                              "snap",
		"/usr/local/bin/tool":                                "",
		"/home/me/nix/store/tool":                            "",
	} {
		claim, err := System{Root: t.TempDir()}.Owner(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if got := manager(claim); got != want {
			t.Errorf("%s is owned by %q, want %q", path, got, want)
		}
	}
}

func manager(c *Claim) string {
	if c == nil {
		return ""
	}
	return c.Manager
}

func TestDpkg(t *testing.T) {
	root := t.TempDir()
	info := root + "/var/lib/dpkg/info/"
	write(t, info+"other.list", "/.\n/usr/bin/toolbox\n/usr/bin\n/srv/bin/tool\n", 0o644)
	write(t, info+"tool:amd64.list", "/.\n/usr\n/bin/tool\n/opt/tool/run", 0o644)
	write(t, info+"tool:amd64.md5sums", "x /usr/sbin/only-here\n", 0o644)
	long := "/" + strings.Repeat("long/", 20)
	write(t, info+"late.list", "/opt/a/bin/tool/x\n"+long+"other/bin/a-tool-of-many-words\n/opt/b/bin/tool\n"+long+"bin/a-tool-of-many-words\n", 0o644)
	for path, want := range map[string]string{
		"/opt/a/bin/tool":      "",
		"/opt/b/bin/tool":      "late",
		"t":                    "",
		"/other/bin/tool":      "",
		"/bin/tool":            "tool",
		"/usr/bin/tool":        "tool",
		"/opt/tool/run":        "tool",
		"/usr/bin/too":         "",
		"/usr/local/bin/tool":  "",
		"/usr/sbin/only-here":  "",
		"/usr/bin/toolbox/sub": "",

		long + "bin/a-tool-of-many-words":           "late",
		long + "elsewhere/bin/a-tool-of-many-words": "",
	} {
		if runtime.GOOS == "windows" {
			want = "" // dpkg is not asked there
		}
		claim, err := System{Root: root}.Owner(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if claim == nil && want != "" || claim != nil && (claim.Package != want || !strings.Contains(claim.Upgrade, want)) {
			t.Errorf("%s: %+v, want package %q", path, claim, want)
		}
	}
	if _, err := os.Stat("/var/lib/dpkg/info/dpkg.list"); err == nil && runtime.GOOS != "windows" {
		claim, err := System{}.Owner(context.Background(), "/usr/bin/dpkg")
		if err != nil || claim == nil || claim.Package != "dpkg" {
			t.Errorf("the real dpkg: %+v, %v", claim, err)
		}
	}
}

func TestInImage(t *testing.T) {
	env := func(name string) func(string) string {
		return func(n string) string {
			if n == name {
				return "1"
			}
			return ""
		}
	}
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	docker := t.TempDir()
	write(t, docker+"/.dockerenv", "", 0o644)
	for name, c := range map[string]struct {
		s    System
		want bool
	}{
		"plain machine":       {System{Root: t.TempDir(), Getenv: env(""), Overlay: yes}, false},
		"docker":              {System{Root: docker, Getenv: env(""), Overlay: yes}, true},
		"docker, on volume":   {System{Root: docker, Getenv: env(""), Overlay: no}, false},
		"kubernetes":          {System{Root: t.TempDir(), Getenv: env("KUBERNETES_SERVICE_HOST"), Overlay: yes}, true},
		"podman, by variable": {System{Root: t.TempDir(), Getenv: env("container"), Overlay: yes}, true},
	} {
		if got := c.s.InImage("/usr/bin/tool"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
