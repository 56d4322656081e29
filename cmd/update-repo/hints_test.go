package main

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	updater "github.com/choria-io/go-updater"
)

// A hint names the flag that allows what was refused, where the command has it.
func TestAllowHint(t *testing.T) {
	for _, c := range []struct {
		err  error
		flag string
	}{{updater.ErrManaged, "--allow-managed"}, {updater.ErrContainer, "--allow-container"}, {updater.ErrOlderVersion, "--allow-downgrade"}} {
		err := fmt.Errorf("refused: %w", c.err)
		if hint := hintFor(applyCommand(), err); !strings.HasSuffix(hint, c.flag) {
			t.Errorf("%v: the hint of apply is %q", c.err, hint)
		}
		if hint := hintFor(rollbackCommand(), err); hint == "" || strings.Contains(hint, "--") {
			t.Errorf("%v: the hint of rollback is %q", c.err, hint)
		}
	}
}

// A file of this machine that may not be read or written, and what a server forbids, which says itself what to do.
func TestPermissionHint(t *testing.T) {
	path := &fs.PathError{Op: "open", Path: "repo/.publisher-lock.part", Err: fs.ErrPermission}
	if hint := hintFor(addCommand(), fmt.Errorf("locking: %w", path)); !strings.Contains(hint, "as a user who may") {
		t.Errorf("the hint is %q", hint)
	}
	if hint := hintFor(addCommand(), fmt.Errorf("the bucket: %w", fs.ErrPermission)); hint != "" {
		t.Errorf("the hint of a server's answer is %q", hint)
	}
}
