package repo

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/exe"
)

// PlatformOf tells which platform an executable was made for, as far as the
// file knows: from what Go's linker leaves in each binary, else from the
// header. Either result is empty where neither tells: an ELF file that is not
// Go's rarely names its system.
//
// Errors: those of reading the file. What is no executable has no platform.
func PlatformOf(path string) (goos, goarch string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	if info, err := buildinfo.Read(f); err == nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "GOOS":
				goos = s.Value
			case "GOARCH":
				goarch = s.Value
			}
		}
		if goos != "" && goarch != "" {
			return goos, goarch, nil
		}
	}
	head := make([]byte, exe.HeaderSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", "", fmt.Errorf("reading %s: %w", path, err)
	}
	goos, goarch = exe.Guess(head[:n])
	return goos, goarch, nil
}

// VariantOf tells what a Go binary for a platform asks of its host beyond the baseline: v2, v3, v4 (GOAMD64), v6, v7 (GOARM), or nothing,
// which is also what is told of other files.
func VariantOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := buildinfo.Read(f)
	if err != nil {
		return "", nil // not Go's
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "GOAMD64" && s.Value != "v1":
			return s.Value, nil
		case s.Key == "GOARM":
			if n, _, _ := strings.Cut(s.Value, ","); n != "5" {
				return "v" + n, nil
			}
		}
	}
	return "", nil
}

// Check reads the file's header and tells what Add would refuse it for. Force accepts any file
// that can be opened.
//
// Errors: updater.ErrNotExecutable, updater.ErrOtherPlatform, and one that
// names the valid values for an unknown os or arch.
func (a Addition) Check() error {
	f, err := os.Open(a.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return a.check(f)
}

func (a Addition) check(f *os.File) error {
	if a.Force {
		return nil
	}
	err := updater.CheckPlatform(f, a.OS, a.Arch)
	if errors.Is(err, updater.ErrNotExecutable) || errors.Is(err, updater.ErrOtherPlatform) {
		return fmt.Errorf("%s is %w", a.Path, err)
	}
	return err
}
