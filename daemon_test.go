//go:build unix

package updater

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/swap"
)

// daemons are builds of testdata/daemon by behaviour; "old" is version 1 that works, the others are 2.
var daemons struct {
	sync.Mutex
	built map[string][]byte
}

func daemon(t testing.TB, behaviour string) []byte {
	t.Helper()
	daemons.Lock()
	defer daemons.Unlock()
	if data, ok := daemons.built[behaviour]; ok {
		return data
	}
	version, behaves := "2", behaviour
	if behaviour == "old" {
		version, behaves = "1", "good"
	}
	out := filepath.Join(t.TempDir(), "daemon")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -X main.version="+version+" -X main.behaviour="+behaves, "-o", out, "./testdata/daemon")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the daemon: %v\n%s", err, output)
	}
	if daemons.built == nil {
		daemons.built = map[string][]byte{}
	}
	daemons.built[behaviour] = read(t, out)
	return daemons.built[behaviour]
}

// host is a machine on which version 1 of the daemon runs, and a repository that has version 2.
type host struct {
	t      *testing.T
	target string
	log    string
	repo   *testRepo
	env    []string

	mu      sync.Mutex
	stopped bool
	cmds    []*exec.Cmd
	loops   sync.WaitGroup
	single  []*exec.Cmd
}

func newHost(t *testing.T, behaviour string, env ...string) *host {
	t.Helper()
	h := &host{t: t, target: install(t, daemon(t, "old")), repo: newRepo(t)}
	h.log = filepath.Join(t.TempDir(), "log")
	h.publish("2", daemon(t, behaviour))
	h.env = append(append(os.Environ(), "DAEMON_LOG="+h.log, "DAEMON_REPO="+h.repo.URL, "DAEMON_WANT=2"), env...)
	t.Cleanup(h.stop)
	return h
}

