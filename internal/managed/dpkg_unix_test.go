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
