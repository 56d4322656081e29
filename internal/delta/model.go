package delta

import "math/bits"

// odds are the chance of a 1 in 1/65536. They always learn as fast, and stay between 7 and 65528.
type odds uint16

const (
	evenOdds  = odds(1 << 15)
	modelRate = 5 // the way that they go each time, 1/32, if nothing else is said
)

func (o *odds) learn(bit int, rate uint) {
	if bit != 0 {
		*o += (65535 - *o) >> rate
	} else {
		*o -= *o >> rate
	}
}

//go:noinline
func even(o []odds) {
	for i := range o {
		o[i] = evenOdds
	}
}

//go:noinline
func newOdds(n int) []odds {
	o := make([]odds, n)
	even(o)
	return o
}

// flag codes one bit.
func (c *coder) flag(bit int, o *odds) int {
	bit = c.bit(bit, uint32(*o))
	o.learn(bit, modelRate)
	return bit
}

// An intModel codes whole numbers: first the number of bits, then the bits below the leading one,
// the upper three of which are modelled.
type intModel struct {
	length []odds // 128 a context, a binary tree
	upper  []odds // 64*8 a context
}

//go:noinline
func newIntModel(contexts int) *intModel {
	return &intModel{newOdds(contexts * 128), newOdds(contexts * 64 * 8)}
}

// uint codes v.
func (c *coder) uint(v uint64, m *intModel, context int) uint64 {
	n := bits.Len64(v)
	tree, node := m.length[context*128:context*128+128], 1
	for i := 6; i >= 0; i-- {
		node = node<<1 | c.flag(n>>i&1, &tree[node])
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
			bit = c.flag(bit, &upper[at])
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
