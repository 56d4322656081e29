package updater

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/probation"
	"github.com/choria-io/go-updater/internal/swap"
)

// terms are those of a probation.
type terms struct {
	attempts int
	within   time.Duration
}

// trials is what an update does for probations.
type trials struct {
	held   func(c *Config, target, version, sum string) error
	probe  func(c *Config, target string) error
	begin  func(s *Staged, ctx context.Context) error
	settle func(s *Staged, sum string)
}

func useTrials() *trials {
	return &trials{(*Config).checkHeld, (*Config).probeState, (*Staged).beginTrial, (*Staged).settleTrial}
}

// Probation has the new version prove itself. It calls [Boot] first thing in main and
// [Running.Confirm] when it is sure that it works. If it ends uncleanly as often as
// attempts says, or has run for as long as within says without being confirmed, the
// backup comes back by itself, and the version is held: see [ErrHeld].
//
// What is needed for that is written to the state folder before the swap. Where it cannot be, the update is
// refused with the disk's error (ErrNotWritable, ErrReadOnly, ErrNoRoom).
//
// With 0 and 0 this version is trusted at once. What is on probation or held already is respected still, which
// without the option it is not.
func Probation(attempts int, within time.Duration) Option {
	return func(c *Config) error {
		c.trials = useTrials()
		if attempts == 0 && within == 0 {
			c.terms = nil
			return nil
		}
		if attempts < 1 || within < time.Second {
			return cause.Errorf("a probation of %d attempts within %v: at least one attempt and a second are needed", attempts, within)
		}
		c.terms = &terms{attempts, within}
		return nil
	}
}

// Health sets how the program tells whether it works. Where an update begins, check is called
// once by the version that is to be replaced: what that one fails at as well is no reason to go back from
// its successor. [Running.Prove] calls it in the new version.
func Health(check func(context.Context) error) Option {
	return func(c *Config) error {
		c.health = check
		return nil
	}
}

// AllowHeld lets a version be installed that is held.
func AllowHeld() Option {
	return func(c *Config) error {
		c.allowHeld = true
		return nil
	}
}

func (c *Config) clock() probation.Moment {
	if c.moment != nil {
		return c.moment()
	}
	boot, up := sinceBoot()
	return probation.Moment{Boot: boot, Up: up, Wall: time.Now().UTC().Truncate(time.Second)}
}

func (c *Config) record(target string) probation.Store {
	return probation.Store{FS: c.fs, Dir: c.stateFolder(target)}
}

// heldAt tells whether a version of the target, or the binary with this hash, is not to be installed, and why. Either may be empty.
func (c *Config) heldAt(target, version, sum string) (reason string, held bool) {
	r, err := c.record(target).Read()
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		c.warn(err)
	}
	h, held := r.Holds(version, sum)
	return h.Reason, held
}

func (c *Config) checkHeld(target, version, sum string) error {
	if c.allowHeld {
		return nil
	}
	reason, held := c.heldAt(target, version, sum)
	if !held {
		return nil
	}
	if version == "" {
		version = c.Version
	}
	return cause.Errorf("%w: %s on %s: %s", ErrHeld, version, target, reason)
}

// probeState finds out before the download whether the state folder can be written.
func (c *Config) probeState(target string) error {
	name := filepath.Join(c.stateFolder(target), "probe")
	if err := disk.WriteFile(c.fs, name, make([]byte, 4096)); err != nil {
		return cause.Errorf("a probation is impossible: %w", err)
	}
	return c.fs.Remove(name)
}

const (
	lockTries = 100
	lockSleep = 20 * time.Millisecond
)

func lockPause() { time.Sleep(lockSleep) }