func (h *host) publish(version string, binary []byte) {
	archive := zstdOf(h.t, binary)
	spec, err := json.Marshal(map[string]any{
		"binary": "tool.bz2", "hash": sum(binary), "size": len(binary),
		"artifacts": []any{map[string]any{"file": "tool.zst", "encoding": "zstd", "size": len(archive), "sha256": sum(archive)}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	folder := version + "/" + runtime.GOOS + "/" + runtime.GOARCH + "/"
	h.repo.mu.Lock()
	defer h.repo.mu.Unlock()
	h.repo.files[folder+"tool.zst"], h.repo.files[folder+"release.json"] = archive, spec
}

// update installs version 2 as the operator's tool does.
func (h *host) update(opts ...Option) {
	h.t.Helper()
	opts = append([]Option{
		SourceRepo(h.repo.URL), Version("2"), CurrentVersion("1"), TargetFile(h.target), AllowContainer(),
		Probation(2, time.Minute),
	}, opts...)
	if _, err := ApplyContext(context.Background(), opts...); err != nil {
		h.t.Fatal(err)
	}
}

// start starts the daemon once; it is killed with the host at the latest.
func (h *host) start(env ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd, stderr := h.launch(env...)
	if cmd != nil {
		h.single = append(h.single, cmd)
	}
	return cmd, stderr
}

func (h *host) launch(env ...string) (*exec.Cmd, *bytes.Buffer) {
	h.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(h.target)
	cmd.Env, cmd.Stderr = append(h.env[:len(h.env):len(h.env)], env...), &stderr
	var err error
	for range 100 {
		if err = cmd.Start(); err == nil {
			return cmd, &stderr
		}
		time.Sleep(10 * time.Millisecond) // golang.org/issue/22315
		cmd = exec.Command(h.target)
		cmd.Env, cmd.Stderr = append(h.env[:len(h.env):len(h.env)], env...), &stderr
	}
	h.t.Error(err)
	return nil, &stderr
}

// supervise starts the daemon, and again whenever it ends, until the host is stopped. before is
// called before each start, as a unit's ExecStartPre is.
func (h *host) supervise(before func()) {
	h.loops.Add(1)
	go func() {
		defer h.loops.Done()
		for {
			if before != nil {
				before()
			}
			h.mu.Lock()
			if h.stopped {
				h.mu.Unlock()
				return
			}
			cmd, _ := h.launch()
			if cmd == nil {
				h.mu.Unlock()
				return
			}
			h.cmds = append(h.cmds, cmd)
			h.mu.Unlock()
			cmd.Wait()
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

// stop ends what runs, as an operator does.
func (h *host) stop() {
	h.mu.Lock()
	h.stopped = true
	for _, cmd := range h.cmds {
		cmd.Process.Signal(syscall.SIGTERM)
	}
	h.mu.Unlock()
	for _, cmd := range h.single {
		cmd.Process.Kill()
		cmd.Wait()
	}
	done := make(chan struct{})
	go func() { h.loops.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		h.mu.Lock()
		for _, cmd := range h.cmds {
			cmd.Process.Kill()
		}
		h.mu.Unlock()
		h.t.Error("the daemon does not end when it is asked to")
		<-done
	}
}

func (h *host) said() string {
	data, _ := os.ReadFile(h.log)
	return string(data)
}

// await waits until the daemon's log has the line n times.
func (h *host) await(line string, n int) {
	h.t.Helper()
	for range 3000 {
		if strings.Count("\n"+h.said(), "\n"+line) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("%q does not come %d times; the daemon says:\n%s", line, n, h.said())
}

func (h *host) status() *Status {
	h.t.Helper()
	s, err := Inspect(context.Background(), TargetFile(h.target))
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// wentBack checks that version 1 is there, that version 2 is held and not fetched again, and the evidence.
func (h *host) wentBack(reason string) {
	h.t.Helper()
	s := h.status()
	last := h.last(s)
	if s.Version != "1" || s.SHA256 != sum(daemon(h.t, "old")) || s.Probation != nil {
		h.t.Errorf("version %q (%s) is installed, probation %+v", s.Version, s.SHA256, s.Probation)
	}
	if len(s.Held) != 1 || s.Held[0].Version != "2" || !strings.Contains(s.Held[0].Reason, reason) {
		h.t.Errorf("held: %+v, want version 2: %s", s.Held, reason)
	}
	if last.Outcome != "rolled back" || !strings.Contains(last.Reason, reason) || last.From.Version != "1" || last.To.Version != "2" {
		h.t.Errorf("the evidence says %+v, want rolled back: %s", last, reason)
	}
	if n := h.fetched(); n != 1 {
		h.t.Errorf("version 2 was fetched %d times", n)
	}
	if _, err := os.Stat(swap.Backup(h.target)); err != nil {
		h.t.Errorf("the backup is gone: %v", err)
	}
	_, err := ApplyContext(context.Background(), SourceRepo(h.repo.URL), Version("2"), TargetFile(h.target), AllowContainer(), Probation(0, 0))
	if !errors.Is(err, ErrHeld) || h.fetched() != 1 {
		h.t.Errorf("version 2 is installed again: %v", err)
	}
}

func (h *host) last(s *Status) Evidence {
	if len(s.History) == 0 {
		return Evidence{}
	}
	return s.History[len(s.History)-1]
}

func (h *host) fetched() int { return len(h.repo.ranges()) }

// stayed checks that version 2 is there and confirmed.
func (h *host) stayed() {
	h.t.Helper()
	s := h.status()
	if s.Version != "2" || s.Probation != nil || len(s.Held) != 0 || h.last(s).Outcome != "confirmed" {
		h.t.Errorf("version %q, probation %+v, held %+v, evidence %+v", s.Version, s.Probation, s.Held, s.History)
	}
	var left []string
	entries, _ := os.ReadDir(swap.StateDir(h.target))
	for _, e := range entries {
		left = append(left, e.Name())
	}
	left = slices.DeleteFunc(left, func(name string) bool {
		return strings.Contains(" lock state.json metadata probation.json probation.lock history.json ", " "+name+" ")
	})
	if len(left) != 0 {
		h.t.Errorf("left in the state folder: %v", left)
	}
}

func TestProbationGood(t *testing.T) {
	t.Parallel()
	h := newHost(t, "good", "DAEMON_UPDATE=1")
	h.supervise(nil)
	h.await("2 works", 1)
	h.stayed()
}

func TestProbationExit(t *testing.T) {
	t.Parallel()
	h := newHost(t, "exit", "DAEMON_UPDATE=1")
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("ended uncleanly 2 times")
	if e := h.last(h.status()); e.Starts != 2 || e.Unclean != 2 || len(e.Failures) != 2 {
		t.Errorf("evidence: %+v", e)
	}
	if n := strings.Count(h.said(), "2 runs"); n != 2 {
		t.Errorf("version 2 ran %d times, not 2", n)
	}
	h.await("1 held", 1)
}

func TestProbationHang(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang", "DAEMON_UPDATE=1", "DAEMON_WITHIN_MS=1500")
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("not confirmed")
}

func TestProbationIll(t *testing.T) {
	t.Parallel()
	h := newHost(t, "ill", "DAEMON_UPDATE=1", "DAEMON_WITHIN_MS=1500")
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("no answer on port 80")
}

// What the version before failed at as well is no reason to go back.
func TestProbationIllBefore(t *testing.T) {
	t.Parallel()
	h := newHost(t, "good", "DAEMON_UPDATE=1", "DAEMON_WITHIN_MS=1500", "DAEMON_ILL=1,2,")
	h.supervise(nil)
	h.await("2 works", 1)
	h.stayed()
}

// An operator's stop does not count, and a killed process does.
func TestProbationStop(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang")
	h.update()
	for n, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL} {
		cmd, _ := h.start()
		h.await("2 runs", n+1)
		cmd.Process.Signal(sig)
		cmd.Wait()
	}
	cmd, _ := h.start()
	h.await("2 runs", 5)
	p := h.status().Probation
	if p == nil || p.Starts != 5 || p.Unclean != 1 || len(p.Open) != 1 {
		t.Errorf("probation: %+v", p)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
}

// After a reboot all processes are gone and only the disk is left.
func TestProbationReboot(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang")
	h.update()
	for n := range 4 {
		cmd, _ := h.start()
		h.await("2 runs", n+1)
		cmd.Process.Kill()
		cmd.Wait()
		h.edit(func(s *Trial) {
			s.Seen.Boot, s.Since.Boot, s.Open[0].At.Boot = "another", "another", "another"
		})
	}
	h.start()
	h.await("2 runs", 5)
	p := h.status().Probation
	if p == nil || p.Unclean != 0 || p.Reboots != 4 || p.Starts != 5 {
		t.Errorf("probation: %+v", p)
	}
}

// edit changes the record as another time or machine would have written it.
func (h *host) edit(change func(*Trial)) {
	h.t.Helper()
	editRecord(h.t, h.target, change)
}

// The wall clock decides nothing; the time since the machine's start does.
func TestProbationClock(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang")
	h.update()
	for n, wall := range []time.Time{time.Now().AddDate(-10, 0, 0), time.Now().AddDate(10, 0, 0)} {
		cmd, _ := h.start()
		h.await("2 runs", n+1)
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		h.edit(func(s *Trial) { s.Began, s.Seen.Wall = wall, wall })
	}
	cmd, _ := h.start()
	h.await("2 runs", 3)
	cmd.Process.Kill()
	cmd.Wait()
	h.edit(func(s *Trial) { s.Since.Up -= time.Hour })
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("not confirmed within")
}

// Two instances are counted apart, and one of them going back is enough.
func TestProbationTwo(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang", "DAEMON_WITHIN_MS=60000")
	h.update(Probation(2, 4*time.Second))
	h.supervise(nil)
	h.supervise(nil)
	h.await("2 runs", 2)
	if p := h.status().Probation; p == nil || p.Starts != 2 || p.Unclean != 0 || len(p.Open) != 2 {
		t.Errorf("probation: %+v", p)
	}
	h.await("1 works", 2)
	h.wentBack("not confirmed")
	if s := h.status(); len(s.History) != 1 {
		t.Errorf("history: %+v", s.History)
	}
}

// Both find at the same time that the version has to go.
func TestProbationTwoAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, "exit", "DAEMON_EXIT_MS=0")
	h.update()
	for range 2 {
		cmd, _ := h.start()
		cmd.Wait()
	}
	for range 4 {
		h.supervise(nil)
	}
	h.await("1 works", 4)
	h.wentBack("ended uncleanly 2 times")
	if s := h.status(); len(s.History) != 1 || strings.Count(h.said(), "2 runs") != 2 {
		t.Errorf("history: %+v\n%s", s.History, h.said())
	}
}

// A version that replaces one on probation goes back to the one that was confirmed.
func TestProbationOverAnother(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang")
	h.update()
	cmd, _ := h.start()
	h.await("2 runs", 1)
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	h.publish("3", daemon(t, "exit"))
	h.update(Version("3"), CurrentVersion("2"))
	if p := h.status().Probation; p == nil || p.From.Version != "1" || p.To.Version != "3" {
		t.Fatalf("probation: %+v", p)
	}
	h.env = append(h.env, "DAEMON_EXIT_MS=0")
	h.supervise(nil)
	h.await("1 works", 1)
	s := h.status()
	if s.Version != "1" || len(s.History) != 2 || s.History[0].Outcome != "superseded" || s.History[1].Outcome != "rolled back" {
		t.Errorf("version %s, history %+v", s.Version, s.History)
	}
	if len(s.Held) != 1 || s.Held[0].Version != "3" {
		t.Errorf("held: %+v", s.Held)
	}
}
