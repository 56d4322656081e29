package swap

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/choria-io/go-updater/internal/disk"
)

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"format":1,"installed":{"version":"1","sha256":"aa"},"previous":{},"time":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"format":1,"unclaimed":{"path":"/opt/tool","size":3,"modified":"2026-01-01T00:00:00.123456789Z"}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state := State{}
		err := state.parse(data)
		if err != nil && !errors.Is(err, errState) {
			t.Fatalf("%v does not wrap errState", err)
		}
		if (err == nil) != (state.Format == stateFormat) {
			t.Fatalf("%v, but format %d is taken", err, state.Format)
		}
	})
}

// State that makes no sense is reported, kept aside, and stops nothing.
func TestBadState(t *testing.T) {
	for _, content := range []string{"", "\x00\x00\x00", `{"format":1`, `{"format":99}`, string(make([]byte, stateLimit+1))} {
		target := filepath.Join(t.TempDir(), "tool")
		if err := os.WriteFile(target, []byte("x"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(StateDir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(StateDir(target), "state.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		warned := 0
		s, err := Open(Options{FS: disk.OS, Target: target, Warn: func(error) { warned++ }})
		if err != nil {
			t.Fatalf("state %.20q: %v", content, err)
		}
		s.Close()
		if _, err := os.Stat(path + ".unreadable"); err != nil || warned == 0 {
			t.Errorf("state %.20q: not put aside (%v) or not reported (%d)", content, err, warned)
		}
	}
}

func TestBinaryIs(t *testing.T) {
	file := Binary{SHA256: "aa", CRC32: "bb"}
	for _, c := range []struct {
		known Binary
		want  bool
	}{
		{Binary{SHA256: "aa"}, true},
		{Binary{SHA256: "ab", CRC32: "bb"}, false},
		{Binary{CRC32: "bb"}, true},
		{Binary{CRC32: "aa"}, false},
		{Binary{Version: "1"}, false},
	} {
		if c.known.Is(file) != c.want || c.known.Is(Binary{}) {
			t.Errorf("%+v", c.known)
		}
	}
}
