package delta

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// Parts of a large file are aligned beside each other. What comes out is the same however many at a time, and misses nothing of
// what moved, across parts too.
func TestAlignmentOfParts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	old := make([]byte, 2*alignedPart)
	for i := 0; i < len(old); i += 8 {
		put64(old[i:], r.Uint64())
	}
	const third, inserted = alignedPart * 2 / 3, 1000
	fresh := slices.Concat(old[2*third:], old[:third], bytes.Repeat([]byte("new"), inserted), old[third:2*third])
	m := newMatcher(old)
	found := m.stretches(fresh, fewCosts, nil)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if !slices.Equal(found, m.stretches(fresh, fewCosts, nil)) {
		t.Error("another alignment with one processor")
	}
	if n := copied(found); n < len(old)-100 || n > len(old)+100 || changed(old, fresh, found) > 100 {
		t.Errorf("%d bytes of %d copied, %d of them changed", n, len(old), changed(old, fresh, found))
	}
	if rounds := ops(found, len(fresh)); len(rounds) > 6 {
		t.Errorf("%d rounds for three pieces in three parts", len(rounds))
	}
}

// A place that is looked up is one wherever it is in a file, and one in two or so is.
func TestSeedsMoveAlong(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	b := make([]byte, 1<<16)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	n := 0
	for i := 1; i+seedLength < len(b); i++ {
		v, ok := seed(b, i)
		w, also := seed(b[i-1:], 1)
		if v != w || ok != also {
			t.Fatalf("place %d is looked up, or not, for where it is", i)
		}
		n += one(ok)
	}
	if n < len(b)*2/5 || n > len(b)*3/5 {
		t.Errorf("%d of %d places are looked up", n, len(b))
	}
}
