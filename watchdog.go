package updater

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/swap"
)

// watchdogEnv makes a program the watchdog of its successor; see [Watchdog].
const watchdogEnv = "UPDATER_WATCHDOG"

// Watchdog has [Restart] leave a watchdog behind: the backup, started in a session of its own, and under systemd in a
// scope of its own, where systemd-run is there and allows it. [Boot], which is given the option as well, does not return in it. It sees what
// the new version cannot tell: a crash before its main, a process that hangs as a whole. It counts the
// start, brings the backup back when the version has to go, and ends with the probation.
//
// With restart, for programs that nobody else starts again, it also starts the target
// after each unclean exit, with the same arguments, environment and folder, and keeps the exit status and the last
// lines of standard error as evidence. Without, that is left to a supervisor.
func Watchdog(restart bool) Option {
	return func(c *Config) error {
		c.watchdog = &watchdogTerms{restart: restart, start: (*Config).startWatchdog, keep: watchdog}
		return nil
	}
}

type watchdogTerms struct {
	restart bool
	start   func(c *Config, target string) error
	keep    func(job string) int
}

// watch is what a watchdog is told.
type watch struct {
	Target   string   `json:"target"`
	StateDir string   `json:"state_dir,omitempty"`
	Away     bool     `json:"away,omitempty"`
	Trial    int      `json:"trial"`
	Pid      int      `json:"pid"` // that becomes the new version
	Restart  bool     `json:"restart,omitempty"`
	Args     []string `json:"args,omitempty"`
	Dir      string   `json:"dir,omitempty"`

	// Detached says that this is the process that watches. The first one only starts it and ends, so
	// that the program is not left with a child that it knows nothing of.
	Detached bool `json:"detached,omitempty"`
}

// startWatchdog starts the backup as a watchdog, if the target is on probation.
func (c *Config) startWatchdog(target string) error {
	record, err := c.record(target).Read()
	if err != nil || record.Current == nil {
		return err
	}
	w := watch{
		Target: target, StateDir: c.stateDir, Away: c.renameAway, Trial: record.Current.N, Pid: os.Getpid(),
		Restart: c.watchdog.restart, Args: os.Args[1:],
	}
	w.Dir, _ = os.Getwd()
	backup := swap.Backup(target)
	if scope := inScope(); scope != nil {
		if err = w.startAndWait(append(scope, backup)); err == nil {
			return nil
		}
		c.warn(cause.Errorf("the watchdog has no scope of its own, and ends with the service: %w", err))
	}
	return w.startAndWait([]string{backup})
}

// startAndWait starts the first of the two processes, which ends at once.
func (w watch) startAndWait(command []string) error {
	p, err := w.start(command)
	if err != nil {
		return err
	}
	state, err := p.Wait()
	if err == nil && !state.Success() {
		err = cause.Errorf("starting the watchdog: %s: %v", command[0], state)
	}
	return err
}

// start runs a command that becomes the watchdog.
func (w watch) start(command []string) (*os.Process, error) {
	job, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	p, err := os.StartProcess(command[0], command, &os.ProcAttr{
		Dir: root(w.Target), Env: append(os.Environ(), watchdogEnv+"="+string(job)), Sys: ownSession(),
		Files: []*os.File{null, os.Stdout, os.Stderr},
	})
	if err != nil {
		return nil, cause.Errorf("starting the watchdog: %w", err)
	}
	return p, nil
}

// detach starts the process that watches.
func (w watch) detach() error {
	w.Detached = true
	p, err := w.start([]string{swap.Backup(w.Target)})
	if err != nil {
		return err
	}
	return p.Release()
}

// inScope is how a command is started outside of the cgroup of the service, whose processes systemd
// ends with it. It is empty where there is no systemd.
func inScope() []string {
	if os.Getenv("INVOCATION_ID") == "" {
		return nil
	}
	path, err := find("systemd-run")
	if err != nil {
		return nil
	}
	command := []string{path, "--scope", "--collect", "--quiet"}
	if os.Geteuid() != 0 {
		command = append(command, "--user")
	}
	return append(command, "--")
}

const watchPause = 100 * time.Millisecond

// watchdog is what the process does that is one. It returns the exit code.
func watchdog(job string) int {
	var w watch
	if err := json.Unmarshal([]byte(job), &w); err != nil {
		fmt.Fprintln(os.Stderr, "watchdog:", err)
		return 2
	}
	opts := []Option{TargetFile(w.Target), func(c *Config) error { c.renameAway = w.Away; return nil }}
	if w.StateDir != "" {
		opts = append(opts, StateDir(w.StateDir))
	}
	c, target, err := targetConfig(opts)
	switch {
	case err != nil:
	case !w.Detached:
		err = w.detach()
	default:
		err = c.keepWatch(target, w)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "watchdog:", err)
		return 1
	}
	return 0
}

// keepWatch looks after the trial until it is over.
func (c *Config) keepWatch(target string, w watch) error {
	began := c.clock()
	for gone := 0; ; time.Sleep(watchPause) {
		record, err := c.record(target).Read()
		if err != nil {
			continue // the disk's trouble passes, or the deadline never comes
		}
		t := record.Current
		if t == nil || t.N != w.Trial {
			return nil
		}
		waited := c.clock().Up - began.Up
		running := isRunning(w.Pid)
		if gone++; running {
			gone = 0
		}
		switch {
		case gone == 1: // a process that executes another program may seem to have ended for a moment
		case running && waited <= t.Within+time.Second && t.Left(c.clock()) > -time.Second:
		case running:
			return c.giveUpHung(target, w)
		case w.Restart:
			return c.nurse(target, w, t.Starts)
		case waited > t.Within:
			return c.giveUp(target, w.Trial, fmt.Sprintf("nothing was heard of it within %v", t.Within))
		}
	}
}

// giveUpHung brings the backup back under a process that neither confirms nor ends, and ends it.
func (c *Config) giveUpHung(target string, w watch) error {
	if err := c.giveUp(target, w.Trial, "it was not confirmed in time, and hangs"); err != nil {
		return err
	}
	terminate(w.Pid)
	for range 50 {
		if !isRunning(w.Pid) {
			break
		}
		time.Sleep(watchPause)
	}
	kill(w.Pid)
	if !w.Restart {
		return nil
	}
	_, err := c.runTarget(target, w)
	return err
}

// nurse starts the target again, and again, until the trial is over and the target ends.
func (c *Config) nurse(target string, w watch, starts int) error {
	if starts == 0 { // it never came as far as to count itself
		if _, _, err := c.guard(target); err != nil {
			return err
		}
		if err := c.ended(target, 0, Exit{How: "ended before the program said that it runs"}); err != nil {
			return err
		}
	}
	for {
		k, _, err := c.guard(target)
		if err != nil {
			return err
		}
		e, err := c.runTarget(target, w)
		if err != nil {
			return err
		}
		if k.start == 0 {
			return nil // it runs without a probation
		}
		if err := c.ended(target, k.start, e.exit()); err != nil {
			return err
		}
		if r, err := c.record(target).Read(); e.exit().Meant || err == nil && r.Current == nil {
			return nil // asked to end, or confirmed before it did
		}
	}
}

func (c *Config) runTarget(target string, w watch) (*ending, error) {
	ch := &program{path: target, args: w.Args, dir: w.Dir, env: os.Environ(), out: os.Stdout, tee: os.Stderr}
	return ch.run(context.Background(), nil)
}
