package updater

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/probation"
)

// selfTestEnv asks a program to test itself.
const selfTestEnv = "UPDATER_SELFTEST"

// selfTest is how a new version is tried before the swap.
type selfTest struct {
	timeout time.Duration
	check   func() error
	run     func(*Staged, context.Context) error
}

// SelfTest has the new version run once before the swap, in a mode in which it only tells whether it
// works: [Boot] in the new version answers, calls check, if there is one, and ends the process. A version that does not
// start, crashes before Boot, misses a library, does not answer in time or whose check fails is
// refused with [ErrSelfTest], and held. So the option takes part on both sides: in the version that updates with its timeout, at most
// what an update may wait; in the one that is tried with its check.
//
// The new version runs as this user, in the root folder, with only PATH, HOME, LANG, TMPDIR and what Windows
// needs in its environment, in a process group of its own that is killed in the end.
// Where the target's folder does not allow programs to be executed the update is refused with [ErrNoExec].
func SelfTest(timeout time.Duration, check func() error) Option {
	return func(c *Config) error {
		if timeout <= 0 {
			return cause.Errorf("a self-test of %v tests nothing", timeout)
		}
		c.selfTest = &selfTest{timeout, check, (*Staged).tryOut}
		if c.trials == nil {
			c.trials = useTrials()
		}
		return nil
	}
}

func selfTestSays(token string) string { return "updater self-test passed " + token }

// answer is what the program does that is tried. It returns the exit code.
func (c *Config) answer(token string) int {
	if c.selfTest != nil && c.selfTest.check != nil {
		if err := c.selfTest.check(); err != nil {
			fmt.Fprintln(os.Stderr, "self-test:", err)
			return 1
		}
	}
	fmt.Println(selfTestSays(token))
	return 0
}

// tryOut runs the staged binary.
func (s *Staged) tryOut(ctx context.Context) error {
	p, c := s.Plan, s.Plan.c
	if err := s.file.ReadOnly(); err != nil {
		return onDisk(err)
	}
	c.event(StepSelfTest, "trying version "+p.To)
	ctx, cancel := context.WithTimeout(ctx, c.selfTest.timeout)
	defer cancel()
	token := p.Spec.Sha256Hash[:16]
	ch := &program{path: s.file.Path(), env: append(cleanEnv(), selfTestEnv+"="+token), dir: root(p.Target)}
	e, err := ch.run(ctx, nil)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cause.Errorf("%w: %w", ErrNoExec, err)
	case err != nil && !cannotStart(err):
		return cause.Errorf("trying version %s: %w", p.To, err)
	case err != nil:
		return s.refuse(fmt.Sprintf("it cannot be started: %v", err), nil)
	case ctx.Err() == context.DeadlineExceeded:
		return s.refuse(fmt.Sprintf("no answer within %v; does it call Boot?", c.selfTest.timeout), e.output.lines())
	case ctx.Err() != nil:
		return ctx.Err()
	case !e.state.Success():
		return s.refuse(e.how(), e.output.lines())
	case !e.output.contains(selfTestSays(token)):
		return s.refuse("it ended without an answer; does it call Boot?", e.output.lines())
	}
	return nil
}

// refuse holds a version that failed its self-test.
func (s *Staged) refuse(how string, output []string) error {
	p, c := s.Plan, s.Plan.c
	if err := c.holdRefused(s, how, output); err != nil {
		c.warn(cause.Errorf("holding version %s: %w", p.To, err))
	}
	err := cause.Errorf("%w: version %s: %s", ErrSelfTest, p.To, how)
	if len(output) > 0 {
		err = cause.Errorf("%w; its last words: %s", err, output[len(output)-1])
	}
	return err
}

func (c *Config) holdRefused(s *Staged, how string, output []string) error {
	p, store := s.Plan, c.record(s.Plan.Target)
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := store.Mend(c.warn)
	if err != nil {
		return err
	}
	now, to := c.clock().Wall, probation.Binary{Version: p.To, SHA256: p.Spec.Sha256Hash}
	r.Last++
	r.Hold(to, "its self-test failed: "+how, now)
	c.remember(store, &probation.Evidence{
		N: r.Last, From: s.previous(), To: to, Outcome: probation.NotInstalled, Reason: "its self-test failed: " + how, Began: now, Ended: now,
		Failures: []probation.Failure{{Time: now, Exit: how, Output: output}},
	})
	return store.Put(r)
}

// cleanEnv is what a program needs at least.
func cleanEnv() (env []string) {
	for _, name := range strings.Fields("PATH HOME LANG TMPDIR SystemRoot SystemDrive TEMP TMP USERPROFILE") {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func root(path string) string { return filepath.VolumeName(path) + string(filepath.Separator) }
