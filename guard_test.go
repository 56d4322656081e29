//go:build unix

package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func (h *host) guard() bool {
	h.t.Helper()
	back, err := Guard(context.Background(), TargetFile(h.target))
	if err != nil {
		h.t.Error(err)
	}
	return back
}

// A version that panics before its main is never seen by Boot; who starts it sees it.
func TestGuardInit(t *testing.T) {
	t.Parallel()
	h := newHost(t, "init")
	h.update()
	h.supervise(func() { h.guard() })
	h.await("1 works", 1)
	h.wentBack("ended uncleanly 2 times")
	if n := strings.Count(h.said(), "2 crashes"); n != 2 {
		t.Errorf("version 2 was started %d times, not 2", n)
	}
}

// A guard and Boot count one start once, and a version that works is confirmed.
func TestGuardGood(t *testing.T) {
	t.Parallel()
	h := newHost(t, "hang")
	h.update()
	if h.guard() {
		t.Error("gone back at once")
	}
	cmd, _ := h.start()
	h.await("2 runs", 1)
	if p := h.status().Probation; p.Starts != 1 || p.Unclean != 0 || len(p.Open) != 1 || p.Open[0].Pid != cmd.Process.Pid {
		t.Errorf("probation: %+v", p)
	}
	if err := Confirm(context.Background(), TargetFile(h.target)); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	h.guard()
	h.stayed()
}

// The guard as a parent sees exit status and standard error.
func TestGuardRun(t *testing.T) {
	h := newHost(t, "init")
	h.update()
	t.Setenv("DAEMON_LOG", h.log)
	for range 2 {
		code, err := GuardRun(context.Background(), nil, TargetFile(h.target))
		if code != 2 || err != nil {
			t.Fatalf("a panic is exit code %d, %v", code, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if code, err := GuardRun(ctx, nil, TargetFile(h.target)); code != 0 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	}()
	h.await("1 works", 1)
	cancel()
	<-done
	h.wentBack("ended uncleanly 2 times")
	e := h.last(h.status())
	if len(e.Failures) != 2 || e.Failures[1].Exit != "exit status 2" || !strings.Contains(strings.Join(e.Failures[1].Output, "\n"), "panic: no database driver") {
		t.Errorf("failures: %+v", e.Failures)
	}
}

// Without a supervisor the watchdog starts the program again.
func TestWatchdogInit(t *testing.T) {
	t.Parallel()
	h := newHost(t, "init", "DAEMON_UPDATE=1", "DAEMON_WATCHDOG=restart")
	h.start()
	h.await("2 crashes", 2)
	h.await("1 held", 1)
	h.wentBack("ended uncleanly 2 times")
	e := h.last(h.status())
	if len(e.Failures) != 2 || !strings.Contains(strings.Join(e.Failures[1].Output, "\n"), "panic: no database driver") {
		t.Errorf("failures: %+v", e.Failures)
	}
	h.stopChildren()
}

// stopChildren ends the daemons that a watchdog started, by the numbers that they wrote.
func (h *host) stopChildren() {
	for line := range strings.Lines(h.said()) {
		var pid int
		if _, err := fmt.Sscanf(line, "%d runs %d", new(int), &pid); err == nil {
			terminate(pid)
		}
	}
}

// With one, it only takes care that the next start is of a version that works.
func TestWatchdogSupervised(t *testing.T) {
	t.Parallel()
	h := newHost(t, "init", "DAEMON_UPDATE=1", "DAEMON_WATCHDOG=supervised", "DAEMON_WITHIN_MS=1500")
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("nothing was heard of it within 1.5s")
}

// A process that is stuck as a whole cannot go back by itself.
func TestWatchdogStuck(t *testing.T) {
	t.Parallel()
	h := newHost(t, "stuck", "DAEMON_UPDATE=1", "DAEMON_WATCHDOG=supervised", "DAEMON_WITHIN_MS=1500")
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("hangs")

}

// Under systemd the watchdog is started in a scope of its own, so that it outlives the service's cgroup.
func TestWatchdogScope(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >" + bin + "/called\nwhile [ \"$1\" != -- ]; do shift; done; shift\nexec \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "systemd-run"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, "init", "DAEMON_UPDATE=1", "DAEMON_WATCHDOG=supervised", "DAEMON_WITHIN_MS=1000",
		"INVOCATION_ID=1", "PATH="+bin+":"+os.Getenv("PATH"))
	h.supervise(nil)
	h.await("1 works", 1)
	h.wentBack("nothing was heard")
	if called := read(t, filepath.Join(bin, "called")); !bytes.Contains(called, []byte("--scope")) || !bytes.Contains(called, []byte(h.target+".backup")) {
		t.Errorf("systemd-run was called with %s", called)
	}
}

func TestSelfTest(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string]string{
		"init":     "panic: no database driver",
		"selftest": "self-test: libfoo.so.2 is missing",
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, behaviour, "DAEMON_UPDATE=1", "DAEMON_SELFTEST=1")
			h.supervise(nil)
			h.await("1 works", 1)
			s := h.status()
			if s.Version != "" || s.Probation != nil || s.Backup != "" || strings.Contains(h.said(), "2 runs") {
				t.Errorf("status %+v, said %s", s, h.said())
			}
			e := h.last(s)
			if len(s.Held) != 1 || s.Held[0].Version != "2" || e.Outcome != "not installed" {
				t.Errorf("held %+v, evidence %+v", s.Held, e)
			}
			if len(e.Failures) != 1 || !strings.Contains(strings.Join(e.Failures[0].Output, "\n"), want) {
				t.Errorf("failures %+v, want %s", e.Failures, want)
			}
			h.start()
			h.await("1 held", 1)
			if n := h.fetched(); n != 1 {
				t.Errorf("fetched %d times", n)
			}
		})
	}
}

// What cannot be started, or does not know how to answer, is refused as well.
func TestSelfTestOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		binary string
		want   error
		says   string
	}{
		"no loader":   {"#!/no/such/interpreter\n", ErrSelfTest, "cannot be started"},
		"no answer":   {"#!/bin/sh\nexit 0\n", ErrSelfTest, "without an answer"},
		"hangs":       {"#!/bin/sh\nsleep 60\n", ErrSelfTest, "no answer within"},
		"chatter":     {"#!/bin/sh\nyes | head -c 10000000; exit 3\n", ErrSelfTest, "exit status 3"},
		"leaves some": {"#!/bin/sh\nsleep 60 &\nexit 3\n", ErrSelfTest, "exit status 3"},
		"no program":  {"plain text", ErrSelfTest, "cannot be started"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "hang")
			h.target = install(t, []byte("#!/bin/sh\necho old\n"))
			h.publish("2", []byte(c.binary))
			began := time.Now()
			_, err := ApplyContext(context.Background(), SourceRepo(h.repo.URL), Version("2"), TargetFile(h.target), AllowContainer(),
				SelfTest(2*time.Second, nil))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v: %s", err, c.want, c.says)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if s := h.status(); len(s.Held) != 1 || string(read(t, h.target)) != "#!/bin/sh\necho old\n" {
				t.Errorf("held: %+v", s.Held)
			}
		})
	}
}

func TestSelfTestGood(t *testing.T) {
	t.Parallel()
	h := newHost(t, "good", "DAEMON_UPDATE=1", "DAEMON_SELFTEST=1")
	h.supervise(nil)
	h.await("2 works", 1)
	h.stayed()
}
