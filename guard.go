package updater

import (
	"context"
	"os"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/probation"
)

// Guard is called before each start of a target, by whatever starts it (`update-repo guard` does it for a
// unit's ExecStartPre). It counts the start as [Boot] does, which in turn takes what was counted here for its own.
// So a version that crashes before its main is given up, too, and one that does not embed the library.
// It returns whether the version before was brought back.
//
// Errors: those of the disk, and of [Rollback] if the backup cannot be brought back.
func Guard(ctx context.Context, opts ...Option) (back bool, err error) {
	c, target, err := targetConfig(opts)
	if err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, back, err = c.guard(target)
	return back, err
}

// guard counts a start, or goes back.
func (c *Config) guard(target string) (k counted, back bool, err error) {
	if sw, err := c.openSwap(target); err == nil {
		sw.Close() // mends what a crash left
	}
	record, err := c.record(target).Read()
	if err != nil || record.Current == nil {
		return k, false, err
	}
	trial := record.Current.N
	if k, err = c.count(target, probation.ByGuard, 0); err != nil || k.reason == "" {
		return k, false, err
	}
	if err := c.giveUp(target, trial, k.reason); err != nil {
		return k, false, cause.Errorf("going back (%s): %w", k.reason, err)
	}
	return k, true, nil
}

// GuardRun is [Guard], then a run of the target with args, then [GuardExit] with all that was seen: exit status and the last
// lines of standard error, which are passed on. Standard input is empty. When ctx ends the
// target is asked to end, as by an operator. It returns the target's exit code, 128 where a signal ended it.
//
// Errors: that of starting the target. Trouble with the record is told to the [Logger], and the target runs.
func GuardRun(ctx context.Context, args []string, opts ...Option) (code int, err error) {
	c, target, err := targetConfig(opts)
	if err != nil {
		return 0, err
	}
	k, _, err := c.guard(target)
	if err != nil {
		c.warn(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ch := &program{path: target, args: args, env: os.Environ(), out: os.Stdout, tee: os.Stderr}
	e, err := ch.run(context.Background(), func(p *os.Process) {
		context.AfterFunc(ctx, func() { terminate(p.Pid) })
	})
	if err != nil {
		return 0, err
	}
	exit := e.exit()
	exit.Meant = exit.Meant || ctx.Err() != nil
	if k.start != 0 {
		if err := c.ended(target, k.start, exit); err != nil {
			c.warn(err)
		}
	}
	if code = e.state.ExitCode(); code < 0 {
		code = 128
	}
	return code, nil
}

// Exit is how a program ended.
type Exit struct {
	// Meant says that it ended as somebody asked it to, or with success.
	Meant bool

	// How is its exit status, for people, and Output the last lines that it wrote.
	How    string
	Output []string
}

// GuardExit notes how the start ended that [Guard] counted last: what is meant does not count, and of
// the rest How and Output are kept as evidence.
//
// Errors: those of the disk.
func GuardExit(ctx context.Context, exit Exit, opts ...Option) error {
	c, target, err := targetConfig(opts)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.ended(target, 0, exit)
}

// ended settles start n, the last one where it is 0.
func (c *Config) ended(target string, n int, exit Exit) error {
	store := c.record(target)
	if r, err := store.Read(); err != nil || r.Current == nil {
		return onDisk(err)
	}
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		return onDisk(err)
	}
	defer unlock()
	r, err := store.Read()
	if err != nil || r.Current == nil {
		return onDisk(err)
	}
	t, now := r.Current, c.clock()
	if n == 0 {
		n = t.Last()
	}
	if exit.Meant {
		t.Leave(n, now)
	} else {
		t.Fail(n, probation.Failure{Time: now.Wall, Exit: exit.How, Output: exit.Output})
	}
	store.Bury(t.N, n)
	return onDisk(store.Put(r))
}

// exitOf says how a program ended.
func (e *ending) exit() Exit {
	return Exit{Meant: e.state.Success() || stopped(e.state), How: e.how(), Output: e.output.lines()}
}
