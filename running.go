package updater

import (
	"context"
	"os"
	"os/signal"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/probation"
)

// OnProbation tells whether this version still has to be confirmed.
func (r *Running) OnProbation() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.start != 0 && !r.over
}

// Err says what went wrong in Boot; the program runs on all the same.
func (r *Running) Err() error { return r.err }

// Confirm says that this version works. It ends the probation, durably; a version that is not on probation
// need not be confirmed, and nothing happens.
//
// Errors: those of the disk. The version is on probation still.
func (r *Running) Confirm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start == 0 || r.over {
		return nil
	}
	if err := r.c.confirm(r.store, r.trial); err != nil {
		return err
	}
	r.end()
	return nil
}

// end stops the clock. The caller holds mu.
func (r *Running) end() {
	r.over = true
	r.timer.Stop()
	r.life.Unlock()
	r.life.Close()
	r.store.Bury(r.trial, r.start)
}

// confirm ends trial n, whichever it is where n is 0.
func (c *Config) confirm(store probation.Store, n int) error {
	unlock, err := store.Lock(lockTries, lockPause)
	if err != nil {
		return cause.Errorf("confirming: %w", onDisk(err))
	}
	defer unlock()
	record, err := store.Read()
	if err != nil {
		return onDisk(err)
	}
	t := record.Current
	switch {
	case t == nil || n != 0 && t.N != n:
		return nil
	case t.Back != "":
		return cause.Errorf("confirming: version %s is on its way back: %s", t.To.Version, t.Back)
	}
	e := record.Close(probation.Confirmed, "", c.clock().Wall)
	if err := store.Put(record); err != nil {
		return cause.Errorf("confirming: %w", onDisk(err))
	}
	store.DropBack()
	c.remember(store, &e)
	return nil
}

// Stop notes that the exit that follows is meant: an operator's stop does not count as a failure of the
// version. A deferred Stop notes nothing if the function panics.
//
// Errors: those of the disk.
func (r *Running) Stop() error {
	if p := recover(); p != nil {
		panic(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start == 0 || r.over {
		return nil
	}
	unlock, err := r.store.Lock(lockTries, lockPause)
	if err != nil {
		return cause.Errorf("noting a stop: %w", onDisk(err))
	}
	defer unlock()
	record, err := r.store.Read()
	if err != nil {
		return onDisk(err)
	}
	if t := record.Current; t != nil && t.N == r.trial {
		t.Leave(r.start, r.c.clock())
		if err := r.store.Put(record); err != nil {
			return cause.Errorf("noting a stop: %w", onDisk(err))
		}
	}
	r.end()
	return nil
}

// Context is [signal.NotifyContext] that notes, as Stop does, that the operator asked the program to end.
func (r *Running) Context(parent context.Context, signals ...os.Signal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, signals...)
	go func() {
		defer signal.Stop(caught)
		select {
		case <-ctx.Done():
		case <-caught:
			if err := r.Stop(); err != nil {
				r.c.warn(err)
			}
			cancel()
		}
	}()
	return ctx, cancel
}

// Reject says that this version does not work, and why: the backup comes back at once, this
// version is held, and the old one executed in its place. Where that succeeds Reject does not return.
// Without a probation it does nothing.
//
// Errors: those of [Rollback], and that of executing the old version.
func (r *Running) Reject(reason error) error {
	if !r.OnProbation() {
		return nil
	}
	return r.goBack(reason.Error())
}
