package channel

import (
	"errors"
	"slices"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// Window is a time of the week in which updates may be applied.
type Window struct {
	Days []time.Weekday // on which it begins; empty for all

	// From and To are times of day, from 0 to 24 h. Where To is not after From, the window ends on the next
	// day; the same for both is a whole day.
	From, To time.Duration

	Location *time.Location // nil for UTC
}

// Check tells what is wrong with a window.
func (w Window) Check() error {
	const day = 24 * time.Hour
	if w.From < 0 || w.From >= day || w.To < 0 || w.To > day {
		return cause.Errorf("an update window from %s to %s: times of day are from 0 to 24 h", w.From, w.To)
	}
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			return errors.New("an update window on a day that is none")
		}
	}
	return nil
}

// Open is the first time from t on that lies in one of the windows; t itself where there are none. A clock
// that is set forward or back in the window's location shifts it as that location's clocks do.
func Open(windows []Window, t time.Time) time.Time {
	if len(windows) == 0 {
		return t
	}
	var first time.Time
	for _, w := range windows {
		if at := w.open(t); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

func (w Window) open(t time.Time) time.Time {
	location := w.Location
	if location == nil {
		location = time.UTC
	}
	local := t.In(location)
	clock := func(day int, d time.Duration) time.Time {
		return time.Date(local.Year(), local.Month(), local.Day()+day, 0, 0, int(d/time.Second), 0, location)
	}
	for day := -1; day <= 8; day++ {
		from := clock(day, w.From)
		until := clock(day, w.To)
		if w.To <= w.From {
			until = clock(day+1, w.To)
		}
		weekday := clock(day, 12*time.Hour).Weekday()
		if len(w.Days) > 0 && !slices.Contains(w.Days, weekday) || !t.Before(until) {
			continue
		}
		if t.Before(from) {
			return from
		}
		return t
	}
	return t // a window that never opens: Check refuses those
}
