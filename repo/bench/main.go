//go:build unix

// Command bench measures one update of real programs: wall time, CPU time and
// peak memory of a process that updates, with zstd and with bzip2, beside the floor of a process that
// copies, syncs and hashes the new binary. Call it with the old and the new binary.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

const rounds = 9

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "floor":
		err = floor(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "update":
		_, err = updater.ApplyContext(context.Background(), updater.SourceRepo(os.Args[2]), updater.TargetFile(os.Args[3]),
			updater.Version("new"), updater.AllowContainer())
	case len(os.Args) == 3:
		err = bench(os.Args[1], os.Args[2])
	default:
		err = fmt.Errorf("usage: bench OLD NEW")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if len(os.Args) == 4 {
		// Not rusage's, which a child inherits from its parent.
		status, _ := os.ReadFile("/proc/self/status")
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		fields := strings.Fields(rest)
		if len(fields) > 0 {
			fmt.Println(fields[0])
		}
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

type cost struct {
	wall, cpu time.Duration
	peak      int64 // KiB
}

func bench(old, new string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	release, err := repo.Open(store.NewDir(filepath.Join(dir, "zstd"))).Add(context.Background(),
		repo.Addition{Path: new, Name: "program", Version: "new", OS: runtime.GOOS, Arch: runtime.GOARCH})
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, add took %.1f s\n", new, release.Spec.Size, time.Since(began).Seconds())
	for _, a := range release.Spec.Artifacts {
		fmt.Printf("  %-6s %d bytes, %.1f %%\n", a.Encoding, a.Size, 100*float64(a.Size)/float64(release.Spec.Size))
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
	kinds := []string{"floor", "zstd", "bzip2"}
	costs := map[string][]cost{}
	for range rounds { // in turn, so that what else the machine does meets all alike
		for _, kind := range kinds {
			args := []string{"update", "http://" + l.Addr().String() + "/" + kind, target}
			if kind == "floor" {
				args = []string{"floor", new, target + ".floor"}
			} else if err := floor(old, target); err != nil {
				return err
			}
			c, err := measure(args)
			if err != nil {
				return err
			}
			costs[kind] = append(costs[kind], c)
		}
	}
	for _, kind := range kinds {
		report(kind, median(costs[kind]), median(costs["floor"]))
	}
	return nil
}

// onlyBzip2 makes a second repository, as v0.1.0 wrote it.
func onlyBzip2(dir string, r *repo.Release) error {
	folder := "/new/" + r.OS + "/" + r.Arch
	if err := os.MkdirAll(dir+"/bzip2"+folder, 0o755); err != nil {
		return err
	}
	if err := floor(dir+"/zstd"+folder+"/program.bz2", dir+"/bzip2"+folder+"/program.bz2"); err != nil {
		return err
	}
	spec := fmt.Sprintf(`{"binary":"program.bz2","hash":"%s"}`, r.Spec.Sha256Hash)
	return os.WriteFile(dir+"/bzip2"+folder+"/release.json", []byte(spec), 0o644)
}

// measure runs this program.
func measure(args []string) (cost, error) {
	self, err := os.Executable()
	if err != nil {
		return cost{}, err
	}
	cmd := exec.Command(self, args...)
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
	fmt.Printf("  %-6s wall %6.0f ms (%.1f x floor)  cpu %6.0f ms  peak %5.1f MiB\n", what,
		float64(c.wall.Microseconds())/1000, float64(c.wall)/float64(base.wall), float64(c.cpu.Microseconds())/1000, float64(c.peak)/1024)
}
