package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/choria-io/go-updater/store"
)

func TestLock(t *testing.T) {
	ctx := context.Background()
	folder := filepath.Join(t.TempDir(), "not", "there", "yet")
	mem := &store.Mem{}
	for name, open := range map[string]func() store.Store{
		"dir": func() store.Store { return store.NewDir(folder) },
		"mem": func() store.Store { return mem },
	} {
		first, second := open().(store.Locker), open().(store.Locker)
		unlock, err := first.Lock(ctx)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := second.Lock(ctx); !errors.Is(err, store.ErrLocked) {
			t.Errorf("%s: locked twice: %v", name, err)
		}
		if list, err := open().List(ctx, ""); err != nil || len(list) != 0 {
			t.Errorf("%s: the lock is visible: %v, %v", name, list, err)
		}
		unlock()
		unlock()
		if unlock, err = second.Lock(ctx); err != nil {
			t.Errorf("%s: after unlock: %v", name, err)
			continue
		}
		unlock()
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := first.Lock(canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: canceled: %v", name, err)
		}
	}
}

// A link that someone planted is not followed.
func TestLockLink(t *testing.T) {
	folder := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Symlink(victim, filepath.Join(folder, ".publisher-lock.part")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.NewDir(folder).Lock(context.Background()); err == nil {
		t.Error("locked a link")
	}
	if _, err := os.Lstat(victim); err == nil {
		t.Error("the link was followed")
	}
}
