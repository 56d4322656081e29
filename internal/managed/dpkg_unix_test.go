//go:build unix

package managed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Lists that are longer than what is read at once: lines that lie across its end are found like all others.
func TestLongLists(t *testing.T) {
	root := t.TempDir()
	var list strings.Builder
	lines := 3 * listRoom / len("/usr/share/doc/0000000\n")
	for i := range lines {
		fmt.Fprintf(&list, "/usr/share/doc/%07d\n", i)
	}
	write(t, root+"/var/lib/dpkg/info/docs.list", list.String()+"/usr/bin/last", 0o644)
	system := System{Root: root}
	for i := range lines {
		if i%50 != 0 && (i*23%listRoom > 60 && i*23%listRoom < listRoom-60) {
			continue // far from an end
		}
		if claim, err := system.dpkg(fmt.Sprintf("/usr/share/doc/%07d", i)); claim == nil || claim.Package != "docs" || err != nil {
			t.Fatalf("line %d: %+v, %v", i, claim, err)
		}
	}
	for path, found := range map[string]bool{"/usr/bin/last": true, "/usr/bin/las": false, "/share/doc/0000001": false} {
		if claim, err := system.dpkg(path); (claim != nil) != found || err != nil {
			t.Errorf("%s: %+v, %v", path, claim, err)
		}
	}
	write(t, root+"/var/lib/dpkg/info/one-line.list", strings.Repeat("x", listRoom+1), 0o644)
	if _, err := system.Owner(context.Background(), "/nowhere"); !errors.Is(err, unix.EFBIG) {
		t.Errorf("a line without end: %v", err)
	}
}

// What could not be asked does not count as owning nothing.
func TestNotAsked(t *testing.T) {
	root := t.TempDir()
	s := System{Root: root}
	if claim, err := s.dpkg("/opt/tool"); claim != nil || err != nil {
		t.Errorf("without dpkg: %+v, %v", claim, err)
	}
	write(t, root+"/usr/bin/dpkg", "", 0o755)
	if claim, err := s.dpkg("/opt/tool"); claim != nil || !errors.Is(err, unix.ENOENT) {
		t.Errorf("dpkg, and no lists: %+v, %v", claim, err)
	}
	info := root + "/var/lib/dpkg/info/"
	write(t, info+"a.list", "/opt/other\n", 0o644)
	for _, name := range []string{"b.list", "c.list"} {
		if err := unix.Symlink("gone", info+name); err != nil {
			t.Fatal(err)
		}
	}
	if claim, err := s.dpkg("/opt/tool"); claim != nil || err != nil {
		t.Errorf("lists that went meanwhile: %+v, %v", claim, err)
	}
	if err := unix.Mkdir(info+"0.list", 0o755); err != nil { // before, among or after those that went
		t.Fatal(err)
	}
	if claim, err := s.dpkg("/opt/tool"); claim != nil || !errors.Is(err, unix.EISDIR) {
		t.Errorf("a list that cannot be read: %+v, %v", claim, err)
	}
}
