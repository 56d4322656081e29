//go:build unix

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A link that takes a file's place after it was looked at is not followed either.
func TestOpenDoesNotFollow(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
		f, err := openNoFollow(dir+"/link", flag)
		if !errors.Is(err, ErrNotRegular) {
			t.Errorf("flags %#x: %v, want ErrNotRegular", flag, err)
		}
		if err == nil {
			f.Close()
		}
	}
	// Nor does a FIFO that does so keep anyone waiting.
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		f, err := openNoFollow(dir+"/fifo", os.O_RDONLY)
		if err == nil {
			f.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("opening a FIFO waits")
	}
}
