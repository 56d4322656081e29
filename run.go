package updater

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/swap"
)

// ErrLooping: another loop, in this process or another, looks for updates of the same target.
var ErrLooping = errors.New("another loop updates this target")

const (
	defaultInterval = time.Hour
	slowest         = 8 // intervals that failures may stretch a pause to
)

// Every sets the interval of [Run], an hour by default and a second at least.
func Every(interval time.Duration) Option {
	return func(c *Config) error {
		if interval < time.Second {
			return cause.Errorf("looking for updates every %v: a second is the least", interval)
		}
		c.interval = interval
		return nil
	}
}

// Run looks for updates until ctx ends, and hands each one that is staged to ready, which decides: it applies
// it and restarts the program (see [Restart]), or applies it and leaves the restart for later, or does
// nothing, and is asked again an interval later. What it does not apply is closed.
//
// The pauses are those of [Every], a tenth more or less, the first one shorter; where a [Channel] names the moment at which a
// change is due, the next check is then. After each failure in a row they double, up to eight
// intervals. Failures, ready's among them, are told as warnings; a version that is held is none.
// With a channel a check that finds nothing new costs one request of a few hundred bytes.
//
// One loop runs for a target on a machine: the second gets ErrLooping. Other errors: an invalid
// configuration, a state folder that cannot be written, and in the end that of ctx.
func Run(ctx context.Context, ready func(context.Context, *Staged) error, opts ...Option) error {
	c, err := contextConfig(opts)
	if err != nil {
		return err
	}
	unlock, err := c.lockLoop()
	if err != nil {
		return err
	}
	defer unlock()
	pause := time.Duration(rand.Int64N(int64(c.every())/10 + 1))
	for failures := 0; ; {
		if err := c.wait(ctx, pause); err != nil {
			return err
		}
		due, err := once(ctx, ready, opts)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil || errors.Is(err, ErrHeld):
			failures = 0
		default:
			failures++
			c.warn(cause.Errorf("looking for an update: %w", err))
		}
		pause = c.next(failures, due, rand.Float64())
	}
}

func (c *Config) every() time.Duration {
	if c.interval == 0 {
		return defaultInterval
	}
	return c.interval
}

func (c *Config) wait(ctx context.Context, d time.Duration) error {
	if c.sleep != nil {
		return c.sleep(ctx, d)
	}
	return sleep(ctx, d)
}

// next is the pause before the next check; chance is from 0 to 1.
func (c *Config) next(failures int, due time.Time, chance float64) time.Duration {
	interval := c.every()
	pause := interval
	for range failures {
		pause = min(2*pause, slowest*interval)
	}
	pause = time.Duration(float64(pause) * (0.9 + 0.2*chance))
	if until := due.Sub(c.now()); !due.IsZero() && until > 0 && until < pause {
		pause = max(until, time.Second)
	}
	return pause
}

// once looks for an update. It returns when a change is due that has to wait, if one has.
func once(ctx context.Context, ready func(context.Context, *Staged) error, opts []Option) (due time.Time, err error) {
	plan, err := Check(ctx, opts...)
	if err != nil {
		return due, err
	}
	if plan.Offer != nil {
		due = plan.Offer.Due
	}
	if plan.UpToDate {
		return due, nil
	}
	staged, err := plan.Stage(ctx)
	if err != nil {
		return due, err
	}
	defer staged.Close()
	return due, ready(ctx, staged)
}

// lockLoop makes sure that there is one loop.
func (c *Config) lockLoop() (unlock func(), err error) {
	target, err := resolve(c.TargetFile)
	if err != nil {
		return nil, err
	}
	folder := c.stateFolder(target)
	if err := swap.OpenFolder(c.fs, folder, filepath.Dir(target)); err != nil {
		return nil, onDisk(err)
	}
	f, err := c.fs.OpenLock(filepath.Join(folder, "loop.lock"))
	if err != nil {
		return nil, onDisk(err)
	}
	ok, err := f.TryLock()
	if err == nil && !ok {
		err = cause.Errorf("%w: %s", ErrLooping, target)
	}
	if err != nil {
		f.Close()
		return nil, onDisk(err)
	}
	return func() { f.Unlock(); f.Close() }, nil
}
