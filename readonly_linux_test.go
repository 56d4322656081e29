package updater

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadOnlyMount needs root, and a kernel that lets it mount; TestRefusingDisks has the same without.
func TestReadOnlyMount(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Logf("no real mount: %v", err)
		return
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	target := filepath.Join(dir, "tool")
	if err := os.WriteFile(target, old, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := ApplyContext(context.Background(), r.options(target)...)
	if !errors.Is(err, ErrReadOnly) || Hint(err) == "" || r.count() != 0 || !bytes.Equal(read(t, target), old) {
		t.Errorf("%v after %d requests, want ErrReadOnly", err, r.count())
	}

	// And a disk that is full, with its own mount: said before the download as well.
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 16<<20-len(old)-(64<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ApplyContext(context.Background(), r.options(target)...)
	if !errors.Is(err, ErrNoRoom) || r.count() != 0 || !bytes.Equal(read(t, target), old) {
		t.Errorf("%v after %d requests, want ErrNoRoom", err, r.count())
	}
}
