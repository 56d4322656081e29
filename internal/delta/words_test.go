package delta

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		for _, width := range []int{0, 1, 7, 8, 9, 40, 64} {
			w := make([]uint64, n*7)
			for i := range w {
				w[i] = r.Uint64() >> (64 - width)
			}
			want := slices.Clone(w)
			slices.Sort(want)
			if sortWords(w); !slices.Equal(w, want) {
				t.Fatal(n, width)
			}
		}
	}
}
