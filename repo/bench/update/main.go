//go:build unix

// Command update is a program that updates, and nothing else, for bench to measure: `update REPOSITORY TARGET VERSION`.
// `update floor FROM TO` copies, syncs and hashes a file instead, and `update library URL TO` does so with what the standard library
// makes of a .bz2: the least that an updater without a decoder of its own can do. It prints its peak memory in KiB.
package main

import (
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	updater "github.com/choria-io/go-updater"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "floor":
		err = floor(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "library":
		err = library(os.Args[2], os.Args[3])
	case len(os.Args) == 4:
		_, err = updater.ApplyContext(context.Background(), updater.SourceRepo(os.Args[1]), updater.TargetFile(os.Args[2]),
			updater.Version(os.Args[3]), updater.AllowContainer())
	default:
		err = fmt.Errorf("usage: update REPOSITORY TARGET VERSION, update floor FROM TO, or update library URL TO")
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
	return write(in, to)
}

func library(url, to string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return write(bzip2.NewReader(resp.Body), to)
}

func write(r io.Reader, to string) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.CopyBuffer(io.MultiWriter(out, sha256.New()), struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return out.Sync()
}
