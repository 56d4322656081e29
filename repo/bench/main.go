//go:build unix

// Command bench measures one update of real programs: wall time, CPU time and
// peak memory of a process that updates, by a delta, with zstd and with bzip2, beside the floor of a process that
// copies, syncs and hashes the new binary, and of one that does so with what the standard library makes of the
// .bz2. Call it with command update, the old and the new binary.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

const (
	rounds     = 9
	oldVersion = "1.0.0"
	newVersion = "1.0.1"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: bench UPDATE OLD NEW")
		os.Exit(2)
	}
	if err := bench(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type cost struct {
	wall, cpu time.Duration
	peak      int64 // KiB
}

func bench(update, old, new string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	release, err := add(filepath.Join(dir, "zstd"), new, newVersion, 0)
	if err != nil {
		return err
	}
	for _, a := range release.Spec.Artifacts {
		fmt.Printf("  %-6s %d bytes, %.1f %%\n", a.Encoding, a.Size, 100*float64(a.Size)/float64(release.Spec.Size))
	}
	if _, err := add(filepath.Join(dir, "delta"), old, oldVersion, 0); err != nil {
		return err
	}
	withDelta, err := add(filepath.Join(dir, "delta"), new, newVersion, 1)
	if err != nil {
		return err
	}
	for _, d := range withDelta.Spec.Deltas {
		fmt.Printf("  delta  %d bytes, %.2f %%\n", d.Size, 100*float64(d.Size)/float64(release.Spec.Size))
	}
	if err := onlyBzip2(dir, release); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, http.FileServer(http.Dir(dir)))

	target := filepath.Join(dir, "target")
	kinds := []string{"floor", "delta", "zstd", "bzip2", "library"}
	costs := map[string][]cost{}
	for range rounds { // in turn, so that what else the machine does meets all alike
		for _, kind := range kinds {
			server := "http://" + l.Addr().String() + "/"
			args := []string{server + kind, target, newVersion}
			switch kind {
			case "floor":
				args = []string{"floor", new, target + ".floor"}
			case "library":
				args = []string{"library", server + "bzip2/" + path.Join(newVersion, release.OS, release.Arch, release.Spec.BinaryPath), target + ".floor"}
			default:
				if err := putOld(update, server, target); err != nil {
					return err
				}
			}
			c, err := measure(exec.Command(update, args...))
			if err != nil {
				return err
			}
			costs[kind] = append(costs[kind], c)
		}
	}
	for _, kind := range kinds {
		report(kind, median(costs[kind]), median(costs["floor"]))
	}
	for _, kind := range []string{"bzip2", "library"} {
		fmt.Printf("  CPU of %s to zstd's: %.1f\n", kind, float64(median(costs[kind]).cpu)/float64(median(costs["zstd"]).cpu))
	}
	return nil
}

// putOld has an update put the old version in place, as on a host that updates from version to version: the
// first of all updates, which looks through what packages brought, is not the one to measure.
func putOld(update, server, target string) error {
	if err := os.WriteFile(target, []byte("#!/bin/sh\n"), 0o755); err != nil {
		return err
	}
	_, err := measure(exec.Command(update, server+"delta", target, oldVersion))
	return err
}

// add publishes a version, with deltas from as many before it, and tells how long that takes.
func add(dir, path, version string, deltas int) (*repo.Release, error) {
	began := time.Now()
	release, err := repo.Open(store.NewDir(dir)).Add(context.Background(), repo.Addition{Path: path, Name: "program", Version: version,
		OS: runtime.GOOS, Arch: runtime.GOARCH, Deltas: repo.Deltas{Last: deltas}})
	if err == nil {
		fmt.Printf("%s: %d bytes, add with %d deltas took %.1f s\n", path, release.Spec.Size, len(release.Spec.Deltas), time.Since(began).Seconds())
	}
	return release, err
}

// onlyBzip2 makes a second repository, as v0.1.0 wrote it.
func onlyBzip2(dir string, r *repo.Release) error {
	folder := "/" + newVersion + "/" + r.OS + "/" + r.Arch
	if err := os.MkdirAll(dir+"/bzip2"+folder, 0o755); err != nil {
		return err
	}
	if err := copyFile(dir+"/zstd"+folder+"/program.bz2", dir+"/bzip2"+folder+"/program.bz2"); err != nil {
		return err
	}
	spec := fmt.Sprintf(`{"binary":"program.bz2","hash":"%s"}`, r.Spec.Sha256Hash)
	return os.WriteFile(dir+"/bzip2"+folder+"/release.json", []byte(spec), 0o644)
}

func copyFile(from, to string) error {
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
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

func measure(cmd *exec.Cmd) (cost, error) {
	cmd.Stderr = os.Stderr
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return cost{}, err
	}
	c := cost{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	c.peak, _ = strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64) // 0 where there is no /proc
	return c, nil
}

// median takes that of each figure.
func median(all []cost) (m cost) {
	middle := func(value func(cost) int64) int64 {
		var list []int64
		for _, c := range all {
			list = append(list, value(c))
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	m.wall = time.Duration(middle(func(c cost) int64 { return int64(c.wall) }))
	m.cpu = time.Duration(middle(func(c cost) int64 { return int64(c.cpu) }))
	m.peak = middle(func(c cost) int64 { return c.peak })
	return m
}

func report(what string, c, base cost) {
	fmt.Printf("  %-7s wall %6.0f ms (%.1f x floor)  cpu %6.0f ms  peak %5.1f MiB\n", what,
		float64(c.wall.Microseconds())/1000, float64(c.wall)/float64(base.wall), float64(c.cpu.Microseconds())/1000, float64(c.peak)/1024)
}