// beginTrial writes what a probation needs before the swap. An update of a binary that is itself on
// probation leaves the backup as it is, which is the last one that proved itself.
func (s *Staged) beginTrial(ctx context.Context) error {
	p, c := s.Plan, s.Plan.c
	store := c.record(p.Target)
	if r, err := store.Read(); c.terms == nil && (err != nil || r.Current == nil) {
		return nil
	}
	baseline := c.baseline(ctx)
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := store.Mend(c.warn)
	if err != nil {
		return err
	}
	c.remember(store, r.Reconcile(s.old.binary.SHA256, c.clock().Wall))
	from := s.previous()
	if r.Current != nil {
		from = r.Current.From
		s.swap.KeepBackup()
		if from.SHA256 == p.Spec.Sha256Hash { // a recall: the version before has proved itself already
			return c.markBack(store, r, "version "+p.To+" was installed in its place")
		}
	}
	if c.terms == nil {
		return nil
	}
	if c.allowHeld {
		r.Release(p.To)
	}
	if r.Current == nil {
		store.Sweep()
	}
	r.New(&probation.Trial{
		From: from, To: probation.Binary{Version: p.To, SHA256: p.Spec.Sha256Hash}, Backup: swap.Backup(p.Target),
		Attempts: c.terms.attempts, Within: c.terms.within, Began: c.clock().Wall, Seen: c.clock(), Baseline: baseline,
	})
	if err := store.PrepareBack(r, "its starts could not be counted: the state folder could not be written"); err != nil {
		return err
	}
	return store.Put(r)
}

// previous is that in the terms of a probation.
func (s *Staged) previous() probation.Binary {
	old := s.replaced()
	return probation.Binary{Version: old.Version, SHA256: old.SHA256}
}

// baseline is how the running version fails its health check, empty if it does not.
func (c *Config) baseline(ctx context.Context) string {
	if c.health == nil || c.terms == nil {
		return ""
	}
	if err := c.health(ctx); err != nil {
		c.warn(cause.Errorf("the current version fails its health check: %w", err))
		return err.Error()
	}
	return ""
}

// settleTrial brings the record in line with what the swap did.
func (s *Staged) settleTrial(sum string) {
	c := s.Plan.c
	if err := c.reconcile(c.record(s.Plan.Target), sum); err != nil {
		c.warn(cause.Errorf("bringing the record of the probation in line: %w", err))
	}
}

// reconcile brings the record in line with the target's hash. Where no version is on probation it leaves no trace, not
// even a lock's file.
func (c *Config) reconcile(store probation.Store, sum string) error {
	if r, err := store.Read(); err != nil || r.Current == nil {
		return err
	}
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := store.Read()
	if err != nil || r.Current == nil {
		return err
	}
	return c.align(store, r, sum)
}

// align ends the trial in a record if the target's hash says that it is over.
func (c *Config) align(store probation.Store, r *probation.Record, sum string) error {
	before := r.Current
	if e := r.Reconcile(sum, c.clock().Wall); e != nil || r.Current != before {
		return c.close(store, r, e)
	}
	return nil
}

// close writes a record of which a trial has ended.
func (c *Config) close(store probation.Store, r *probation.Record, e *probation.Evidence) error {
	c.remember(store, e)
	if err := store.Put(r); err != nil {
		return err
	}
	store.DropBack()
	return nil
}

// remember keeps evidence, as well as that can be done.
func (c *Config) remember(store probation.Store, e *probation.Evidence) {
	if e == nil {
		return
	}
	for n := range e.Starts {
		store.Bury(e.N, n+1)
	}
	if err := store.Remember(*e); err != nil {
		c.warn(cause.Errorf("keeping the evidence of a probation: %w", err))
	}
}

// Unhold gives a held version free, so that it can be installed again. It tells whether it was held.
//
// Errors: those of the disk.
func Unhold(ctx context.Context, version string, opts ...Option) (bool, error) {
	c, target, err := targetConfig(opts)
	if err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	store := c.record(target)
	if r, err := store.Read(); err == nil && !r.Release(version) {
		return false, nil
	}
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		return false, onDisk(err)
	}
	defer unlock()
	r, err := store.Read()
	if err != nil || !r.Release(version) {
		return false, onDisk(err)
	}
	return true, onDisk(store.Put(r))
}
