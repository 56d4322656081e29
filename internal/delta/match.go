package delta

import (
	"encoding/binary"
	"math/bits"
)

// A matcher finds stretches of one file in another. Like bsdiff it goes through the new file,
// follows an alignment through small differences and leaves it where another one is clearly
// better; unlike bsdiff it looks alignments up by hashes of 8 bytes, since the files are nearly
// equal and no suffix sort is needed.
type matcher struct {
	old    []byte
	starts []uint32 // by hash, where its places begin
	places []uint32 // those of one hash next to each other, in order: the place, and below it more bits of the hash
	bits   int      // of the hash
	tag    int      // more bits
}

const (
	seedLength = 8
	hashFactor = 0x9e3779b97f4a7c15
	maxChain   = 24
)

func newMatcher(old []byte) *matcher {
	size := bits.Len(uint(len(old)))
	m := &matcher{old: old, bits: max(10, min(22, size-4)), tag: 32 - size}
	m.starts = make([]uint32, 1<<m.bits+1)
	if len(old) > seedLength {
		m.count()
		m.fill()
	}
	return m
}

// count makes starts, for now where the places of each hash end.
func (m *matcher) count() {
	before := word(m.old) * hashFactor
	for i := 1; i+seedLength <= len(m.old); i++ {
		v := word(m.old[i:]) * hashFactor
		if uint32(v) < uint32(before) {
			m.starts[v>>(64-m.bits)]++
		}
		before = v
	}
	sum := uint32(0)
	for h, n := range m.starts {
		sum += n
		m.starts[h] = sum
	}
	m.places = make([]uint32, sum)
}

// fill makes places, from the last one on.
func (m *matcher) fill() {
	i := len(m.old) - seedLength
	for v := word(m.old[i:]) * hashFactor; i > 0; i-- {
		before := word(m.old[i-1:]) * hashFactor
		if uint32(v) < uint32(before) {
			at := &m.starts[v>>(64-m.bits)]
			*at--
			m.places[*at] = uint32(i)<<m.tag | m.more(v)
		}
		v = before
	}
}

// seed hashes the 8 bytes at i, which is not 0, and tells whether they are to be looked up: if what is below in the
// hash is less than it is at the place before. Those are half of all places, the same in both files wherever they are, and none
// in runs of one byte.
func seed(b []byte, i int) (v uint64, ok bool) {
	b = b[i-1 : i+seedLength]
	v = word(b[1:]) * hashFactor
	return v, uint32(v) < uint32(word(b)*hashFactor)
}

// more returns the bits of a hash below those that are looked up.
func (m *matcher) more(v uint64) uint32 { return uint32(v << m.bits >> 1 >> (63 - m.tag)) }

// near tells whether a place is where matches are cheap to say.
const nearby = 1 << 12

func near(a, b int) bool { return uint(a-b+nearby) < 2*nearby }

// longest returns the place in old with the match of fresh from scan on that is worth most: length less what it
// costs to say where. Places at hints come first and cost nothing.
func (m *matcher) longest(fresh []byte, scan, hint, expected, far int) (at, n, worth int) {
	rest := fresh[scan:]
	for _, h := range [...]int{hint, expected} {
		if h >= 0 && h < len(m.old) {
			if l := common(m.old[h:], rest); l > n {
				at, n, worth = h, l, l
			}
		}
	}
	if scan == 0 || len(rest) < seedLength {
		return at, n, worth
	}
	v, ok := seed(fresh, scan)
	if !ok {
		return at, n, worth
	}
	h, more, mask, looked := v>>(64-m.bits), m.more(v), uint32(1)<<m.tag-1, 0
	places := m.places[m.starts[h]:m.starts[h+1]]
	for k := len(places) - 1; k >= 0 && looked < maxChain; k-- {
		if places[k]&mask != more {
			continue
		}
		looked++
		i, cost := int(places[k]>>m.tag), far
		if near(i, hint) || near(i, expected) {
			cost = 1
		}
		need := worth + cost
		if need >= len(rest) || i+need >= len(m.old) || m.old[i+need] != rest[need] {
			continue
		}
		if l := common(m.old[i:], rest); l-cost > worth {
			at, n, worth = i, l, l-cost
		}
	}
	return at, n, worth
}

// word is le64, but inlined: it is most of the time.
func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := word(a[i:]) ^ word(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
