//go:build unix

package updater

import (
	"syscall"
	"testing"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
)

// TestRefusingDisks updates on disks that refuse one kind of operation.
func TestRefusingDisks(t *testing.T) {
	_, new := buildPrograms(t)
	for name, c := range map[string]struct {
		kind     string
		errno    syscall.Errno
		want     error
		requests bool // may have been made
	}{
		"quota, when reserving": {"reserve", syscall.EDQUOT, ErrNoRoom, true},
		"quota, when writing":   {"write", syscall.EDQUOT, ErrNoRoom, true},
		"read-only":             {"create", syscall.EROFS, ErrReadOnly, false},
		"no right to write":     {"create", syscall.EACCES, ErrNotWritable, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.publish(t, new, nil)
			fsys := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
				if op.Kind == c.kind {
					return c.errno
				}
				return nil
			}})
			refused(t, r, c.want, func(c *Config) error { c.fs = fsys; return nil })
			if !c.requests && r.count() != 0 {
				t.Errorf("%d requests were made", r.count())
			}
			if Hint(c.want) == "" {
				t.Error("no hint")
			}
		})
	}
}
