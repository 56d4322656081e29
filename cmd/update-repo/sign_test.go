package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onText does something when a text was written.
type onText struct {
	bytes.Buffer
	text string
	do   func()
}

func (o *onText) Write(b []byte) (int, error) {
	n, err := o.Buffer.Write(b)
	if o.do != nil && strings.Contains(o.String(), o.text) {
		o.do()
		o.do = nil
	}
	return n, err
}

// A store that shows one change, and has another waiting when that is to be signed, gets no signature.
func TestSignsWhatIsShown(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	update := func(want int, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := run(context.Background(), append(args, "--keys", in("keys")), &out, &out); code != want {
			t.Fatalf("%v: exit code %d\n%s", args, code, &out)
		}
	}
	update(0, "init", "--product", "tool", "--repo", in("repo"), "--no-passphrase")
	update(0, "key", "new", "bob", "--no-passphrase")
	update(0, "key", "add", "release", in("keys/bob.pub"), "--repo", in("repo"))
	if err := os.Remove(in("keys/bob.key")); err != nil {
		t.Fatal(err)
	}
	staged := in("repo/metadata/staged.json")
	update(5, "threshold", "targets", "2", "--repo", in("repo"))
	hidden, err := os.ReadFile(staged)
	if err != nil {
		t.Fatal(err)
	}
	update(0, "sign", "--discard", "--repo", in("repo"))
	update(5, "threshold", "snapshot", "2", "--repo", in("repo"))

	stderr := &onText{text: "You are signing", do: func() {
		if err := os.WriteFile(staged, hidden, 0o600); err != nil {
			t.Error(err)
		}
	}}
	code := run(context.Background(), []string{"sign", "--repo", in("repo"), "--keys", in("keys")}, &bytes.Buffer{}, stderr)
	if code != 1 || !strings.Contains(stderr.String(), "another change than the one") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}
