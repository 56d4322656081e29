package updater

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
)

// An update that ends early leaves nobody reading.
func TestOldBinaryIsLeftAlone(t *testing.T) {
	target := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(target, make([]byte, 50*copyBuffer), 0o600); err != nil {
		t.Fatal(err)
	}
	var reads, reading atomic.Int64
	fsys := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
		if op.Kind == "read" {
			reads.Add(1)
			reading.Add(1)
			time.Sleep(20 * time.Millisecond)
			reading.Add(-1)
		}
		return nil
	}})
	old, err := readOld(context.Background(), fsys, target)
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); reads.Load() == 0 && time.Since(began) < time.Minute; { // on a busy machine it takes a while
		time.Sleep(time.Millisecond)
	}
	old.close()
	if still, n := reading.Load(), reads.Load(); still != 0 || n == 0 || n > 40 {
		t.Errorf("%d reads of 51 when it was closed, %d of them not yet over", n, still)
	}
}

// What was replaced is remembered, so that the backup's version is known.
func TestBackupIsKnown(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	if _, err := ApplyContext(context.Background(), r.options(target, CurrentVersion("1.0.0"))...); err != nil {
		t.Fatal(err)
	}
	status, err := Inspect(context.Background(), TargetFile(target))
	if err != nil || status.Version != "1.2.3" || status.SHA256 != sum(new) || status.BackupVersion != "1.0.0" || status.BackupSHA256 != sum(old) {
		t.Errorf("%+v, %v", status, err)
	}
}

// The oldest backup goes; the others move up, under either strategy.
func TestBackups(t *testing.T) {
	for _, away := range []bool{false, true} {
		r := newRepo(t)
		target := install(t, []byte("0"))
		backups := func() (all string) {
			for _, name := range []string{".backup", ".backup.2", ".backup.3", ".backup.4"} {
				data, _ := os.ReadFile(target + name)
				all += string(data)
			}
			return all
		}
		for i, want := range []string{"0", "10", "210", "321", "43", "5"} {
			keep := 3 - max(0, i-3)
			r.publish(t, []byte{byte('1' + i)}, nil)
			_, err := ApplyContext(t.Context(), r.options(target, Backups(max(keep, 1)), func(c *Config) error { c.renameAway = away; return nil })...)
			if err != nil {
				t.Fatal(err)
			}
			if got := backups(); got != want {
				t.Errorf("away %v, update %d, %d kept: the backups are %q, want %q", away, i+1, keep, got, want)
			}
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(target), ".tool.updater-*")); err != nil || len(left) != 0 {
			t.Errorf("left: %v %v", left, err)
		}
	}
	if _, err := Check(t.Context(), SourceRepo("x"), Version("1"), Backups(0)); err == nil {
		t.Error("no backup at all is allowed")
	}
}
