package repo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/delta"
)

// BenchmarkCorpus prints what deltas take for the pairs in $DELTA_CORPUS: each a folder with the
// files old and new. `make bench-delta` builds them.
func BenchmarkCorpus(b *testing.B) {
	pairs, err := filepath.Glob(filepath.Join(os.Getenv("DELTA_CORPUS"), "*", "new"))
	if err != nil || os.Getenv("DELTA_CORPUS") == "" {
		return
	}
	for _, path := range pairs {
		dir := filepath.Dir(path)
		old, err := os.ReadFile(filepath.Join(dir, "old"))
		if err != nil {
			b.Fatal(err)
		}
		fresh, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		patch, stats, err := delta.Diff(old, fresh, delta.Options{})
		if err != nil {
			b.Fatal(err)
		}
		made := time.Now()
		var out bytes.Buffer
		out.Grow(len(fresh))
		if _, err := delta.ApplyAlone(&out, old, patch, int64(len(fresh))); err != nil || !bytes.Equal(out.Bytes(), fresh) {
			b.Fatalf("not reproduced: %v", err)
		}
		fmt.Printf("%s\t%d\t%d\tdiff %.1f s\tapply %.2f s\tsteps %d rounds %d inserted %d\n", filepath.Base(dir), len(fresh), len(patch),
			made.Sub(start).Seconds(), time.Since(made).Seconds(), stats.Steps, stats.Ops, stats.Inserted)
	}
}
