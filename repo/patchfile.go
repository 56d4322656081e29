package repo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/choria-io/go-updater/internal/delta"
)

var (
	// ErrFileExists: the file that is to be written is there already.
	ErrFileExists = errors.New("the file exists")

	// ErrOtherBase: the patch was made from another file.
	ErrOtherBase = delta.ErrBase
)

// File is one file's size in bytes and its sha256 in hex.
type File struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func fileOf(data []byte) File {
	sum, size, _ := hashReader(bytes.NewReader(data)) // memory does not fail
	return File{size, sum}
}

// Difference is what a delta consists of.
type Difference struct {
	Old         File     `json:"old"`
	New         File     `json:"new"`
	Patch       File     `json:"patch"`
	Transformed bool     `json:"transformed"` // both are Go executables of one kind, and their addresses were matched
	Copied      int64    `json:"copied"`      // bytes of New that come from Old, changed ones included
	Inserted    int64    `json:"inserted"`    // bytes of New that do not
	Spent       []Spent  `json:"spent"`       // where the patch's bytes are
	Remarks     []string `json:"remarks"`     // what makes the patch larger than it has to be
}

// Spent is how many bytes of a patch one kind of information about one section of the new file takes.
type Spent struct {
	Section string  `json:"section"` // empty for what is in none
	Kind    string  `json:"kind"`
	Bytes   float64 `json:"bytes"`
}

// DiffFiles writes what turns the file old into the file fresh to the file patch. Any two files will do; Go executables have the
// smallest deltas. Progress, if not nil, is called with the steps that are done. Force replaces a patch
// that is there.
//
// Errors: ErrFileExists, and those of the files; there is a limit of 2 GB.
func DiffFiles(old, fresh, patch string, force bool, progress func(done, all int)) (*Difference, error) {
	if err := writable(patch, force); err != nil {
		return nil, err
	}
	a, err := os.ReadFile(old)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(fresh)
	if err != nil {
		return nil, err
	}
	data, stats, err := delta.Diff(a, b, delta.Options{Progress: progress})
	if err != nil {
		return nil, fmt.Errorf("comparing %s and %s: %w", old, fresh, err)
	}
	d := &Difference{
		Old: fileOf(a), New: fileOf(b), Patch: fileOf(data), Transformed: stats.Transformed,
		Copied: stats.Copied, Inserted: stats.Inserted, Spent: []Spent{}, Remarks: append([]string{}, remarks(a, b)...),
	}
	for _, s := range stats.Spent {
		d.Spent = append(d.Spent, Spent{s.Section, s.Kind, s.Bytes})
	}
	return d, writeFile(patch, 0o644, force, func(f *os.File) error { _, err := f.Write(data); return err })
}

// PatchFile writes the file fresh, which patch makes of the file old. It appears whole, with the mode of old, or not at
// all. The patch holds four bytes of the hash of each, which finds damage and mix-ups, not forgery: where that matters, compare
// the hash that is returned. Force replaces a file that is there, which may be old itself.
//
// Errors: ErrFileExists, ErrOtherBase, one that says that the patch is damaged, and those of the files.
func PatchFile(old, patch, fresh string, force bool) (File, error) {
	if err := writable(fresh, force); err != nil {
		return File{}, err
	}
	info, err := os.Stat(old)
	if err != nil {
		return File{}, err
	}
	a, err := os.ReadFile(old)
	if err != nil {
		return File{}, err
	}
	p, err := os.ReadFile(patch)
	if err != nil {
		return File{}, err
	}
	var made delta.Files
	err = writeFile(fresh, info.Mode().Perm(), force, func(f *os.File) error {
		if made, err = delta.ApplyAlone(f, a, p, maxBinary); err != nil {
			return fmt.Errorf("applying %s to %s: %w", patch, old, err)
		}
		return nil
	})
	return File{made.Size, hex.EncodeToString(made.New[:])}, err
}

func writable(name string, force bool) error {
	_, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && force:
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w", name, ErrFileExists)
	}
	return err
}

// writeFile makes a file appear when it is whole: it is written under another name beside.
func writeFile(name string, mode fs.FileMode, force bool, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone, or of no use
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := writable(name, force); err != nil { // someone was quicker
		return err
	}
	return os.Rename(f.Name(), name)
}
