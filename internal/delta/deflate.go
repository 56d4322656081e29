package delta

import (
	"math/bits"
)

// A deflater makes a zlib stream of what is written to it, bit for bit as Go's linker does (compress/zlib at
// BestSpeed, which has not changed since Go 1.7). The standard library may choose other matches one day; this must
// not, since published deltas depend on it: it is frozen as the scanners are, and testdata holds it to that.
type deflater struct {
	bits   uint64 // not yet in out, the lowest first
	nbits  uint
	out    []byte // what was written, less what was taken away
	sum    uint32
	window [2 * blockLimit]byte // the block before, and this one
	n      int                  // bytes of this one
	start  uint32               // what positions of this one count from
	table  [1 << matchBits]seen
	tokens [blockLimit + 1]uint32
	nt     int
	freq   [maxLiterals + maxOffsets]int32
	codes  [maxLiterals + maxOffsets]code
}

// A seen is the last place of a hash, and what was there.
type seen struct{ value, at uint32 }

// A code is one of Huffman's, with its bits in the order in which they are written.
type code struct{ bits, n uint16 }

const (
	blockLimit  = 65535
	matchBits   = 14
	maxDistance = 1 << 15
	maxMatch    = 258
	lookAhead   = 15 // at the end of a block, where no match is looked for
	maxLiterals = 286
	maxOffsets  = 30
	endOfBlock  = 256
	isMatch     = 1 << 31 // token: length-3 in bits 16 to 23, distance-1 in the lower 16
)

func newDeflater() *deflater {
	return &deflater{start: blockLimit, sum: 1, out: []byte{0x78, 0x01}}
}

// write takes more of what is to be compressed.
func (d *deflater) write(b []byte) {
	d.check(b)
	for len(b) > 0 {
		if d.n == blockLimit {
			d.block()
		}
		n := copy(d.window[blockLimit+d.n:], b)
		d.n += n
		b = b[n:]
	}
}

// check continues the checksum (Adler-32, RFC 1950).
func (d *deflater) check(b []byte) {
	const mod, safe = 65521, 5552 // so many bytes cannot overflow
	a, s := d.sum&0xffff, d.sum>>16
	for i, v := range b {
		a += uint32(v)
		s += a
		if i%safe == safe-1 {
			a, s = a%mod, s%mod
		}
	}
	d.sum = s%mod<<16 | a%mod
}

// pushed compresses what there is, if it is a whole block.
func (d *deflater) pushed() {
	if d.n == blockLimit {
		d.block()
	}
}

// position returns how many bits there are of the stream, of which nothing was taken away.
func (d *deflater) position() uint64 { return 8*uint64(len(d.out)) + uint64(d.nbits) }

// close ends the stream.
func (d *deflater) close() {
	switch { // what is left may be little
	case d.n == 0:
	case d.n <= 16:
		d.stored()
	case d.n < 128:
		d.literals()
	default:
		d.block()
	}
	d.put(1, 3) // an empty stored block
	d.align()
	d.put(0xffff0000, 32)
	d.put(uint64(bits.ReverseBytes32(d.sum)), 32)
}

func (d *deflater) current() []byte { return d.window[blockLimit:][:d.n] }

// block compresses one block.
func (d *deflater) block() {
	d.match()
	if d.nt > d.n-d.n>>4 {
		d.literals()
	} else {
		d.mixed()
	}
	d.start += uint32(d.n)
	copy(d.window[:], d.current())
	d.n = 0
}

// put writes the lowest n bits of v, at most 32. Inlined everywhere it would make the program larger, as others here.
//
//go:noinline
func (d *deflater) put(v uint64, n uint) {
	d.bits |= v << d.nbits
	for d.nbits += n; d.nbits >= 8; d.nbits -= 8 {
		d.out = append(d.out, byte(d.bits))
		d.bits >>= 8
	}
}

func (d *deflater) align() { d.put(0, -d.nbits&7) }

func matchHash(v uint32) uint32 { return v * 0x1e35a7bd >> (32 - matchBits) }

// find notes that value is at place i of the block, and returns the place where it was last, if near enough.
//
//go:noinline
func (d *deflater) find(value uint32, i int) (at int, ok bool) {
	slot := &d.table[matchHash(value)]
	was, now := *slot, d.start+uint32(i)
	*slot = seen{value, now}
	return int(was.at) - int(d.start), now-was.at <= maxDistance && was.value == value
}

// match turns the block into tokens. After 32 bytes without a match it looks at every second byte only, and so on.
func (d *deflater) match() {
	d.nt = 0
	b := d.current()
	limit, done := len(b)-lookAhead, 0
	for i := 0; ; {
		skip, next, from, ok := 32, i, 0, false
		for !ok {
			i = next
			next = i + skip>>5
			skip += skip >> 5
			if next > limit {
				d.literal(b[done:])
				return
			}
			from, ok = d.find(le32(b[i:]), i)
		}
		d.literal(b[done:i])
		for ok {
			n := 4 + common(d.window[blockLimit+from+4:], b[i+4:min(i+maxMatch, len(b))])
			d.tokens[d.nt] = isMatch | uint32(n-3)<<16 | uint32(i-from-1)
			d.nt++
			i += n
			done = i
			if i >= limit {
				d.literal(b[done:])
				return
			}
			d.find(le32(b[i-1:]), i-1)
			from, ok = d.find(le32(b[i:]), i)
		}
		i++
	}
}

//go:noinline
func (d *deflater) literal(b []byte) {
	for _, v := range b {
		d.tokens[d.nt] = uint32(v)
		d.nt++
	}
}

// literals writes the block without its matches.
func (d *deflater) literals() {
	d.nt = 0
	d.literal(d.current())
	d.mixed()
}

