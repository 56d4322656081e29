package updater

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// With the state folder's disk full no start can be counted, so nothing could ever stop a bad version: the
// one before comes back at the first start, and the bad one is held, which needs no room.
func TestProbationDiskFull(t *testing.T) {
	state := t.TempDir()
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		t.Logf("the state folder cannot be on a disk of its own (%v): TestFaultErrors fails each write instead", err)
		return
	}
	t.Cleanup(func() { unix.Unmount(state, 0) })
	h := newHost(t, "exit", "DAEMON_STATE="+state, "DAEMON_EXIT_MS=0", "DAEMON_UPDATE=1")
	h.update(StateDir(state))
	fill(t, state)
	h.supervise(nil)
	h.await("1 held", 1)
	s, err := Inspect(t.Context(), TargetFile(h.target), StateDir(state))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "1" || strings.Contains(h.said(), "2 runs") || h.fetched() != 1 {
		t.Errorf("version %s, fetched %d times; %s", s.Version, h.fetched(), h.said())
	}
	if s.Probation == nil && len(s.Held) == 0 {
		t.Errorf("nothing is held: %+v", s)
	}
	if err := os.Remove(filepath.Join(state, "filler")); err != nil {
		t.Fatal(err)
	}
	// With room again the next start brings the record in order.
	h.mu.Lock()
	for _, cmd := range h.cmds {
		cmd.Process.Kill()
	}
	h.mu.Unlock()
	h.await("1 held", 2)
	s, err = Inspect(t.Context(), TargetFile(h.target), StateDir(state))
	if err != nil {
		t.Fatal(err)
	}
	if s.Probation != nil || len(s.Held) != 1 || h.last(s).Outcome != "rolled back" || h.fetched() != 1 {
		t.Errorf("with room: %+v", s)
	}
}

func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 1000 {
		if _, err := f.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	for range 100 {
		if _, err := f.Write(make([]byte, 1)); err != nil {
			return
		}
	}
}

// Where the state folder has no room, a probation is refused before anything is fetched.
func TestProbationRefused(t *testing.T) {
	state := t.TempDir()
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Logf("the state folder cannot be on a disk of its own: %v", err)
		return
	}
	t.Cleanup(func() { unix.Unmount(state, 0) })
	h := newHost(t, "good", "DAEMON_STATE="+state, "DAEMON_UPDATE=1")
	fill(t, state)
	h.supervise(nil)
	h.await("1 works", 1)
	if !strings.Contains(h.said(), "a probation is impossible") || h.fetched() != 0 {
		t.Errorf("fetched %d times; %s", h.fetched(), h.said())
	}
}
