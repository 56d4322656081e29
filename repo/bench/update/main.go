//go:build unix

// Command update is a program that updates, and nothing else, for bench to measure: `update REPOSITORY TARGET`.
// `update floor OLD NEW` copies, syncs and hashes a file instead. It prints its peak memory in KiB.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"

	updater "github.com/choria-io/go-updater"
)

func main() {
	var err error
	switch len(os.Args) {
	case 4:
		err = floor(os.Args[2], os.Args[3])
	case 3:
		_, err = updater.ApplyContext(context.Background(), updater.SourceRepo(os.Args[1]), updater.TargetFile(os.Args[2]),
			updater.Version("1.0.1"), updater.AllowContainer())
	default:
		err = fmt.Errorf("usage: update REPOSITORY TARGET, or update floor OLD NEW")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	// Not rusage's, which a child inherits from its parent.
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) > 0 {
		fmt.Println(fields[0])
	}
}

func floor(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.CopyBuffer(io.MultiWriter(out, sha256.New()), struct{ io.Reader }{in}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return out.Sync()
}
