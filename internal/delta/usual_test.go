package delta

import (
	"math/rand/v2"
	"testing"
)

// The short way to measure an instruction finds what the long way does.
func TestUsualInstructions(t *testing.T) {
	r, short := rand.New(rand.NewPCG(4, 2)), 0
	for range 2_000_000 {
		b := make([]byte, longestRead, longestRead+1)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 {
			b[0] = 0x40 | b[0]&15
		}
		n, field, size := usual(b)
		if n == 0 {
			continue
		}
		short++
		if wantN, wantField, wantSize := instruction(append(b, 0)); n != wantN || field != wantField || size != wantSize {
			t.Fatalf("% x: %d %d %d, and not %d %d %d", b, n, field, size, wantN, wantField, wantSize)
		}
	}
	if short < 500_000 {
		t.Errorf("%d of two million are usual", short)
	}
}
