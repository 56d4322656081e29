package repo

import (
	"context"
	"errors"
	"fmt"

	"github.com/choria-io/go-updater/store"
)

// lock keeps other publishers away where the store can do that. Elsewhere the timestamp is
// replaced on condition that it is the one that was read, so that of two publishers one is told.
func (r *Repo) lock(ctx context.Context) (unlock func(), err error) {
	l, ok := r.store.(store.Locker)
	if !ok {
		return func() {
			if y, ok := r.store.(store.Yielder); ok {
				y.Yield(ctx)
			}
		}, nil
	}
	unlock, err = l.Lock(ctx)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return unlock, err
}

// begin takes the lock and loads the metadata; the latter is nil if there is none.
func (r *Repo) begin(ctx context.Context) (unlock func(), base *signed, err error) {
	unlock, err = r.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	if base, err = r.load(ctx, false); err != nil {
		unlock()
		return nil, nil, err
	}
	return unlock, base, nil
}
