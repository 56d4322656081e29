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
	m := &matcher{old: old, bits: max(10, min(21, size-4)), tag: 32 - size}
	m.starts = make([]uint32, 1<<m.bits+1)
	if len(old) > seedLength {
		m.fill()
	}
	return m
}

// Places are sorted by hash in steps, each of which stays within a processor's cache: by the upper bits into heaps, each heap by
// the bits below into piles, and then each pile.
const (
	heapBits = 4
	pileBits = 8 // of heap and pile
	heaps    = 1 << heapBits
	perHeap  = 1 << (pileBits - heapBits)
)

type pileCounts [heaps][perHeap]uint32

// fill makes starts and places.
func (m *matcher) fill() {
	counts := m.count()
	var sizes [heaps]uint32
	all, most := uint32(0), uint32(0)
	for k := range counts {
		for _, n := range counts[k] {
			sizes[k] += n
		}
		all += sizes[k]
		most = max(most, sizes[k])
	}
	m.places = make([]uint32, all+1)
	m.heap(sizes)
	places, room := m.places[:all], make([]uint64, most)
	m.places = places
	for k, size := range sizes {
		seeds := room[:size]
		m.pile(seeds, places[:size], &counts[k])
		for j, n := range counts[k] {
			m.sort(k*perHeap+j, seeds[:n])
			seeds = seeds[n:]
		}
		places = places[size:]
	}
}

// count counts the places that are to be looked up, by pile.
func (m *matcher) count() (counts pileCounts) {
	before := word(m.old) * hashFactor
	for i := 1; i+seedLength <= len(m.old); i++ {
		v := word(m.old[i:]) * hashFactor
		counts[v>>(64-heapBits)][v<<heapBits>>(64+heapBits-pileBits)] += chosen(v, before)
		before = v
	}
	return counts
}

// heap puts places into heaps, in order. Those that are not to be looked up go behind all, over each other: no processor could
// foretell which they are.
func (m *matcher) heap(sizes [heaps]uint32) {
	var next [2 * heaps]uint32
	at := uint32(0)
	for k, n := range sizes {
		next[k], next[heaps+k] = at, uint32(len(m.places)-1)
		at += n
	}
	before := word(m.old) * hashFactor
	for i := 1; i+seedLength <= len(m.old); i++ {
		v := word(m.old[i:]) * hashFactor
		yes := chosen(v, before)
		k := v>>(64-heapBits) | uint64(yes^1)<<heapBits
		m.places[next[k]] = uint32(i)
		next[k] += yes
		before = v
	}
}

// pile puts the hashes of a heap into piles, each with its place in its lowest bits.
func (m *matcher) pile(seeds []uint64, heap []uint32, counts *[perHeap]uint32) {
	var next [perHeap]uint32
	for k := range perHeap - 1 {
		next[k+1] = next[k] + counts[k]
	}
	below := 32 - m.tag
	for _, i := range heap {
		v := word(m.old[i:]) * hashFactor
		at := &next[v<<heapBits>>(64+heapBits-pileBits)]
		seeds[*at] = v>>below<<below | uint64(i)
		*at++
	}
}

// sort makes what the places of pile k are looked up by.
func (m *matcher) sort(k int, seeds []uint64) {
	shift, size, mask := 64-m.bits, 1<<(m.bits-pileBits), uint64(1)<<(32-m.tag)-1
	from := k * size
	sum, ends := m.starts[from], m.starts[from+1:][:size] // where places of a hash end; before that their number, then where the next goes
	for _, v := range seeds {
		ends[int(v>>shift)-from]++
	}
	for h, n := range ends {
		ends[h] = sum
		sum += n
	}
	for _, v := range seeds {
		at := &ends[int(v>>shift)-from]
		m.places[*at] = uint32(v&mask)<<m.tag | m.more(v)
		*at++
	}
}

// chosen is 1 if a place is to be looked up: if what is below in its hash is less than it is at the place before. Those
// are half of all places, the same in both files wherever they are, and none in runs of one byte.
func chosen(v, before uint64) uint32 {
	_, less := bits.Sub32(uint32(v), uint32(before), 0)
	return less
}

// more returns the bits of a hash below those that are looked up.
func (m *matcher) more(v uint64) uint32 { return uint32(v << m.bits >> 1 >> (63 - m.tag)) }

// near tells whether a place is where matches are cheap to say.
const nearby = 1 << 12

func near(a, b int) bool { return uint(a-b+nearby) < 2*nearby }

// An outlook is where what the next bytes of the new file hash to is found. Memory is asked for many at a time, since it
// takes long to answer, and can answer several questions in that time.
type outlook struct {
	from, n int // the places that it is for
	seeds   [farthest]uint64
	which   [farthest]uint8
	spans   [farthest]span
	touched byte
}

// A span is the places of one hash that may match.
type span struct{ from, to, more uint32 }

// farthest is how many places an outlook is for when one follows the other; the first after a jump is for nearest.
const (
	nearest  = 2
	farthest = 32
)

// look makes an outlook of fresh from scan on, which is not 0.
func (m *matcher) look(o *outlook, fresh []byte, scan int) {
	n := nearest
	if o.n > 0 && scan == o.from+o.n {
		n = min(2*o.n, farthest)
	}
	o.from, o.n = scan, min(n, len(fresh)-seedLength+1-scan)
	clear(o.spans[:o.n])
	before, found := word(fresh[scan-1:])*hashFactor, 0
	for k := range o.n {
		v := word(fresh[scan+k:]) * hashFactor
		o.seeds[found], o.which[found] = v, uint8(k)
		found += int(chosen(v, before))
		before = v
	}
	for i, v := range o.seeds[:found] {
		h := v >> (64 - m.bits)
		o.spans[o.which[i]] = span{m.starts[h], m.starts[h+1], m.more(v)}
	}
	mask := uint32(1)<<m.tag - 1
	for _, k := range o.which[:found] {
		s := &o.spans[k]
		for s.to > s.from && m.places[s.to-1]&mask != s.more {
			s.to--
		}
	}
	for _, k := range o.which[:found] {
		if s := o.spans[k]; s.to > s.from {
			o.touched += m.old[m.places[s.to-1]>>m.tag]
		}
	}
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

// commonEnd is common for the ends.
func commonEnd(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := word(a[n-i-8:]) ^ word(b[n-i-8:]); x != 0 {
			return i + bits.LeadingZeros64(x)/8
		}
	}
	for i < n && a[n-i-1] == b[n-i-1] {
		i++
	}
	return i
}
