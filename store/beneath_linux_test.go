package store

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/choria-io/go-updater/internal/disk"
)

// A FIFO in a folder is no file, and keeps nobody waiting.
func TestDirFIFO(t *testing.T) {
	folder := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(folder, "release.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, err := NewDir(folder).Open(context.Background(), "release.json", Request{})
		opened <- err
	}()
	select {
	case err := <-opened:
		if !errors.Is(err, disk.ErrNotRegular) {
			t.Errorf("%v, want ErrNotRegular", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("opening a FIFO waits")
	}
}

// In folders full of links, to each other, to nowhere, in circles and out, openBeneath opens what [os.Root] opens, and
// nothing else; and leaves no descriptor open.
func TestBeneathAsRoot(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	opened, refused := 0, 0
	for range 40 {
		folder := filepath.Join(t.TempDir(), "in")
		names := tangle(folder, random)
		for name, link := range names {
			full := filepath.Join(folder, name)
			os.MkdirAll(filepath.Dir(full), 0o755) // beneath a file or a link it fails, and so does what follows
			if link == "" {
				os.WriteFile(full, []byte(name), 0o644)
			} else {
				os.Symlink(link, full)
			}
		}
		os.WriteFile(filepath.Join(folder, "../out"), []byte("out"), 0o644)
		before := descriptors(t)
		for range 200 {
			name := walkOf(random, 4, false)
			got, want := content(openBeneath(folder, name)), content(oracle(folder, name))
			if got != want {
				t.Errorf("%q in %v: %q, os.Root has %q", name, names, got, want)
			}
			if want == "" {
				refused++
			} else {
				opened++
			}
		}
		if after := descriptors(t); after != before {
			t.Fatalf("%d descriptors are open, %d were before", after, before)
		}
	}
	if opened < 500 || refused < 500 {
		t.Errorf("%d opened, %d not: too few to tell", opened, refused)
	}
}

// tangle is some files and links by name; files have no text.
func tangle(folder string, random *rand.Rand) map[string]string {
	names := map[string]string{}
	for range 12 {
		name, link := walkOf(random, 3, false), ""
		switch random.IntN(8) {
		case 0, 1, 2:
		case 3:
			link = filepath.Join(folder, "a")
		default:
			link = walkOf(random, 5, true)
		}
		names[name] = link
	}
	return names
}

// walkOf is a path of up to most+1 elements. It does not end in a slash, with which os.Root insists on a folder.
func walkOf(random *rand.Rand, most int, dots bool) string {
	elements := []string{"a", "b", "c", "out"}
	if dots {
		elements = append(elements, "..", "..", ".", "")
	}
	var parts []string
	if dots && random.IntN(2) == 0 {
		parts = append(parts, "..")
	}
	for range random.IntN(most) {
		parts = append(parts, elements[random.IntN(len(elements))])
	}
	return strings.Join(append(parts, elements[random.IntN(4)]), "/")
}

func oracle(folder, name string) (*os.File, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(name)
}

// content is what a file has, a folder's being "/", empty for an error.
func content(f *os.File, err error) string {
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return "/"
	}
	data, _ := io.ReadAll(f)
	return string(data)
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// While somebody exchanges a folder for a link that leads out, all the time, what is opened is never outside.
func TestBeneathRace(t *testing.T) {
	top := t.TempDir()
	folder := filepath.Join(top, "in")
	for _, dir := range []string{"in/a", "in/b", "out"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{"in/a/file": "in", "out/file": "out"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../out", folder+"/link"); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, folder+"/a", unix.AT_FDCWD, folder+"/link", unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	in := 0
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		switch got := content(openBeneath(folder, "a/file")); got {
		case "out":
			t.Fatal("a file outside was opened")
		case "in":
			in++
		}
	}
	if in == 0 {
		t.Error("the file was never opened")
	}
}
