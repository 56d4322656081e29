package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// update has the very client that programs embed install a version.
func update(t *testing.T, folder, version string, opts ...updater.Option) ([]byte, error) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "choria")
	must(t, os.WriteFile(target, elf(0), 0o755))
	err := updater.Apply(append([]updater.Option{
		updater.SourceRepo(folder), updater.TargetFile(target), updater.Version(version), updater.OS("linux"), updater.Arch("amd64"),
		updater.AllowContainer(), updater.AllowManaged(), updater.Attempts(1),
	}, opts...)...)
	data, rerr := os.ReadFile(target)
	must(t, rerr)
	return data, err
}

// A repository as v0.1.0 wrote it is signed in place: old clients read what they read before, and the
// client with a trust root installs all of it.
func TestSignInPlace(t *testing.T) {
	folder := t.TempDir()
	_, err := Open(store.NewDir(folder)).Add(ctx, addition(t, elf(1)))
	must(t, err)
	name := filepath.Join(folder, "1.2.3/linux/amd64/release.json")
	v1 := func() (fields map[string]any) {
		data, err := os.ReadFile(name)
		must(t, err)
		must(t, json.Unmarshal(data, &fields))
		return fields
	}
	before := v1()
	old, err := json.Marshal(map[string]any{"binary": before["binary"], "hash": before["hash"], "note": "kept"})
	must(t, err)
	must(t, os.WriteFile(name, old, 0o644))
	must(t, os.Remove(filepath.Join(folder, "1.2.3/linux/amd64/choria.zst")))

	k := newKeys(t)
	r := k.open(store.NewDir(folder))
	root, err := r.Sign(ctx, k.init())
	must(t, err)
	after := v1()
	if after["binary"] != before["binary"] || after["hash"] != before["hash"] || after["note"] != "kept" || after["size"] != before["size"] {
		t.Errorf("before %v, after %v", before, after)
	}
	if got, err := update(t, folder, "1.2.3"); err != nil || !bytes.Equal(got, elf(1)) {
		t.Errorf("without trust root: %v", err)
	}
	if got, err := update(t, folder, "1.2.3", updater.TrustRoot(root)); err != nil || !bytes.Equal(got, elf(1)) {
		t.Errorf("with trust root: %v", err)
	}
	a := addition(t, elf(2))
	a.Version = "1.3.0"
	_, err = r.Add(ctx, a)
	must(t, err)
	if got, err := update(t, folder, "1.3.0", updater.TrustRoot(root)); err != nil || !bytes.Equal(got, elf(2)) {
		t.Errorf("a new release: %v", err)
	}
	if got, err := update(t, folder, "1.3.0", updater.TrustRoot(root), updater.Product("other")); err == nil || !bytes.Equal(got, elf(0)) {
		t.Errorf("another product: %v", err)
	}
}

// What is damaged is not signed, and all of it is told.
func TestSignInPlaceDamaged(t *testing.T) {
	folder := t.TempDir()
	for _, v := range []string{"1", "2", "3", "4"} {
		a := addition(t, elf(1))
		a.Version = v
		_, err := Open(store.NewDir(folder)).Add(ctx, a)
		must(t, err)
	}
	for _, v := range []string{"1", "3"} {
		must(t, os.WriteFile(filepath.Join(folder, v, "linux/amd64/choria.bz2"), []byte("damaged"), 0o644))
	}
	// One of v0.1.0 that holds another binary than its release.json says.
	must(t, os.WriteFile(filepath.Join(folder, "4/linux/amd64/release.json"), []byte(`{"binary":"choria.bz2","hash":"`+sum(elf(2))+`"}`), 0o644))
	k := newKeys(t)
	_, err := k.open(store.NewDir(folder)).Sign(ctx, k.init())
	for _, v := range []string{"1 for", "3 for", "4 for"} {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(v)) {
			t.Errorf("%q is not named: %v", v, err)
		}
	}
	if _, err := Open(store.NewDir(folder)).Timestamp(ctx); !errors.Is(err, ErrUnsigned) {
		t.Errorf("it is signed: %v", err)
	}
}
