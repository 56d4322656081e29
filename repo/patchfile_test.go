package repo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDiffAndPatchFiles(t *testing.T) {
	p, dir := programs(t), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("old"), p[0], 0o750))
	must(t, os.WriteFile(at("new"), p[1], 0o644))
	steps := 0
	d, err := DiffFiles(at("old"), at("new"), at("patch"), false, func(done, all int) { steps = max(steps, done) })
	if err != nil || d.Old != fileOf(p[0]) || d.New != fileOf(p[1]) || !d.Transformed || len(d.Spent) == 0 || len(d.Remarks) != 0 || steps == 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	patch, err := os.ReadFile(at("patch"))
	if err != nil || fileOf(patch) != d.Patch {
		t.Errorf("%+v, %v", d.Patch, err)
	}
	f, err := PatchFile(at("old"), at("patch"), at("made"), false)
	data, rerr := os.ReadFile(at("made"))
	info, serr := os.Stat(at("made"))
	if err != nil || rerr != nil || serr != nil || !bytes.Equal(data, p[1]) || f != d.New || info.Mode().Perm() != 0o750 {
		t.Errorf("%+v, %v, %v, %v", f, err, rerr, info.Mode())
	}
	if _, err := PatchFile(at("old"), at("patch"), at("made"), false); !errors.Is(err, ErrFileExists) {
		t.Errorf("%v", err)
	}
	if _, err := DiffFiles(at("old"), at("new"), at("patch"), false, nil); !errors.Is(err, ErrFileExists) {
		t.Errorf("%v", err)
	}
	// What fails leaves what is there, and nothing else.
	patch[len(patch)-5] ^= 1
	must(t, os.WriteFile(at("damaged"), patch, 0o600))
	for old, patch := range map[string]string{"new": "patch", "old": "damaged", "made": "patch"} {
		if _, err := PatchFile(at(old), at(patch), at("made"), true); err == nil {
			t.Errorf("%s with %s is no error", old, patch)
		}
	}
	if data, err := os.ReadFile(at("made")); err != nil || !bytes.Equal(data, p[1]) {
		t.Errorf("the file changed: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 5 {
		t.Errorf("%v, %v", entries, err)
	}
	// In place.
	if _, err := PatchFile(at("old"), at("patch"), at("old"), true); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(at("old")); err != nil || !bytes.Equal(data, p[1]) {
		t.Errorf("in place: %v", err)
	}
}
