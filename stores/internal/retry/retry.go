// Package retry makes requests again that another try may mend.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	tries   = 8
	first   = 100 * time.Millisecond
	longest = 5 * time.Second
)

// Do calls f until it succeeds, fails with an error that is not temporary, or has failed 8 times in a row. The pauses
// double from 0.1 s to 5 s, of which a random half is waited.
func Do(ctx context.Context, temporary func(error) bool, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		if err == nil || n+1 == tries || !temporary(err) {
			return err
		}
		pause := min(longest, first<<n)
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
