package store

import (
	"context"
	"time"
)

// Watcher is a [Reader] whose store tells when a file changes.
type Watcher interface {
	Reader

	// Watch has a value on the channel after the file was written, one for several writes in a row. The
	// channel is closed when ctx ends, and when the watch is lost.
	Watch(ctx context.Context, name string) (<-chan struct{}, error)
}

// Watch calls changed each time that a file has another version than before, until ctx ends; the first time when it was read
// first. It looks every interval, and at once when a [Watcher] says so. That a look fails is nothing to report: the next one
// may not.
//
// A fleet that is told at once asks at once: changed should wait a random time if that is too much for the store.
func Watch(ctx context.Context, r Reader, name string, interval time.Duration, changed func()) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var pushed <-chan struct{}
	version, known := "", false
	for {
		if w, ok := r.(Watcher); ok && pushed == nil {
			pushed, _ = w.Watch(ctx, name) // without it there are the looks
		}
		if object, err := r.Open(ctx, name, Request{NoCache: true, Unless: version}); err == nil {
			object.Body.Close()
			if !known || object.Version != version || version == "" {
				version, known = object.Version, true
				changed()
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case _, open := <-pushed:
			if !open {
				pushed = nil
				select { // not more often than without
				case <-ctx.Done():
					return ctx.Err()
				case <-ticker.C:
				}
			}
		}
	}
}
