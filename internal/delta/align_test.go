package delta

import (
	"bytes"
	"cmp"
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

// An outlook finds each place of a file in the file itself, if it is one that is looked up, and nothing for the others.
func TestOutlook(t *testing.T) {
	b := text(2000, 0)
	m, o := newMatcher(b), &outlook{}
	for scan := 1; scan+seedLength <= len(b); scan = o.from + o.n {
		if scan > len(b)/2 && o.n == farthest {
			o.n = 0 // as after a jump
		}
		m.look(o, b, scan)
		for k, s := range o.spans[:o.n] {
			v := word(b[scan+k:]) * hashFactor
			want := chosen(v, word(b[scan+k-1:])*hashFactor) == 1
			if got := slices.Contains(m.places[s.from:s.to], uint32(scan+k)<<m.tag|m.more(v)); got != want || !want && s.to > s.from {
				t.Fatalf("place %d of %d: found %v, to be looked up %v", scan+k, len(b), got, want)
			}
		}
	}
}

// A matcher knows half of all places or so, by their hashes, in order: what sorting them at once would give.
func TestPlacesAreKnown(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	noise := make([]byte, 1<<16)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for name, b := range map[string][]byte{"noise": noise, "text": text(2000, 0), "short": noise[:9], "shorter": noise[:8],
		"runs": slices.Concat(make([]byte, 5000), bytes.Repeat([]byte("abc"), 5000), noise[:3000], make([]byte, 70))} {
		m := newMatcher(b)
		var want []uint64 // hash, place
		for i := 1; i+seedLength <= len(b); i++ {
			if v := word(b[i:]) * hashFactor; uint32(v) < uint32(word(b[i-1:])*hashFactor) {
				want = append(want, v>>(64-m.bits)<<32|uint64(uint32(i)<<m.tag|m.more(v)))
			}
		}
		slices.SortFunc(want, func(a, b uint64) int {
			return cmp.Or(cmp.Compare(a>>32, b>>32), cmp.Compare(uint32(a)>>m.tag, uint32(b)>>m.tag))
		})
		var got []uint64
		for h := range len(m.starts) - 1 {
			for _, p := range m.places[m.starts[h]:m.starts[h+1]] {
				got = append(got, uint64(h)<<32|uint64(p))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d places, and not %d, or others", name, len(got), len(want))
		}
		if n := len(want); name == "noise" && (n < len(b)*2/5 || n > len(b)*3/5) {
			t.Errorf("%d of %d places are looked up", n, len(b))
		}
	}
}

// References in two runs, or in more, come in order, and those of one offset as they were.
func TestOrderOfReferences(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for runs := range 5 {
		var list []placed
		for k := range runs {
			for off := uint32(0); off < 1000; off += r.Uint32N(9) {
				list = append(list, placed{off: off, target: uint64(k)<<32 | uint64(len(list))})
			}
		}
		order(list)
		if !slices.IsSortedFunc(list, func(a, b placed) int { return cmp.Or(cmp.Compare(a.off, b.off), cmp.Compare(a.target, b.target)) }) {
			t.Errorf("%d runs: not in order", runs)
		}
	}
}

func TestOrderOfVotes(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	list := make([]vote, 20_000)
	for i := range list {
		list[i] = vote{r.Uint64N(300) << r.IntN(50), int64(r.IntN(5) - 2)}
	}
	sortVotes(list, 56)
	if !slices.IsSortedFunc(list, func(a, b vote) int { return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.shift, b.shift)) }) {
		t.Error("not in order")
	}
}
