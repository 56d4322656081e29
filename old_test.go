package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
	"github.com/choria-io/go-updater/internal/swap"
)

// countReads counts the reads of the target, and calls before before each.
func countReads(target string, n *int, before func()) Option {
	return func(c *Config) error {
		c.fs = disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
			if op.Kind == "read" && op.Path == target {
				*n++
				before()
			}
			return nil
		}})
		return nil
	}
}

// An update that is cancelled stops reading the old binary.
func TestOldBinaryIsLeftAlone(t *testing.T) {
	_, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, make([]byte, 50*copyBuffer))
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	count := countReads(target, &reads, func() {
		if reads == 10 {
			cancel()
		}
	})
	if _, err := ApplyContext(ctx, r.options(target, count)...); !errors.Is(err, context.Canceled) || reads != 10 {
		t.Errorf("%d reads, %v", reads, err)
	}
}

// What an update has to know of the old binary is read once: by a CRC-32 unless somebody needs more.
func TestOldBinaryIsReadOnce(t *testing.T) {
	v1, v2, _ := versions(t)
	once := len(v1)/(128<<10) + 4 // its pieces, the end, its header
	for name, c := range map[string]struct {
		old    []byte
		deltas []string
		opts   []Option
		spoil  func(target string)
		sha    bool
		most   int
	}{
		"plain":              {append(v1, 0), nil, nil, nil, false, once},
		"on probation":       {append(v1, 0), nil, []Option{Probation(1, time.Minute)}, nil, true, once},
		"of the same size":   {v1, nil, nil, nil, true, once},
		"with a delta":       {v1, []string{"1.2.2"}, nil, nil, true, once},
		"changed after that": {v1, []string{"1.2.2"}, nil, func(target string) { os.Chtimes(target, time.Now(), time.Unix(1, 0)) }, false, 2 * once},
	} {
		r := newDeltaRepo(t)
		r.add(t, "1.2.2", v1)
		r.add(t, "1.2.3", v2, c.deltas...)
		target, reads := install(t, c.old), 0
		spoil := OnEvent(func(e Event) {
			if e.Step == StepPlan && c.spoil != nil {
				c.spoil(target)
			}
		})
		opts := append(c.opts, countReads(target, &reads, func() {}), spoil, CurrentVersion("1.2.2"))
		if _, err := ApplyContext(t.Context(), r.options(target, opts...)...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		state, err := swap.ReadState(disk.OS, swap.StateDir(target))
		want := swap.Binary{Version: "1.2.2", CRC32: fmt.Sprintf("%08x", crc32.ChecksumIEEE(c.old))}
		if c.sha {
			want = swap.Binary{Version: "1.2.2", SHA256: sum(c.old)}
		}
		if err != nil || state.Previous != want || reads > c.most {
			t.Errorf("%s: %+v, %v, %d reads, more than %d", name, state.Previous, err, reads, c.most)
		}
	}
}

// A rollback takes nothing for the backup but what was backed up, however that is remembered.
func TestRollbackOfAnotherFile(t *testing.T) {
	old, new := buildPrograms(t)
	old = append(old, 0) // of another size, so that nothing else makes its SHA-256
	r := newRepo(t)
	r.publish(t, new, nil)
	for name, opts := range map[string][]Option{"by its CRC-32": nil, "by its SHA-256": {Probation(0, 0)}} {
		for _, flip := range []int{0, len(old) / 2, len(old) - 1} {
			target := install(t, old)
			if _, err := ApplyContext(t.Context(), r.options(target, opts...)...); err != nil {
				t.Fatal(err)
			}
			damaged := bytes.Clone(old)
			damaged[flip] ^= 1
			for _, backup := range [][]byte{damaged, old[:len(old)-1], new} {
				if err := os.WriteFile(target+".backup", backup, 0o751); err != nil {
					t.Fatal(err)
				}
				if _, err := Rollback(t.Context(), TargetFile(target)); !errors.Is(err, ErrHash) || !errors.Is(err, swap.ErrBackup) ||
					!strings.Contains(Hint(err), "leave this backup") || !bytes.Equal(read(t, target), new) {
					t.Fatalf("%s: a backup of %d bytes: %v", name, len(backup), err)
				}
			}
			if err := os.WriteFile(target+".backup", old, 0o751); err != nil {
				t.Fatal(err)
			}
			status, err := Rollback(t.Context(), TargetFile(target))
			if err != nil || status.SHA256 != sum(old) {
				t.Fatalf("%s: %+v, %v", name, status, err)
			}
		}
	}
}

// A target that is gone is no reason to put another file in its place than was backed up.
func TestRollbackWithoutTarget(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	for name, c := range map[string]struct {
		backup []byte
		want   error
	}{
		"the backup": {old, nil},
		"what was installed, as an update leaves it that fails then": {new, nil},
		"another": {[]byte("evil"), swap.ErrBackup},
	} {
		for _, away := range []bool{false, true} {
			opts := r.options(install(t, old), func(c *Config) error { c.renameAway = away; return nil })
			if _, err := ApplyContext(t.Context(), opts...); err != nil {
				t.Fatal(err)
			}
			status, err := Inspect(t.Context(), opts...)
			if err != nil {
				t.Fatal(err)
			}
			target := status.Target
			if err := os.Remove(target); err != nil {
				t.Fatal(err)
			}
			if away { // which Open mends by itself, where it was an update that ended there
				if err := os.Remove(filepath.Join(swap.StateDir(target), "state.json")); err != nil {
					t.Fatal(err)
				}
				if c.want != nil {
					continue // nobody knows then
				}
			}
			if err := os.WriteFile(target+".backup", c.backup, 0o751); err != nil {
				t.Fatal(err)
			}
			if status, err = Rollback(t.Context(), opts...); !errors.Is(err, c.want) {
				t.Fatalf("%s, away %v: %v", name, away, err)
			}
			there, rerr := os.ReadFile(target)
			if c.want != nil && rerr == nil || c.want == nil && (status.SHA256 != sum(c.backup) || !bytes.Equal(there, c.backup)) {
				t.Errorf("%s, away %v: %+v, %d bytes", name, away, status, len(there))
			}
			scenario{}.checkClean(t, name, target)
		}
	}
}

// Before the first update nothing is known of a backup. In a folder in which others may create files it is not theirs that is
// brought back.
func TestRollbackToAnotherUsersFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	old, new := buildPrograms(t)
	for name, c := range map[string]struct {
		folder, target, backup int // whose they are
		want                   error
	}{
		"another's":        {0, 0, 4321, ErrUnsafeFolder},
		"root's":           {4321, 4321, 0, nil},
		"of the folder's":  {4321, 0, 4321, nil},
		"of the target's":  {0, 4321, 4321, nil},
		"of nobody's here": {1234, 1234, 4321, ErrUnsafeFolder},
	} {
		target := install(t, new)
		backup := target + ".backup"
		if err := os.WriteFile(backup, old, 0o755); err != nil {
			t.Fatal(err)
		}
		for path, uid := range map[string]int{filepath.Dir(target): c.folder, target: c.target, backup: c.backup} {
			if err := os.Chown(path, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
		want := new
		if c.want == nil {
			want = old
		}
		if _, err := Rollback(t.Context(), TargetFile(target)); !errors.Is(err, c.want) || !bytes.Equal(read(t, target), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was replaced is remembered, so that the backup's version is known.
func TestBackupIsKnown(t *testing.T) {
	old, new := buildPrograms(t)
	old = append(old, 0) // of another size, so that nothing else makes its SHA-256
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

// An update that is not told the current version takes it from state.json, if that knows the very binary; so do the
// backup, a rollback to it, and a probation.
func TestVersionBefore(t *testing.T) {
	r := newRepo(t)
	target := install(t, []byte("0"))
	update := func(content string, opts ...Option) *Status {
		t.Helper()
		r.publish(t, []byte(content), nil)
		if _, err := ApplyContext(t.Context(), r.options(target, opts...)...); err != nil {
			t.Fatal(err)
		}
		s, err := Inspect(t.Context(), TargetFile(target))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := update("1"); s.Version != "1.2.3" || s.BackupVersion != "" {
		t.Errorf("a first update: %+v", s)
	}
	// Of the same size, so that the target is hashed.
	if s := update("2"); s.BackupVersion != "1.2.3" || s.BackupSHA256 != sum([]byte("1")) {
		t.Errorf("a second update: %+v", s)
	}
	if s := update("larger"); s.BackupVersion != "1.2.3" || s.BackupSHA256 != sum([]byte("2")) {
		t.Errorf("a third update, of a target that is not hashed: %+v", s)
	}
	if s, err := Rollback(t.Context(), TargetFile(target)); err != nil || s.Version != "1.2.3" {
		t.Errorf("%+v, %v", s, err)
	}
	if s := update("of another size", Probation(2, time.Hour)); s.BackupVersion != "1.2.3" || s.Probation == nil || s.Probation.From.Version != "1.2.3" {
		t.Errorf("a probation: %+v", s)
	}
	if err := os.WriteFile(target, []byte("foreign"), 0o751); err != nil {
		t.Fatal(err)
	}
	if s := update("four", Probation(0, 0)); s.BackupVersion != "" {
		t.Errorf("a foreign binary: %+v", s)
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
