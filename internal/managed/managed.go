// Package managed finds out who else owns an executable: a package manager,
// which would put its own version back, or the image of a container, which the next start restores.
package managed

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
)

// System is where to look. The zero System is the machine itself.
type System struct {
	// Root is put before the absolute path of every file that is read.
	Root string

	// RPM is the rpm program, by default /usr/bin/rpm or /bin/rpm.
	RPM string

	// Getenv is os.Getenv unless set.
	Getenv func(string) string

	// Overlay tells whether a file lies on an overlay file system, by
	// asking the kernel unless set.
	Overlay func(path string) bool
}

// Claim says that a package manager installed a file.
type Claim struct {
	Manager string // "dpkg", "rpm", "Homebrew", "Nix", ...
	Package string // empty where unknown
	Upgrade string // how the manager upgrades it
}

// Owner finds the package manager that installed path, an absolute path without
// symbolic links. Nil means none. A database that cannot be read is an error, and owns nothing.
func (s System) Owner(ctx context.Context, path string) (*Claim, error) {
	if claim := byPath(path); claim != nil {
		return claim, nil
	}
	claim, derr := s.dpkg(path)
	if claim != nil {
		return claim, nil
	}
	claim, rerr := s.rpm(ctx, path)
	return claim, cause.Join(derr, rerr)
}

// byPath knows the managers that keep to folders of their own.
func byPath(path string) *Claim {
	slashed := filepath.ToSlash(path)
	lower := strings.ToLower(slashed)
	switch {
	case strings.Contains(slashed, "/Cellar/"):
		_, rest, _ := strings.Cut(slashed, "/Cellar/")
		name, _, _ := strings.Cut(rest, "/")
		return &Claim{Manager: "Homebrew", Package: name, Upgrade: "brew upgrade " + name}
	case strings.HasPrefix(slashed, "/opt/homebrew/"), strings.HasPrefix(slashed, "/home/linuxbrew/.linuxbrew/"):
		return &Claim{Manager: "Homebrew", Upgrade: "brew upgrade"}
	case strings.HasPrefix(slashed, "/nix/store/"):
		return &Claim{Manager: "Nix", Upgrade: "nix profile upgrade"}
	case strings.HasPrefix(slashed, "/gnu/store/"):
		return &Claim{Manager: "Guix", Upgrade: "guix upgrade"}
	case strings.HasPrefix(slashed, "/snap/"):
		return &Claim{Manager: "snap", Upgrade: "snap refresh"}
	case strings.Contains(lower, "/chocolatey/lib/"):
		return &Claim{Manager: "Chocolatey", Upgrade: "choco upgrade"}
	case strings.Contains(lower, "/scoop/apps/"):
		return &Claim{Manager: "Scoop", Upgrade: "scoop update"}
	case strings.Contains(lower, "/microsoft/winget/packages/"):
		return &Claim{Manager: "WinGet", Upgrade: "winget upgrade"}
	}
	return nil
}

// aliases are the names that one file has where /bin is a link to /usr/bin:
// packages list the one or the other.
func aliases(path string) []string {
	short, other := path, "/usr"+path
	if rest, ok := strings.CutPrefix(path, "/usr"); ok {
		short, other = rest, rest
	}
	for _, top := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(short, top) {
			return []string{path, other}
		}
	}
	return []string{path}
}

// dpkg looks the path up in the lists of files that its packages brought.
func (s System) dpkg(path string) (claim *Claim, err error) {
	wanted := aliases(path)
	err = eachList(s.Root+"/var/lib/dpkg/info", func(name string, list []byte) (found bool) {
		if found = listed(list, wanted); found {
			name, _, _ = strings.Cut(name, ":")
			claim = &Claim{Manager: "dpkg", Package: name, Upgrade: "apt-get install --only-upgrade " + name}
		}
		return found
	})
	if claim != nil || errors.Is(err, fs.ErrNotExist) && !s.exists("/usr/bin/dpkg") {
		return claim, nil
	}
	return nil, err
}

// listed tells whether a line of list is one of wanted. Lines are compared by their length first: a machine has a hundred thousand.
func listed(list []byte, wanted []string) bool {
	for len(list) > 0 {
		n := bytes.IndexByte(list, '\n')
		if n < 0 {
			n = len(list)
		}
		for _, w := range wanted {
			if n == len(w) && string(list[:n]) == w {
				return true
			}
		}
		list = list[min(n+1, len(list)):]
	}
	return false
}

func (s System) exists(path string) bool {
	_, err := os.Stat(s.Root + path)
	return err == nil
}

// InImage tells whether this process runs in a container and path is part of
// its image: a file on a mounted volume is not.
func (s System) InImage(path string) bool {
	getenv, overlay := s.Getenv, s.Overlay
	if getenv == nil {
		getenv = os.Getenv
	}
	if overlay == nil {
		overlay = onOverlay
	}
	contained := s.exists("/.dockerenv") || s.exists("/run/.containerenv") ||
		getenv("KUBERNETES_SERVICE_HOST") != "" || getenv("container") != ""
	return contained && overlay(path)
}
