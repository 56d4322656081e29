//go:build unix

package repo

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/delta"
)

// BenchmarkDiff makes the delta of the pair in $DELTA_PAIR, a folder with the files old and new, and says what it takes.
// `make bench-delta` runs it and BenchmarkApply in a process of its own for each pair: peaks are those of the process.
func BenchmarkDiff(b *testing.B) {
	dir := os.Getenv("DELTA_PAIR")
	if dir == "" {
		return
	}
	old, err := os.ReadFile(filepath.Join(dir, "old"))
	must(b, err)
	fresh, err := os.ReadFile(filepath.Join(dir, "new"))
	must(b, err)
	began, cpu := time.Now(), processorTime()
	patch, stats, err := delta.Diff(old, fresh, delta.Options{})
	must(b, err)
	fmt.Printf("%s\tdelta %d\tdiff: wall %.1f s, cpu %.1f s, peak %.1f x\tsteps %d rounds %d inserted %d\n", filepath.Base(dir), len(patch),
		time.Since(began).Seconds(), (processorTime() - cpu).Seconds(), float64(memoryOf("VmHWM:"))/float64(max(len(old), len(fresh))),
		stats.Steps, stats.Ops, stats.Inserted)
	must(b, os.WriteFile(filepath.Join(dir, "delta"), patch, 0o600))
}

// BenchmarkApply applies it, to mapped files and into one, as a client does.
func BenchmarkApply(b *testing.B) {
	dir := os.Getenv("DELTA_PAIR")
	if dir == "" {
		return
	}
	old, patch := mapFile(b, filepath.Join(dir, "old")), mapFile(b, filepath.Join(dir, "delta"))
	out, err := os.CreateTemp(dir, "made")
	must(b, err)
	defer os.Remove(out.Name())
	peak := &sampler{w: out, most: memoryOf("RssAnon:")}
	before, cpu := peak.most, processorTime()
	made, err := delta.ApplyAlone(peak, old, patch, maxBinary)
	must(b, err)
	took := processorTime() - cpu
	fresh, err := os.ReadFile(filepath.Join(dir, "new"))
	must(b, err)
	if fmt.Sprintf("%x", made.New) != fileOf(fresh).SHA256 {
		b.Fatal("another file")
	}
	fmt.Printf("%s\tapply: cpu %.3f s, anonymous memory %.0f MB\n", filepath.Base(dir), took.Seconds(), float64(peak.most-before)/(1<<20))
}

// A sampler notes the most anonymous memory that the process has, looking each megabyte that is written: to look costs
// a tenth of a millisecond, which is not Apply's.
type sampler struct {
	w       io.Writer
	most    int64
	n, next int
}

func (s *sampler) Write(p []byte) (int, error) {
	if s.n += len(p); s.n >= s.next {
		s.next = s.n + 1<<20
		s.most = max(s.most, memoryOf("RssAnon:"))
	}
	return s.w.Write(p)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // of oneself it does not fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memoryOf reads a number of bytes of Linux's /proc/self/status, 0 where there is none.
func memoryOf(field string) int64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), field)
	n, _ := strconv.ParseInt(append(strings.Fields(rest), "0")[0], 10, 64)
	return n << 10
}

func mapFile(b *testing.B, name string) []byte {
	b.Helper()
	f, err := os.Open(name)
	must(b, err)
	defer f.Close()
	info, err := f.Stat()
	must(b, err)
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	must(b, err)
	return data
}
