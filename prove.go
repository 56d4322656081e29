package updater

import (
	"context"
	"errors"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

const (
	proveFirst = 100 * time.Millisecond // between two health checks, at first
	proveLast  = 30 * time.Second       // and at most
)

// Prove calls the check set with [Health] until it succeeds, and confirms then. The pauses grow from
// a tenth of a second to half a minute. If it fails until the time of the probation is nearly over, the version
// goes back, with the check's last error as the reason; but if the version before failed its check, too,
// when the update began, this one is no worse, and is confirmed.
//
// Without a probation it returns at once.
//
// Errors: that of ctx; those of Confirm and Reject.
func (r *Running) Prove(ctx context.Context) error {
	if !r.OnProbation() {
		return nil
	}
	if r.c.health == nil {
		return errors.New("proving that the program works: no check is set, please use Health()")
	}
	for pause := proveFirst; ; pause = min(2*pause, proveLast) {
		left, _ := r.left()
		err := r.check(ctx, left)
		if err == nil {
			return r.Confirm()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		left, baseline := r.left()
		if left <= 2*proveFirst {
			return r.judge(err, baseline)
		}
		if err := sleep(ctx, min(pause, left-proveFirst)); err != nil {
			return err
		}
	}
}

// check calls the health check, which may take the time that is left.
func (r *Running) check(ctx context.Context, left time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(left-proveFirst, proveFirst))
	defer cancel()
	return r.c.health(ctx)
}

// judge decides about a version that failed its health check for as long as it could.
func (r *Running) judge(failed error, baseline string) error {
	if baseline == "" {
		return r.Reject(cause.Errorf("its health check fails: %w", failed))
	}
	r.c.warn(cause.Errorf("the health check fails (%w) as it did before the update (%s)", failed, baseline))
	return r.Confirm()
}

// left is the time of the probation that is left, and how the version before failed its check.
func (r *Running) left() (left time.Duration, baseline string) {
	record, err := r.store.Read()
	if err != nil || record.Current == nil || record.Current.N != r.trial {
		return 0, ""
	}
	return record.Current.Left(r.c.clock()), record.Current.Baseline
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
