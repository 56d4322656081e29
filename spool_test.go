package updater

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/internal/disk"
)

// What cannot be the description of a spool is none, and the download starts from zero: a version
// that no header may hold would stop every later update.
func TestSpoolMeta(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	for meta, resumed := range map[string]bool{
		`{"key":"k","file":"f","source":"s","version":"\"v\""}`: true,
		`{"key":"other","file":"f","source":"s","version":"v"}`: false,
		`{"key":"k","file":"f","source":"s","version":"v\r\n"}`: false,
		`{"key":"k","file":"f","source":"s","version":"é"}`:     false,
		`{"key":"k","source":"s","version":"v"}`:                false,
		`{"key":"k","file":"f","source":"s","version":7}`:       false,
		`{"key":"k","file":"f"`:                                 false,
		"":                                                      false,
		"\x00\x00\x00":                                          false,
		`{"key":"k","file":"f","x":"` + strings.Repeat("x", spoolMetaLimit) + `"}`: false,
	} {
		for name, data := range map[string]string{path: "half of it", path + ".json": meta} {
			if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := openSpool(disk.OS, path, "k")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, size := s.Have(); (size == 10) != resumed {
			t.Errorf("%.60q: %d bytes are taken over, resumed should be %v", meta, size, resumed)
		}
		s.close()
	}
}

func FuzzSpoolMeta(f *testing.F) {
	f.Add([]byte(`{"key":"1/linux/amd64/x","file":"tool.zst","source":"http://h","version":"\"v\""}`))
	f.Add([]byte(`{"key":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		meta, ok := parseSpoolMeta(data)
		if !ok {
			if meta != (spoolMeta{}) {
				t.Fatalf("%q is refused, and leaves %+v", data, meta)
			}
			return
		}
		if strings.ContainsAny(meta.Version, "\r\n\x00") || meta.Key == "" || meta.File == "" {
			t.Fatalf("%q is read as %+v", data, meta)
		}
		again, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := parseSpoolMeta(again); !ok || back != meta {
			t.Fatalf("%+v is read back as %+v", meta, back)
		}
	})
}
