package delta

import (
	"math/rand/v2"
	"testing"
)

// The short way to measure instructions finds what the long way does.
func TestPlainInstructions(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	code := make([]byte, 4<<20)
	for i := range code {
		code[i] = byte(r.Uint32())
		if r.IntN(8) == 0 {
			code[i] = []byte{0x48, 0x0f, 0xe8, 0x8d, 0x05, 0x8b, 0x24, 0x25}[r.IntN(8)]
		}
	}
	short, all, stop := 0, 0, uint64(len(code)-100)
	for off := uint64(0); off < stop; {
		at, n, field, size := plain(code, off, stop)
		for off < at {
			k, _, refers := instruction(code[off:][:longestRead])
			if k == 0 || refers != 0 {
				t.Fatalf("% x was passed over", code[off:][:longestRead])
			}
			off, short, all = off+uint64(k), short+1, all+1
		}
		wantN, wantField, wantSize := instruction(code[off:][:longestRead])
		if n > 0 && (n != wantN || field != wantField || size != wantSize || size == 0) {
			t.Fatalf("% x: %d %d %d, and not %d %d %d", code[off:][:longestRead], n, field, size, wantN, wantField, wantSize)
		}
		if n > 0 {
			short++
		}
		all++
		off += uint64(max(wantN, 1))
	}
	if short < all/2 {
		t.Errorf("%d of %d are plain", short, all)
	}
}
