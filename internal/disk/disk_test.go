package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// doors are the ways to open a file that may exist.
var doors = map[string]func(string) (disk.File, error){
	"Open": disk.OS.Open, "OpenLock": disk.OS.OpenLock, "OpenAppend": disk.OS.OpenAppend,
}

func TestLinksAndFoldersAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "x")
	for link, to := range map[string]string{"link": "file", "dangling": "nothing", "to folder": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, open := range doors {
		for _, path := range []string{dir, dir + "/link", dir + "/dangling", dir + "/to folder"} {
			f, err := open(path)
			if !errors.Is(err, disk.ErrNotRegular) {
				t.Errorf("%s %s: %v, want ErrNotRegular", name, filepath.Base(path), err)
			}
			if err == nil {
				f.Close()
			}
		}
		f, err := open(dir + "/file")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.Close()
	}
	if _, err := os.Lstat(dir + "/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a dangling link was followed, and its file made")
	}
	if info, err := disk.OS.Lstat(dir + "/link"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat follows a link: %v, %v", info, err)
	}
}

func TestCreateTakesOverNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/victim", "precious")
	plant := map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("left"), 0o600) },
		"link":      func(path string) error { return os.Symlink(dir+"/victim", path) },
		"dangling":  func(path string) error { return os.Symlink(dir+"/nothing", path) },
		"hard link": func(path string) error { return os.Link(dir+"/victim", path) },
	}
	for name, plant := range plant {
		path := filepath.Join(dir, name)
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		if _, err := disk.OS.Create(path); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create over a %s: %v, want ErrExist", name, err)
		}
		f, err := disk.CreateFresh(disk.OS, path)
		if err != nil {
			t.Errorf("CreateFresh over a %s: %v", name, err)
			continue
		}
		io.WriteString(f, "new")
		f.Close()
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || content(t, path) != "new" {
			t.Errorf("CreateFresh over a %s made %v, %v", name, info, err)
		}
	}
	if content(t, dir+"/victim") != "precious" {
		t.Error("another file was written to")
	}
	if _, err := os.Lstat(dir + "/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a dangling link was followed")
	}
	if err := os.MkdirAll(dir+"/folder/x", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.CreateFresh(disk.OS, dir+"/folder"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a folder: %v, want ErrExist", err)
	}
	if _, err := os.Stat(dir + "/folder/x"); err != nil {
		t.Error("a folder was removed")
	}
}

func TestOpenAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := disk.OS.OpenAppend(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	write(t, path, "ab")
	f, err := disk.OS.OpenAppend(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "c")
	if got := content(t, path); got != "abc" {
		t.Errorf("the file holds %q", got)
	}
}

// TestWriteFile fails each operation of WriteFile, and looks after each at what a power loss may leave:
// always the old bytes or the new ones.
func TestWriteFile(t *testing.T) {
	for at, done := 1, false; !done; at++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		write(t, path, "old")
		model, err := disktest.NewModel(dir)
		if err != nil {
			t.Fatal(err)
		}
		look := func(allowed ...string) {
			t.Helper()
			for _, c := range model.Crashes() {
				if data, _, ok := c.File(path); !ok || !slices.Contains(allowed, string(data)) {
					t.Errorf("operation %d fails, %s: %q", at, c.What, data)
				}
			}
		}
		done = true
		broken := errors.New("broken")
		fsys := disktest.Wrap(disk.OS, disktest.Hooks{
			Before: func(op disktest.Op) error {
				if op.N == at {
					done = false
					return broken
				}
				return nil
			},
			After: func(op disktest.Op) { model.Apply(op); look("old", "new") },
		})
		err = disk.WriteFile(fsys, path, []byte("new"))
		if done != (err == nil) || err != nil && !errors.Is(err, broken) {
			t.Errorf("operation %d fails: %v", at, err)
		}
		if got := content(t, path); got != "old" && got != "new" || err == nil && got != "new" {
			t.Errorf("operation %d fails: %q", at, got)
		}
		if err == nil {
			look("new") // success is durable
			if at < 6 {
				t.Errorf("WriteFile has %d operations, among them no sync", at-1)
			}
		}
		if _, err := os.Lstat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("operation %d fails: the temporary file is left", at)
		}
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() disk.File {
		f, err := disk.OS.OpenLock(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	try := func(f disk.File, want bool) {
		t.Helper()
		if got, err := f.TryLock(); err != nil || got != want {
			t.Errorf("TryLock: %v, %v, want %v", got, err, want)
		}
	}
	first, second := open(), open()
	try(first, true)
	try(second, false)
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	try(second, true)
	try(first, false)
	second.Close()
	try(first, true)
	first.Close()
	if info, err := os.Lstat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may lock: %v, %v", info.Mode(), err)
	}
}

func TestStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "one")
	stamp := func() disk.Stamp {
		info, err := disk.OS.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return disk.StampOf(info)
	}
	before := stamp()
	if before != stamp() {
		t.Error("two stamps of one file differ")
	}
	write(t, path, "longer")
	if before == stamp() {
		t.Error("a longer file has the same stamp")
	}
}

func TestFree(t *testing.T) {
	free, err := disk.OS.Free(t.TempDir())
	if err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && free == 0 {
		t.Errorf("%d, %v", free, err)
	}
	if _, err := disk.OS.Free(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there has room")
	}
}
