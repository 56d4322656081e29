package delta

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// measuredDiff makes a patch as a publisher does, both files read. It prints the same.
func measuredDiff(old, fresh string) {
	a, err1 := os.ReadFile(old)
	b, err2 := os.ReadFile(fresh)
	if err := errors.Join(err1, err2); err != nil {
		panic(err)
	}
	var err error
	peak := anonymous(func() { _, _, err = Diff(a, b, Options{}) })
	fmt.Println(peak, memory("VmHWM:"), kindOf(err), err)
}

// measureDiff runs one that makes a patch, and reads the files for that.
func measureDiff(t *testing.T, old, fresh []byte) (anonymous, peak float64, result string) {
	t.Helper()
	return measuredBy(t, map[string][]byte{"DELTA_MEASURE_OLD": old, "DELTA_MEASURE_NEW": fresh})
}

// Diff takes at most 12 times the larger file, the files themselves included. Of small files its tables count, in MB.
const (
	diffTimes   = 12
	dataTables  = 18
	goTables    = 20
	dwarfTables = 33
)

func TestMemoryOfDiff(t *testing.T) {
	const size = 2 << 20
	noise := random(11, size)
	for _, c := range []struct {
		name       string
		old, fresh []byte
		tables     float64
	}{
		{"packed", pieces(size, 0), pieces(size, 1), dataTables},
		{"noise to other noise", noise, random(12, size), dataTables},
		{"noise to nothing", noise, nil, dataTables},
		{"nothing to noise", nil, noise, dataTables},
		{"records in another order", records(size, 0), records(size, 1), dataTables},
		{"half of it anew", noise, slices.Concat(noise[:size/2], text(5000, 1), random(13, size/4), sprinkled(bytes.Clone(noise[size*3/4:]))), dataTables},
		{"small", pieces(size/4, 0), pieces(size/4, 1), dataTables},
		{"a program", build(t, platforms[0], 0, stripped...), build(t, platforms[0], 1, stripped...), goTables},
		{"with debugging information", build(t, platforms[0], 0), build(t, platforms[0], 1), dwarfTables},
	} {
		t.Run(c.name, func(t *testing.T) {
			used, _, result := measureDiff(t, c.old, c.fresh)
			larger := float64(max(len(c.old), len(c.fresh))) / (1 << 20)
			t.Logf("%.1f MB: %.1f MB anonymous, %.1f times", larger, used, used/larger)
			if result != "<nil>" || used > max(diffTimes*larger, c.tables) {
				t.Errorf("%s, %.1f MB for files of %.1f MB", result, used, larger)
			}
		})
	}
}

// records are n bytes of records, each three times, in an order of their own for each version.
func records(n int, version uint64) (out []byte) {
	all := random(14, n/3)
	for len(out)+len(all) <= n {
		out = append(out, all...)
	}
	const record = 6
	rand.New(rand.NewPCG(15, version)).Shuffle(len(out)/record, func(i, j int) {
		for k := range record {
			out[record*i+k], out[record*j+k] = out[record*j+k], out[record*i+k]
		}
	})
	return out
}
