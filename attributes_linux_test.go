package updater

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
)

// Mode, owner, extended attributes and capabilities go over to the new file,
// and come back with a rollback. Owner and capabilities need root.
func TestAttributes(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	root := os.Geteuid() == 0
	if root {
		if err := os.Chown(target, 1234, 2345); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(target, 0o751|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	attributes := map[string]bool{}
	if err := unix.Setxattr(target, "user.note", []byte("kept"), 0); err == nil {
		attributes["user.note"] = true
	}
	if setcap, err := exec.LookPath("setcap"); root && err == nil && exec.Command(setcap, "cap_net_bind_service=ep", target).Run() == nil {
		attributes["security.capability"] = true
	}
	if root {
		// user::rwx user:1:rwx group::r-x mask::r-x other::--x, as the kernel keeps it.
		acl := []byte{2, 0, 0, 0,
			1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 1, 0, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255,
			16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 1, 0, 255, 255, 255, 255}
		if unix.Setxattr(target, "system.posix_acl_access", acl, 0) == nil {
			attributes["system.posix_acl_access"] = true
		}
	}
	bound := map[string]bool{} // to the bytes, or to the file system
	for _, name := range []string{"security.ima", "user.overlay.opaque"} {
		bound[name] = unix.Setxattr(target, name, []byte("y"), 0) == nil
	}
	before := map[string][]byte{}
	for name := range attributes {
		before[name] = xattr(t, target, name)
	}
	info, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as root: %v, attributes: %v, mode %v", root, attributes, info.Mode())
	check := func(what string) {
		now, err := os.Stat(target)
		if err != nil {
			t.Fatal(err)
		}
		if now.Mode() != info.Mode() {
			t.Errorf("%s: mode %v, was %v", what, now.Mode(), info.Mode())
		}
		a, b := now.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
		if a.Uid != b.Uid || a.Gid != b.Gid {
			t.Errorf("%s: owner %d:%d, was %d:%d", what, a.Uid, a.Gid, b.Uid, b.Gid)
		}
		for name, value := range before {
			if !bytes.Equal(xattr(t, target, name), value) {
				t.Errorf("%s: attribute %s was not carried over", what, name)
			}
		}
	}
	if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, target), new) {
		t.Error("the target is not new")
	}
	check("update")
	for name, set := range bound {
		if _, err := unix.Getxattr(target, name, make([]byte, 8)); set && err == nil {
			t.Errorf("attribute %s was carried over", name)
		}
	}
	if _, err := Rollback(context.Background(), TargetFile(target)); err != nil {
		t.Fatal(err)
	}
	check("rollback")
}

// A user who may not carry over what makes the program privileged is told before anything is asked for; an owner alone is a warning.
func TestPrivilegesAreNotLost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	old, new := buildPrograms(t)
	for name, c := range map[string]struct {
		give    func(target string) error
		refuses string // the operation that this user may not do
		want    error
	}{
		"owner": {func(target string) error { return os.Chown(target, 1234, 2345) }, "chown", nil},
		"setuid": {func(target string) error {
			return errors.Join(os.Chown(target, 1234, 2345), os.Chmod(target, 0o751|os.ModeSetuid))
		}, "chown", ErrAttributes},
		"setgid": {func(target string) error {
			return errors.Join(os.Chown(target, 1234, 2345), os.Chmod(target, 0o751|os.ModeSetgid))
		}, "chown", ErrAttributes},
		"capabilities": {func(target string) error {
			// cap_net_bind_service=ep, as the kernel keeps it.
			return unix.Setxattr(target, "security.capability", []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0)
		}, "setxattr", ErrAttributes},
	} {
		r := newRepo(t)
		r.publish(t, new, nil)
		target := install(t, old)
		if err := c.give(target); errors.Is(err, errors.ErrUnsupported) {
			t.Logf("%s: %v", name, err)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		warned := false
		fsys := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
			if op.Kind == c.refuses {
				return syscall.EPERM
			}
			return nil
		}})
		_, err := ApplyContext(t.Context(), r.options(target, func(c *Config) error { c.fs = fsys; return nil },
			OnEvent(func(e Event) { warned = warned || e.Step == StepWarning }))...)
		switch {
		case !errors.Is(err, c.want):
			t.Errorf("%s: %v, want %v", name, err, c.want)
		case c.want != nil && (Hint(err) == "" || r.count() != 0 || !bytes.Equal(read(t, target), old)):
			t.Errorf("%s: %d requests, hint %q", name, r.count(), Hint(err))
		case c.want == nil && (!warned || !bytes.Equal(read(t, target), new)):
			t.Errorf("%s: warned %v", name, warned)
		}
	}
}

func xattr(t *testing.T, path, name string) []byte {
	t.Helper()
	buf := make([]byte, 1024)
	n, err := unix.Getxattr(path, name, buf)
	if err != nil {
		t.Errorf("attribute %s: %v", name, err)
		return nil
	}
	return buf[:n]
}

// A FIFO hangs whoever opens it: at our own names it is removed or refused.
func TestPlantedFIFO(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	for name, works := range map[string]bool{
		".tool.updater-new": true, ".tool.updater-bak": true, "tool.backup": true,
		".tool.updater/lock": false, ".tool.updater/spool": true, ".tool.updater/state.json": true, ".tool.updater/state.json.new": true,
	} {
		target := install(t, old)
		path := filepath.Join(filepath.Dir(target), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ApplyContext(context.Background(), r.options(target)...)
		if works && (err != nil || !bytes.Equal(read(t, target), new)) {
			t.Errorf("%s: %v", name, err)
		}
		if !works && !errors.Is(err, ErrObstructed) {
			t.Errorf("%s: %v, want ErrObstructed", name, err)
		}
	}
}
