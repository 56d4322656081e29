package updater

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

// pauses has a loop end after n pauses, and keeps them.
func pauses(cancel context.CancelFunc, n int, list *[]time.Duration) Option {
	return func(c *Config) error {
		c.sleep = func(ctx context.Context, d time.Duration) error {
			if *list = append(*list, d); len(*list) > n {
				cancel()
			}
			return ctx.Err()
		}
		return nil
	}
}

func TestRun(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	target := install(t, old)
	ctx, cancel := context.WithCancel(t.Context())
	var list []time.Duration
	asked := 0
	ready := func(ctx context.Context, staged *Staged) error {
		switch asked++; asked {
		case 1:
			return nil // not now
		case 2:
			return errors.New("not yet")
		}
		_, err := staged.Apply(ctx)
		return err
	}
	var warnings []string
	listen := OnEvent(func(e Event) {
		if e.Step == StepWarning {
			warnings = append(warnings, e.Message)
		}
	})
	r.handle = func(w http.ResponseWriter, req *http.Request) bool {
		if len(list) < 4 { // the release is there at the fourth look
			http.NotFound(w, req)
			return true
		}
		return false
	}
	r.publish(t, new, nil)
	err := Run(ctx, ready, r.options(target, Every(time.Minute), pauses(cancel, 8, &list), listen)...)
	if !errors.Is(err, context.Canceled) || asked != 3 || string(read(t, target)) != string(new) {
		t.Errorf("%v; asked %d times", err, asked)
	}
	if len(list) != 9 || list[0] > 6*time.Second {
		t.Fatalf("pauses: %v", list)
	}
	// Three looks at nothing, which fail; "not now" is no failure, "not yet" is.
	for i, want := range []time.Duration{2, 4, 8, 1, 2, 1, 1, 1} {
		want *= time.Minute
		if got := list[i+1]; got < want*9/10 || got > want*11/10 {
			t.Errorf("pause %d is %v, want about %v (%v)", i+1, got, want, list)
		}
	}
	if len(warnings) < 3 {
		t.Errorf("warnings: %q", warnings)
	}
}

func TestRunPauses(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := &Config{interval: time.Hour, now: func() time.Time { return now }}
	for _, test := range []struct {
		failures int
		due      time.Time
		chance   float64
		want     time.Duration
	}{
		{0, time.Time{}, 0.5, time.Hour},
		{0, time.Time{}, 0, 54 * time.Minute},
		{0, time.Time{}, 1, 66 * time.Minute},
		{1, time.Time{}, 0.5, 2 * time.Hour},
		{3, time.Time{}, 0.5, 8 * time.Hour},
		{99, time.Time{}, 0.5, 8 * time.Hour},
		{0, now.Add(10 * time.Minute), 0.5, 10 * time.Minute},
		{0, now.Add(10 * time.Millisecond), 0.5, time.Second},
		{0, now.Add(-time.Minute), 0.5, time.Hour},
		{0, now.Add(24 * time.Hour), 0.5, time.Hour},
	} {
		if got := c.next(test.failures, test.due, test.chance); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
	if (&Config{}).every() != time.Hour {
		t.Error("the default is not an hour")
	}
}

// Two loops on one target would fetch, and decide, twice.
func TestRunTwice(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running, done := make(chan bool, 1), make(chan error)
	go func() {
		done <- Run(ctx, nil, r.options(target, Every(time.Hour), func(c *Config) error {
			c.sleep = func(ctx context.Context, d time.Duration) error { running <- true; <-ctx.Done(); return ctx.Err() }
			return nil
		})...)
	}()
	<-running
	if err := Run(ctx, nil, r.options(target)...); !errors.Is(err, ErrLooping) {
		t.Errorf("a second loop: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A check that finds nothing new is one small request, in a loop as well.
func TestRunRequests(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.follow(t, encoded(t, offering()))
	target := install(t, old)
	if _, err := ApplyContext(t.Context(), r.following(target)...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var list []time.Duration
	before := r.count()
	err := Run(ctx, func(context.Context, *Staged) error { return errors.New("nothing is new") },
		r.following(target, CurrentVersion("1.2.3"), pauses(cancel, 5, &list))...)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := r.count() - before; n != 5 {
		t.Errorf("5 checks made %d requests", n)
	}
}

// A moment at which a change is due is waited for.
func TestRunDue(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.follow(t, encoded(t, offering()))
	target := install(t, old)
	ctx, cancel := context.WithCancel(t.Context())
	var list []time.Duration
	err := Run(ctx, nil, r.following(target, HoldOff(time.Hour+10*time.Minute), pauses(cancel, 1, &list))...)
	if !errors.Is(err, context.Canceled) || len(list) != 2 || list[1] != 10*time.Minute {
		t.Errorf("%v, pauses %v at %v", err, list, fmt.Sprint(tuftest.Now))
	}
}
