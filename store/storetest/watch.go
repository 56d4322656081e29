package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
)

// Watches checks that a change is told of. Stores that are no [store.Watcher] are looked at ten times a second here; one that is has
// to say so by itself.
func Watches(t *testing.T, s store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	interval := 100 * time.Millisecond
	if _, ok := s.(store.Watcher); ok {
		interval = time.Hour
	}
	told := make(chan struct{}, 100)
	done := make(chan error)
	go func() { done <- store.Watch(ctx, s, "channels/stable.json", interval, func() { told <- struct{}{} }) }()
	time.Sleep(200 * time.Millisecond)
	for i := range 3 {
		if err := s.Put(ctx, "channels/other.json", strings.NewReader("other")); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(ctx, "channels/stable.json", strings.NewReader(strings.Repeat("x", i))); err != nil {
			t.Fatal(err)
		}
		select {
		case <-told:
		case <-ctx.Done():
			t.Fatalf("nobody was told of change %d", i)
		}
	}
	select {
	case <-told:
		t.Error("told of a change that was none")
	case <-time.After(300 * time.Millisecond):
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("the watch ended with %v", err)
	}
}
