package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// A second publisher is told, with the exit code for "try later", and changes nothing.
func TestSecondPublisher(t *testing.T) {
	dir := t.TempDir()
	folder, keys := filepath.Join(dir, "repo"), filepath.Join(dir, "keys")
	call := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(context.Background(), append(args, "--repo", folder, "--keys", keys), &out, &out)
		return code, out.String()
	}
	if code, out := call("init", "--product", "tool", "--no-passphrase", "--out", filepath.Join(dir, "root.json")); code != 0 {
		t.Fatal(out)
	}
	unlock, err := store.NewDir(folder).Lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"timestamp"}, {"rotate", "--renew"}, {"threshold", "root", "1"}, {"sign", "--renew"}, {"remove", "--version", "1", "--os", "linux", "--arch", "amd64"}} {
		if code, out := call(args...); code != 3 || !strings.Contains(out, "error: another publisher") || !strings.Contains(out, "hint: ") {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	unlock()
	if code, out := call("timestamp"); code != 0 {
		t.Error(out)
	}
}
