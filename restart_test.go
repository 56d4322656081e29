//go:build unix

package updater

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/swap"
)

// A version on probation that is recalled goes back to the one before, and follows the channel itself.
func TestProbationRecall(t *testing.T) {
	t.Parallel()
	h := newHost(t, "follow", "DAEMON_UPDATE=1", "DAEMON_CHANNEL=stable")
	h.publish("1", daemon(t, "old"))
	doc := &channel.Document{Name: "stable", Serial: 1}
	for _, v := range []string{"1", "2"} {
		doc.Releases = append(doc.Releases, channel.Release{
			Version: v, Platforms: []string{runtime.GOOS + "/" + runtime.GOARCH}, Rollout: channel.Everyone, Since: time.Now().Add(-time.Hour),
		})
	}
	h.offer(doc)
	h.supervise(nil)
	h.await("2 runs", 1)
	doc.Serial, doc.Releases[1].State, doc.Releases[1].BackTo = 2, channel.Recalled, "1"
	h.offer(doc)
	h.await("2 changes to 1", 1)
	h.await("1 works", 1)
	s := h.status()
	if s.Version != "1" || s.Probation != nil || len(s.Held) != 1 || s.Held[0].Version != "2" || h.last(s).Outcome != "rolled back" {
		t.Errorf("version %s, probation %+v, held %+v, history %+v", s.Version, s.Probation, s.Held, s.History)
	}
	if sum(read(t, swap.Backup(h.target))) != sum(daemon(t, "old")) {
		t.Error("the backup is not the version that proved itself")
	}
}

func (h *host) offer(doc *channel.Document) {
	data := encoded(h.t, doc)
	h.repo.mu.Lock()
	defer h.repo.mu.Unlock()
	h.repo.files["channels/stable.json"] = data
}

// The names that the system gives to the file of a running program after updates lead to the target.
func TestOriginal(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".tool.updater"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"tool":                "tool",
		"tool (deleted)":      "tool",
		"tool.backup":         "tool",
		".tool.updater-old.3": "tool",
		"other.backup":        "other.backup",
		".other.updater-old.": ".other.updater-old.",
	} {
		if got := original(filepath.Join(dir, name)); got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	if err := Notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("systemd was told %q, %v", buf[:n], err)
	}
	conn.Close()
	if err := Notify("READY=1"); err == nil {
		t.Error("nobody listens, and no error")
	}
}

func TestRestartService(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("systemd is Linux's")
		return
	}
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >" + bin + "/called\n[ \"$4\" = tool.service ]\n"
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if err := RestartService(t.Context(), "tool.service"); err != nil {
		t.Fatal(err)
	}
	if called := string(read(t, filepath.Join(bin, "called"))); called != "restart --no-block -- tool.service\n" {
		t.Errorf("systemctl %s", called)
	}
	if err := RestartService(t.Context(), "--other"); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a service that is not there: %v", err)
	}
}
