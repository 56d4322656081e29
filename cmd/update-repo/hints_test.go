package main

import (
	"fmt"
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