// mixed writes the tokens as a block, or stores it where that is hardly longer.
func (d *deflater) mixed() {
	d.tokens[d.nt] = endOfBlock
	tokens := d.tokens[:d.nt+1]
	clear(d.freq[:])
	for _, t := range tokens {
		if t&isMatch == 0 {
			d.freq[t]++
			continue
		}
		length, _ := lengthCode(t >> 16 & 0xff)
		offset, _ := offsetCode(t & 0xffff)
		d.freq[endOfBlock+1+length]++
		d.freq[maxLiterals+offset]++
	}
	literals, offsets := d.freq[:maxLiterals], d.freq[maxLiterals:]
	nl, no := used(literals), used(offsets)
	if no == 0 {
		offsets[0], no = 1, 1
	}
	size := huffman(d.codes[:maxLiterals], literals, 15) + huffman(d.codes[maxLiterals:], offsets, 15)
	h := newTreeHeader(d.codes[:nl], d.codes[maxLiterals:][:no])
	size += h.size()
	if (d.n+5)*8 < size+size>>4 {
		d.stored()
		return
	}
	d.put(4, 3)
	h.write(d, nl, no)
	for _, t := range tokens {
		d.token(t)
	}
}

func (d *deflater) stored() {
	d.put(0, 3)
	d.align()
	d.put(uint64(d.n)|uint64(^uint16(d.n))<<16, 32)
	for _, v := range d.current() {
		d.put(uint64(v), 8)
	}
}

func (d *deflater) token(t uint32) {
	if t&isMatch == 0 {
		d.code(t)
		return
	}
	length, extra := lengthCode(t >> 16 & 0xff)
	d.code(endOfBlock + 1 + length)
	d.put(uint64(t>>16)&(1<<extra-1), extra)
	offset, extra := offsetCode(t & 0xffff)
	d.code(maxLiterals + offset)
	d.put(uint64(t)&(1<<extra-1), extra)
}

func (d *deflater) code(i uint32) { d.put(uint64(d.codes[i].bits), uint(d.codes[i].n)) }

// lengthCode returns the code of a length less 3, and the number of bits that follow it (RFC 1951, 3.2.5).
func lengthCode(v uint32) (code uint32, extra uint) {
	if v < 8 || v == 255 {
		return min(v, 28), 0
	}
	extra = uint(bits.Len32(v)) - 3
	return uint32(extra)<<2 + v>>extra, extra
}

// offsetCode returns the code of a distance less 1, and the number of bits that follow it.
func offsetCode(v uint32) (code uint32, extra uint) {
	if v < 2 {
		return v, 0
	}
	extra = uint(bits.Len32(v)) - 2
	return uint32(extra)<<1 + v>>extra, extra
}

// used returns the number of frequencies up to the last one that is not 0.
func used(freq []int32) int {
	n := len(freq)
	for n > 0 && freq[n-1] == 0 {
		n--
	}
	return n
}

// A leaf is a symbol and how often it occurs: frequency<<32 | symbol.
type leaf uint64

func (l leaf) symbol() uint32 { return uint32(l) }
func (l leaf) freq() int32    { return int32(l >> 32) }

// sortLeaves sorts by frequency and symbol, or by symbol alone. There are few, and nearly sorted ones.
func sortLeaves(l []leaf, byFrequency bool) {
	mask := leaf(1<<32 - 1)
	if byFrequency {
		mask = 1<<64 - 1
	}
	for i := range l {
		for k := i; k > 0 && l[k]&mask < l[k-1]&mask; k-- {
			l[k], l[k-1] = l[k-1], l[k]
		}
	}
}

// huffman makes the codes for the frequencies, none longer than most bits, and returns what they take together.
func huffman(codes []code, freq []int32, most int) (size int) {
	var room [maxLiterals]leaf
	count := 0
	for i, f := range freq {
		codes[i] = code{}
		if f > 0 {
			room[count] = leaf(f)<<32 | leaf(i)
			count++
		}
	}
	rest, lengths := room[:count], [16]int{1: count}
	if count > 2 {
		sortLeaves(rest, true)
		lengths = packageMerge(rest, min(most, count-1))
	}
	next := uint16(0)
	for n, count := range lengths {
		next <<= 1
		same := rest[len(rest)-count:]
		rest = rest[:len(rest)-count]
		sortLeaves(same, false)
		for _, l := range same {
			codes[l.symbol()] = code{bits.Reverse16(next << (16 - n)), uint16(n)}
			size += n * int(l>>32)
			next++
		}
	}
	return size
}

// packageMerge returns how many codes there are of each length (Larmore and Hirschberg, 1990). Of equal weights a
// package goes before a leaf.
func packageMerge(leaves []leaf, most int) (lengths [16]int) {
	var rows [15][2 * maxLiterals]bool // of each level, which items are leaves
	var weights, below [2 * maxLiterals]int32
	all := 0
	for level := range most {
		below = weights
		i, k, n := 0, 0, 0
		for ; i < len(leaves) || k+1 < all; n++ {
			rows[level][n] = k+1 >= all || i < len(leaves) && leaves[i].freq() < below[k]+below[k+1]
			if rows[level][n] {
				weights[n] = leaves[i].freq()
				i++
			} else {
				weights[n] = below[k] + below[k+1]
				k += 2
			}
		}
		all = n
	}
	items := 2*len(leaves) - 2
	for level := most - 1; level >= 0; level-- {
		count := 0
		for _, isLeaf := range rows[level][:items] {
			if isLeaf {
				count++
			}
		}
		lengths[most-level] = count
		if level < most-1 {
			lengths[most-level-1] -= count
		}
		items = 2 * (items - count)
	}
	return lengths
}
