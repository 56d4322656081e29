package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// watch ends a request that hangs. Before the body it allows Header, then Idle
// from one byte to the next.
type watch struct {
	cancel context.CancelCauseFunc
	t      Timeouts

	mu      sync.Mutex
	timer   *time.Timer
	started time.Time // of the window over which the rate is averaged
	bytes   int64
}

func newWatch(cancel context.CancelCauseFunc, t Timeouts) *watch {
	w := &watch{cancel: cancel, t: t}
	// Connecting and shaking hands have limits of their own, within this one.
	if t.Header > 0 {
		w.arm(t.Dial+t.TLS+t.Header, "no answer")
	}
	return w
}

func (w *watch) arm(d time.Duration, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timer = time.AfterFunc(d, func() { w.cancel(cause.Errorf("%w: %s for %v", ErrStalled, what, d)) })
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// body says that the answer has begun.
func (w *watch) body() {
	w.stop()
	w.started = time.Now()
	if w.t.Idle > 0 {
		w.arm(w.t.Idle, "no byte")
	}
}

// got counts bytes, and complains when too few came in the last window. Time that the caller
// spent elsewhere is in there too, which MinRate is low enough for.
func (w *watch) got(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.timer != nil {
		w.timer.Reset(w.t.Idle)
	}
	w.bytes += int64(n)
	took := time.Since(w.started)
	if w.t.MinRate <= 0 || w.t.RateWindow <= 0 || took < w.t.RateWindow {
		return nil
	}
	if rate := float64(w.bytes) / took.Seconds(); rate < float64(w.t.MinRate) {
		return cause.Errorf("%w: %.0f bytes per second, less than %d", ErrStalled, rate, w.t.MinRate)
	}
	w.started, w.bytes = time.Now(), 0
	return nil
}

// body is an answer's body under watch.
type body struct {
	body   io.ReadCloser
	watch  *watch
	ctx    context.Context
	cancel context.CancelCauseFunc
	left   int64 // of Content-Length, -1 unknown
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	if err == nil {
		err = b.watch.got(n)
		if err != nil {
			b.cancel(err)
		}
		return n, err
	}
	if err == io.EOF && b.left <= 0 {
		return n, io.EOF
	}
	why := context.Cause(b.ctx)
	switch {
	case errors.Is(why, ErrStalled):
		return n, why
	case b.ctx.Err() != nil:
		return n, b.ctx.Err()
	}
	return n, cause.Errorf("%w: %w", ErrCut, err)
}

func (b *body) Close() error {
	b.watch.stop()
	b.cancel(nil)
	return b.body.Close()
}
