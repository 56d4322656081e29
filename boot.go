package updater

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/probation"
	"github.com/choria-io/go-updater/internal/swap"
)

// Running is the running program, as seen by its probation. The program keeps it
// for as long as it may still confirm. Methods may be called by several goroutines.
type Running struct {
	c      *Config
	target string
	store  probation.Store
	err    error

	trial, start int    // numbers, 0: not on probation
	sum          string // of the version on probation

	mu    sync.Mutex
	life  disk.File
	timer *time.Timer
	over  bool // confirmed or stopped
}

// Boot is called first thing in main. Without a probation it reads one small file, if that, and changes
// nothing. On probation it counts this start, durably. If the program has ended uncleanly too often, or
// has run for too long without being confirmed, it brings the backup back, holds this
// version, and executes the old one in its own place: on Unix in the same process,
// on Windows as a child for which it waits. It does the same later, in
// the running program, when its time is over.
//
// It never makes a program fail to start: what goes wrong is told to the [Logger] and by [Running.Err].
// Where a start cannot be counted, nobody could ever stop a bad version, so the backup comes back at once.
//
// Of the options those matter that concern the target, messages and health; the program gives the
// same [TargetFile] and [StateDir] as for its updates.
func Boot(opts ...Option) *Running {
	r := &Running{}
	r.err = r.boot(opts)
	if r.err != nil && r.c != nil {
		r.c.warn(r.err)
	}
	return r
}

func (r *Running) boot(opts []Option) error {
	c, target, err := bootConfig(opts)
	if err != nil {
		return err
	}
	if job := os.Getenv(watchdogEnv); job != "" {
		os.Unsetenv(watchdogEnv)
		os.Exit(c.keepWatchOf(job))
	}
	if token := os.Getenv(selfTestEnv); token != "" {
		os.Exit(c.answer(token))
	}
	r.c, r.target, r.store = c, target, c.record(target)
	if c.renameAway {
		if err := r.heal(); err != nil {
			return err
		}
	}
	record, err := r.store.Read()
	if err != nil {
		return err
	}
	if t := record.Current; t != nil && c.runsFrom(target) {
		r.trial, r.sum = t.N, t.To.SHA256
		reason, err := r.arrive()
		if reason != "" {
			return r.goBack(reason)
		}
		if err != nil || r.start != 0 {
			return err
		}
	}
	return r.outlived()
}

// outlived makes way if another process went back while this one was starting: it runs a
// version that is held, and that is no longer what stands at the target's path.
func (r *Running) outlived() error {
	record, err := r.store.Read()
	if err != nil || len(record.Held) == 0 || r.c.runsFrom(r.target) {
		return err
	}
	sum, err := runningSum()
	if _, held := record.Holds("", sum); err != nil || !held {
		return err
	}
	r.sum = sum
	return r.execute()
}

// bootConfig is the configuration of the doors that look at this process.
func bootConfig(opts []Option) (*Config, string, error) {
	c, target, err := targetConfig(opts)
	if err == nil && c.reexec == nil {
		c.reexec = reexec
	}
	if err == nil && c.runsFrom == nil {
		c.runsFrom = runsFrom
	}
	return c, target, err
}

// keepWatchOf makes this process a watchdog, and returns its exit code.
func (c *Config) keepWatchOf(job string) int {
	if c.watchdog == nil {
		fmt.Fprintln(os.Stderr, "this is to be a watchdog, and Boot was called without the option")
		return 2
	}
	return c.watchdog.keep(job)
}

// heal finishes what a crash between two renames left.
func (r *Running) heal() error {
	if _, err := r.c.fs.Lstat(r.target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sw, err := r.c.openSwap(r.target)
	if err != nil {
		return onDisk(err)
	}
	return sw.Close()
}

// openSwap takes the target's lock, for which it waits a few seconds.
func (c *Config) openSwap(target string) (sw *swap.Swap, err error) {
	for range lockTries {
		sw, err = swap.Open(swap.Options{
			FS: c.fs, Target: target, StateDir: c.stateDir, RenameAway: c.renameAway, AllowMissing: true, Warn: c.warn,
		})
		if !errors.Is(err, ErrBusy) {
			return sw, err
		}
		lockPause()
	}
	return nil, err
}

// arrive counts this start. It returns why the version has to go back, if it has to.
func (r *Running) arrive() (reason string, err error) {
	k, err := r.c.count(r.target, probation.ByProgram, os.Getpid())
	if k.trial != 0 {
		r.trial, r.sum = k.trial, k.sum
	}
	if k.start != 0 {
		r.start, r.life = k.start, k.life
		r.watch(k.left)
	}
	return k.reason, err
}

// counted is a start, or why there must be none.
type counted struct {
	trial, start int           // numbers, 0 where there is no probation or it was not counted
	sum          string        // of the version on probation
	life         disk.File     // the lock that says that the program lives
	left         time.Duration // of the probation
	reason       string        // why the version has to go back
}

// count counts a start of the target if it is on probation.
func (c *Config) count(target, by string, pid int) (k counted, err error) {
	store := c.record(target)
	unlock, err := store.Lock(lockTries, lockPause)
	if errors.Is(err, probation.ErrBusy) {
		return k, err
	}
	if err != nil {
		k.reason = uncounted(err)
		return k, nil
	}
	defer unlock()
	record, err := c.reconciled(store, target)
	if err != nil || record.Current == nil {
		return k, err
	}
	t, now := record.Current, c.clock()
	t.Settle(now, func(n int) bool { return store.Alive(t.N, n) }, by == probation.ByGuard)
	k.trial, k.sum, k.left = t.N, t.To.SHA256, t.Left(now)
	if k.reason = t.Verdict(now); k.reason != "" {
		if err := store.Put(record); err != nil {
			c.warn(err) // what is lost is evidence
		}
		return k, nil
	}
	c.remember(store, superseded(t, now))
	n := t.Arrive(now, by, pid)
	if by == probation.ByProgram {
		k.life, err = store.Live(t.N, n)
	}
	if err == nil {
		err = store.Put(record)
	}
	if err != nil {
		k.reason = uncounted(err)
		return k, nil
	}
	k.start = n
	return k, nil
}

func uncounted(err error) string { return fmt.Sprintf("its start could not be counted: %v", err) }

// superseded is what is to be remembered of a trial that this one took the place of.
func superseded(t *probation.Trial, now probation.Moment) *probation.Evidence {
	if t.Over == nil {
		return nil
	}
	old := &probation.Record{Current: t.Over}
	e := old.Close(probation.Superseded, "version "+t.To.Version+" was installed", now.Wall)
	t.Over = nil
	return &e
}

// reconciled is the record in line with what stands at the target's path.
func (c *Config) reconciled(store probation.Store, target string) (*probation.Record, error) {
	record, err := store.Read()
	if err != nil || record.Current == nil {
		return record, err
	}
	sum, err := swap.HashFile(c.fs, target)
	if err != nil {
		return record, cause.Errorf("hashing the target: %w", err)
	}
	return record, c.align(store, record, sum)
}

// watch ends the probation when the time is over.
func (r *Running) watch(left time.Duration) {
	r.timer = time.AfterFunc(left, func() {
		r.mu.Lock()
		over := r.over
		r.mu.Unlock()
		if over {
			return
		}
		if err := r.goBack("it was not confirmed in time"); err != nil {
			r.c.warn(err)
		}
	})
}
