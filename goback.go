package updater

import (
	"context"
	"errors"
	"fmt"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/probation"
	"github.com/choria-io/go-updater/internal/swap"
)

// goBack ends the probation: the backup takes the target's place and is executed instead
// of this process. It returns only if that fails.
func (r *Running) goBack(reason string) error {
	if err := r.c.giveUp(r.target, r.trial, reason); err != nil {
		return cause.Errorf("going back (%s): %w", reason, err)
	}
	return r.execute()
}

// execute executes what stands at the target's path, unless it is still the version on probation: then
// somebody confirmed it meanwhile.
func (r *Running) execute() error {
	sum, err := swap.HashFile(r.c.fs, r.target)
	if err != nil {
		return cause.Errorf("hashing the target: %w", err)
	}
	if sum == r.sum {
		return nil
	}
	if err := r.c.reexec(r.target); err != nil {
		return cause.Errorf("executing %s: %w", r.target, err)
	}
	return nil
}

// giveUp brings the backup back, if trial n is still the current one, and holds its version. What is
// written says at each moment how to go on: first that it goes back, then, after the
// swap, that it did.
func (c *Config) giveUp(target string, n int, reason string) error {
	sw, err := c.openSwap(target)
	if err != nil {
		return onDisk(err)
	}
	defer sw.Close()
	store := c.record(target)
	unlock, err := store.Lock(lockTries, lockPause)
	switch {
	case errors.Is(err, probation.ErrBusy):
		return err
	case err != nil:
		c.warn(err) // the target's own lock is held: the disk is full, perhaps
	default:
		defer unlock()
	}
	record, err := store.Read()
	if err != nil {
		return onDisk(err)
	}
	t := record.Current
	if t == nil || t.N != n {
		return nil // another process was faster
	}
	if err := c.markBack(store, record, reason); err != nil {
		c.warn(cause.Errorf("noting that version %s goes back: %w", t.To.Version, err))
	}
	if err := c.bringBack(sw, target, t); err != nil && !errors.Is(err, ErrNotDurable) {
		return onDisk(err)
	}
	e := record.Close(probation.RolledBack, reason, c.clock().Wall)
	if err := c.close(store, record, &e); err != nil {
		c.warn(cause.Errorf("noting that version %s went back: %w", t.To.Version, onDisk(err)))
	}
	return nil
}

// markBack makes sure that from now on everybody knows that the trial goes back.
func (c *Config) markBack(store probation.Store, record *probation.Record, reason string) error {
	if record.Current.Back != "" {
		return nil
	}
	record.Current.Back = reason
	err := store.Put(record)
	if err == nil {
		return nil
	}
	if merr := store.MarkBack(record.Current.N); merr != nil {
		return cause.Join(err, merr)
	}
	return nil
}

// bringBack is the rollback, after a look at the backup.
func (c *Config) bringBack(sw *swap.Swap, target string, t *probation.Trial) error {
	sum, err := swap.HashFile(c.fs, swap.Backup(target))
	if err != nil {
		return cause.Errorf("%w: %w", ErrNoBackup, err)
	}
	if sum != t.From.SHA256 {
		return cause.Errorf("%w: %w: sha256 is %s, not %s", swap.ErrBackup, ErrHash, sum, t.From.SHA256)
	}
	c.event(StepRollback, fmt.Sprintf("rolling %s back from version %s", target, t.To.Version))
	return sw.Rollback()
}

// Confirm ends the probation of a target, as [Running.Confirm] does for the running program. It is
// for what looks after programs that do not embed the library.
//
// Errors: those of the disk.
func Confirm(ctx context.Context, opts ...Option) error {
	c, target, err := targetConfig(opts)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	store := c.record(target)
	if r, err := store.Read(); err == nil && r.Current == nil {
		return nil // perhaps nothing was updated yet, and there is no folder for a lock
	}
	return c.confirm(store, 0)
}
