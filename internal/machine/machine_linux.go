package machine

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// ID is the operating system's identifier of this installation, empty where it has none.
func ID() string { return idIn("/") }

func idIn(root string) string {
	for _, name := range []string{"etc/machine-id", "var/lib/dbus/machine-id"} {
		// An image that was never booted has an empty file, or "uninitialized".
		id := strings.TrimSpace(string(head(filepath.Join(root, name), 256)))
		if len(id) == 32 && strings.Trim(id, "0123456789abcdef") == "" {
			return id
		}
	}
	return ""
}

// Level is the highest level of this platform's instruction sets that the processor has, "v3" for
// example; empty for the baseline.
func Level() string { return levelOf(runtime.GOARCH, string(head("/proc/cpuinfo", 16<<10))) }

// Libcs are the C libraries that programs here can be linked to, the system's own first.
func Libcs() []string { return libcsIn("/") }

func libcsIn(root string) []string {
	var list []string
	for _, loader := range []struct{ libc, prefix string }{{"musl", "ld-musl-"}, {"glibc", "ld-linux"}, {"glibc", "ld64.so"}} {
		if !slices.Contains(list, loader.libc) && loads(root, loader.prefix) {
			list = append(list, loader.libc)
		}
	}
	// Where both are there, one is for compatibility. The shell's header names the system's own.
	if len(list) == 2 && !bytes.Contains(head(filepath.Join(root, "bin/sh"), 8<<10), []byte("/ld-musl-")) {
		list[0], list[1] = list[1], list[0]
	}
	return list
}

// loads tells whether a folder of loaders has one whose name begins so. Globbing costs each program 8 KB.
func loads(root, prefix string) bool {
	for _, folder := range []string{"lib", "lib64", "lib32", "libx32"} {
		entries, err := os.ReadDir(filepath.Join(root, folder))
		for _, e := range entries {
			if err == nil && strings.HasPrefix(e.Name(), prefix) {
				return true
			}
		}
	}
	return false
}

// head is the start of a file, nothing where it cannot be read.
func head(name string, limit int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil
	}
	return data
}
