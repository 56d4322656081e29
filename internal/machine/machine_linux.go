package machine

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
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
	there := func(patterns ...string) bool {
		for _, p := range patterns {
			if found, err := filepath.Glob(filepath.Join(root, p)); err == nil && len(found) > 0 {
				return true
			}
		}
		return false
	}
	var list []string
	if there("lib/ld-musl-*.so.1") {
		list = append(list, "musl")
	}
	if there("lib*/ld-linux*.so.*", "lib*/ld64.so.*", "lib/*/ld-linux*.so.*") {
		list = append(list, "glibc")
	}
	// Where both are there, one is for compatibility. The shell's header names the system's own.
	if len(list) == 2 && !bytes.Contains(head(filepath.Join(root, "bin/sh"), 8<<10), []byte("/ld-musl-")) {
		list[0], list[1] = list[1], list[0]
	}
	return list
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
