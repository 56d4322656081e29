//go:build unix

package managed

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRPM(t *testing.T) {
	root := t.TempDir()
	rpm := filepath.Join(root, "rpm")
	write(t, rpm, "#!/bin/sh\n[ \"$1 $4 $5\" = '-qf -- /usr/bin/tool' ] && echo tool && exit 0\necho file $5 is not owned by any package; exit 1\n", 0o755)

	s := System{Root: root, RPM: rpm}
	if claim, err := s.Owner(context.Background(), "/usr/bin/tool"); claim != nil || err != nil {
		t.Errorf("without a database: %+v, %v", claim, err)
	}
	if err := os.MkdirAll(root+"/var/lib/rpm", 0o755); err != nil {
		t.Fatal(err)
	}
	claim, err := s.Owner(context.Background(), "/usr/bin/tool")
	if err != nil || claim == nil || claim.Manager != "rpm" || claim.Package != "tool" {
		t.Errorf("owned: %+v, %v", claim, err)
	}
	if claim, err := s.Owner(context.Background(), "/usr/bin/mine"); claim != nil || err != nil {
		t.Errorf("not owned: %+v, %v", claim, err)
	}

	write(t, rpm, "#!/bin/sh\necho 'error: cannot open Packages database in /var/lib/rpm' >&2\nexit 1\n", 0o755)
	if claim, err := s.Owner(context.Background(), "/usr/bin/mine"); claim != nil || err == nil {
		t.Errorf("rpm fails: %+v, %v", claim, err)
	}
	write(t, rpm, "#!/bin/sh\nexec sleep 60\n", 0o755)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if claim, err := s.Owner(ctx, "/usr/bin/tool"); claim != nil || err == nil {
		t.Errorf("rpm hangs: %+v, %v", claim, err)
	}
}
