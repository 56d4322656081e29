package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// ErrLocked: another publisher has the lock of the store.
var ErrLocked = errors.New("locked by another publisher")

// Locker is a [Store] that can keep a second publisher away. Stores need not be able to.
type Locker interface {
	// Lock takes the lock without waiting, and fails with ErrLocked if someone
	// has it. unlock may be called more than once; the end of the process does the same.
	Lock(ctx context.Context) (unlock func(), err error)
}

// Yielder is a [Conditional] store in which who has written on a condition goes first for a while, since each change of turns takes time.
type Yielder interface {
	// Yield ends that. Its failure is none: the while ends by itself.
	Yield(ctx context.Context)
}

// The lock's name makes it invisible, as writes under way are.
const lockName = ".publisher-lock" + partSuffix

// Lock locks a file in the folder, which is made if it is not there.
func (d *Dir) Lock(ctx context.Context) (unlock func(), err error) {
	release, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	d.held.Store(true)
	return sync.OnceFunc(func() {
		d.held.Store(false)
		release()
	}), nil
}

func (d *Dir) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.makeFolders(d.path); err != nil {
		return nil, cause.Errorf("locking %s: %w", d, err)
	}
	f, err := disk.OS.OpenLock(filepath.Join(d.path, lockName))
	if err != nil {
		return nil, cause.Errorf("locking %s: %w", d, err)
	}
	ok, err := f.TryLock()
	if err == nil && !ok {
		err = ErrLocked
	}
	if err != nil {
		f.Close()
		return nil, cause.Errorf("locking %s: %w", d, err)
	}
	return func() {
		f.Unlock()
		f.Close()
	}, nil
}
