package updater

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/probation"
	"github.com/choria-io/go-updater/internal/swap"
)

// Rollback makes the backup the target again; the backup stays. Of the options only those that
// concern the target and messages matter.
//
// Errors: ErrNoBackup, ErrBusy, ErrHash if the backup is not the binary that
// was backed up, ErrUnsafeFolder if nothing is known of it and it is another user's, ErrNotDurable, and those of the disk.
func Rollback(ctx context.Context, opts ...Option) (*Status, error) {
	c, target, err := targetConfig(opts)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := swap.Open(swap.Options{
		FS: c.fs, Target: target, StateDir: c.stateDir,
		RenameAway: c.renameAway, AllowMissing: true, Warn: c.warn,
	})
	if err != nil {
		return nil, onDisk(err)
	}
	defer s.Close()
	c.event(StepRollback, "rolling "+target+" back")
	c.rejectByHand(target)
	err = s.Rollback()
	if err != nil && !errors.Is(err, ErrNotDurable) {
		return nil, cause.Errorf("rolling %s back: %w", target, onDisk(err))
	}
	c.event(StepDone, target+" is rolled back")
	if sum, herr := swap.HashFile(c.fs, target); herr == nil {
		if rerr := c.reconcile(c.record(target), sum); rerr != nil {
			c.warn(rerr)
		}
	}
	status, serr := c.status(target)
	if serr != nil {
		c.warn(serr) // of what is done already
		status = &Status{Target: target}
	}
	return status, err
}

// rejectByHand has a version on probation held that somebody rolls back.
func (c *Config) rejectByHand(target string) {
	store := c.record(target)
	if r, err := store.Read(); err != nil || r.Current == nil {
		return
	}
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		c.warn(err)
		return
	}
	defer unlock()
	r, err := store.Read()
	if err == nil && r.Current != nil {
		err = c.markBack(store, r, "somebody rolled it back")
	}
	if err != nil {
		c.warn(cause.Errorf("noting the rollback: %w", err))
	}
}

// Status is what is known about a target on this machine.
type Status struct {
	Target  string    `json:"target"`
	Version string    `json:"version,omitempty"` // empty where unknown
	SHA256  string    `json:"sha256"`
	Size    int64     `json:"size"`             // bytes
	Updated time.Time `json:"updated,omitzero"` // when it was last swapped

	Backup        string `json:"backup,omitempty"` // its path, empty where there is none
	BackupVersion string `json:"backup_version,omitempty"`
	BackupSHA256  string `json:"backup_sha256,omitempty"`

	Probation *Trial     `json:"probation,omitempty"` // nil: the target is trusted
	Held      []Held     `json:"held,omitempty"`
	History   []Evidence `json:"history,omitempty"` // of the last probations, oldest first
}

// What is known about probations: see [Probation] and docs/PROBATION.md.
type (
	// Trial is a version that has to prove itself, with all that is known about its starts.
	Trial = probation.Trial

	// Held is a version that is not to be installed again, and why.
	Held = probation.Held

	// Evidence is how a probation ended: when, why, and how the version ended each time.
	Evidence = probation.Evidence
)

// Inspect tells what stands at the target's path, and what it could be rolled
// back to. It changes nothing and takes no lock.
//
// Errors: ErrTargetMissing, and those of the disk.
func Inspect(ctx context.Context, opts ...Option) (*Status, error) {
	c, target, err := targetConfig(opts)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.status(target)
}

// targetConfig is the configuration of the doors that ask no repository.
func targetConfig(opts []Option) (*Config, string, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, "", cause.Errorf("invalid updater configuration: %w", err)
	}
	if c.Log == nil {
		c.Log = silent
	}
	target, err := resolve(c.TargetFile)
	return c, target, err
}

func (c *Config) status(target string) (*Status, error) {
	info, err := c.fs.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cause.Errorf("%w: %s", ErrTargetMissing, target)
	}
	if err != nil {
		return nil, err
	}
	s := &Status{Target: target, Size: info.Size()}
	file, err := swap.Identify(c.fs, target)
	if err != nil {
		return nil, err
	}
	state, err := swap.ReadState(c.fs, c.stateFolder(target))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		c.warn(cause.Errorf("reading the state of %s: %w", target, err))
	}
	s.SHA256, s.Version, s.Updated = file.SHA256, state.VersionOf(file), state.Time

	backup := swap.Backup(target)
	if file, err := swap.Identify(c.fs, backup); err == nil {
		s.Backup, s.BackupSHA256, s.BackupVersion = backup, file.SHA256, state.VersionOf(file)
	}
	c.addProbation(s)
	return s, nil
}

// addProbation adds what is known about probations. Where it cannot be read the rest is true all the same.
func (c *Config) addProbation(s *Status) {
	store := c.record(s.Target)
	record, err := store.Read()
	if err == nil {
		s.Probation, s.Held = record.Current, record.Held
		s.History, err = store.History()
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		c.warn(err)
	}
}
