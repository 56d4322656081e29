package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// ErrConflict: the file is not what a [Conditional] write was to replace. Someone else has written it; read it
// anew and decide again. After a connection that was cut, the someone may have been oneself.
var ErrConflict = errors.New("someone else has written the file meanwhile")

// Conditional is a [Store] that can make a write depend on what is there. It is how one of two
// publishers wins where no lock can be had.
type Conditional interface {
	Store

	// PutIf is Put on the condition that the file has the version that an Open gave, or, where version is
	// empty, that there is no such file. Otherwise nothing is written and the error wraps ErrConflict.
	// Of several at once with the same condition exactly one succeeds; a Put, which has no condition, may come between.
	PutIf(ctx context.Context, name string, r io.Reader, version string) error
}

// PutIf writes a file on a condition. Where the store is not [Conditional] the condition is checked before the
// file is written, which catches all but the closest of races.
func PutIf(ctx context.Context, s Store, name string, r io.Reader, version string) error {
	if c, ok := s.(Conditional); ok {
		return c.PutIf(ctx, name, r, version)
	}
	if err := conflicts(ctx, s, name, version); err != nil {
		return err
	}
	return s.Put(ctx, name, r)
}

// conflicts compares the version of a file with the one that it should have.
func conflicts(ctx context.Context, s Store, name, version string) error {
	is := ""
	object, err := s.Open(ctx, name, Request{NoCache: true})
	if err == nil {
		is = object.Version
		object.Body.Close()
		if version != "" && is == version {
			return nil
		}
		return conflict(s, name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if version != "" {
		return conflict(s, name)
	}
	return nil
}

func conflict(s fmt.Stringer, name string) error {
	return cause.Errorf("putting %s in %s: %w", name, s, ErrConflict)
}

// lockPoll is how often a folder's lock is asked for again.
const lockPoll = 5 * time.Millisecond

// PutIf takes the lock of the folder for as long as it needs to compare and rename, unless Lock has it already.
func (d *Dir) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	return d.write(ctx, name, r, func() (func(), error) {
		unlock, err := d.hold(ctx)
		if err != nil {
			return nil, err
		}
		if err := conflicts(ctx, d, name, version); err != nil {
			unlock()
			return nil, err
		}
		return unlock, nil
	})
}

// hold waits for the folder's lock, or finds that this Dir has it.
func (d *Dir) hold(ctx context.Context) (unlock func(), err error) {
	d.turn.Lock()
	for !d.held.Load() {
		unlock, err := d.lock(ctx)
		if err == nil {
			return func() { unlock(); d.turn.Unlock() }, nil
		}
		if errors.Is(err, ErrLocked) {
			err = pauseFor(ctx, lockPoll)
		}
		if err != nil {
			d.turn.Unlock()
			return nil, err
		}
	}
	return d.turn.Unlock, nil
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// PutIf stores a file on a condition.
func (m *Mem) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	data, err := io.ReadAll(&contextReader{ctx, r})
	if err != nil {
		return cause.Errorf("putting %s in %s: %w", name, m, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, there := m.files[name]
	if there && version != versionOf(old) || !there && version != "" {
		return conflict(m, name)
	}
	m.put(name, data)
	return nil
}
