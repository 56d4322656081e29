//go:build unix

package disk_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
)

// Whoever opens a FIFO waits for its other end: here nobody does.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for name, open := range doors {
			if _, err := open(path); !errors.Is(err, disk.ErrNotRegular) {
				t.Errorf("%s: %v, want ErrNotRegular", name, err)
			}
		}
		f, err := disk.CreateFresh(disk.OS, path)
		if err != nil {
			t.Error(err)
			return
		}
		f.Close()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("opening a FIFO hangs")
	}
}
