package delta

import "math/bits"

// A chance is an adaptive probability of a 1: 22 bits of probability and 10 bits of a count that
// makes it learn fast at first and slowly later.
type chance uint32

const (
	evenChance = chance(1 << 31)
	countMask  = 1<<10 - 1
)

// reciprocal[n] is 65536/(n+1.5): how far the n-th observation moves a chance.
var reciprocal = makeReciprocal()

func makeReciprocal() (t [256]uint32) {
	for n := range t {
		t[n] = uint32(131072 / (2*n + 3))
	}
	return t
}

func (c *chance) learn(bit int, limit uint32) {
	n := uint32(*c) & countMask
	p := int64(uint32(*c) >> 10)
	target := int64(bit) * (1<<22 - 1)
	p += (target - p) * int64(reciprocal[n]) >> 16
	if n < limit {
		n++
	}
	*c = chance(uint32(p)<<10 | n)
}

// p16 is the probability in 1/65536.
func (c chance) p16() uint32 { return clamp(uint32(c) >> 16) }

func clamp(p uint32) uint32 { return min(max(p, 1), 65535) }

//go:noinline
func newChances(n int) []chance {
	t := make([]chance, n)
	for i := range t {
		t[i] = evenChance
	}
	return t
}

// flag codes one bit with one chance.
func (c *coder) flag(bit int, p *chance, limit uint32) int {
	bit = c.bit(bit, p.p16())
	p.learn(bit, limit)
	return bit
}

// An intModel codes whole numbers: first the number of bits, then the bits below the leading one,
// the upper three of which are modelled.
type intModel struct {
	length []chance // 64 a context, a binary tree
	upper  []chance // 64*8 a context
}

//go:noinline
func newIntModel(contexts int) *intModel {
	return &intModel{newChances(contexts * 128), newChances(contexts * 64 * 8)}
}

const intLimit = 60

// uint codes v.
func (c *coder) uint(v uint64, m *intModel, context int) uint64 {
	n := bits.Len64(v)
	tree, node := m.length[context*128:context*128+128], 1
	for i := 6; i >= 0; i-- {
		node = node<<1 | c.flag(n>>i&1, &tree[node], intLimit)
		if node >= 128 {
			break
		}
	}
	n = node & 127
	if n > 64 {
		c.bad = true
		return 0
	}
	if n < 2 {
		return uint64(n)
	}
	upper := m.upper[(context*64+n-1)*8:][:8]
	got, at := uint64(1), 1
	for i := n - 2; i >= 0; i-- {
		bit := int(v >> i & 1)
		if at < 8 {
			bit = c.flag(bit, &upper[at], intLimit)
			at = at<<1 | bit
		} else {
			bit = c.bit(bit, 1<<15)
		}
		got = got<<1 | uint64(bit)
	}
	return got
}

// int codes v, small absolute values being cheap.
func (c *coder) int(v int64, m *intModel, context int) int64 {
	u := c.uint(uint64(v<<1^v>>63), m, context)
	return int64(u>>1) ^ -int64(u&1)
}
