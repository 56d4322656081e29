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
	length []odds // a context has a binary tree of 32, and one of 64 for what is longer
	upper  []odds // 64*8 a context
}

const (
	lengthOdds = 32 + 64
	longInt    = 31 // bits from which on the second tree is used
	rawBits    = 16 // that are coded at once
)

//go:noinline
func newIntModel(contexts int) *intModel {
	return &intModel{newOdds(contexts * lengthOdds), newOdds(contexts * 64 * 8)}
}

// tree codes v, of n bits, by 1<<n odds.
func (c *coder) tree(v, n int, odds []odds) int { return c.climb(1, v, n, odds) - 1<<n }

// climb codes the last n bits of v from a node of a tree on, and returns the node that they lead to. To decode, it has the
// coder's range at hand: most bits of deltas in which much is inserted are taken here.
func (c *coder) climb(node, v, n int, odds []odds) int {
	if c.give != nil {
		for n--; n >= 0; n-- {
			node = node<<1 | c.flag(v>>n&1, &odds[node])
		}
		return node
	}
	width, code := c.width, c.code
	for ; n > 0; n-- {
		o := &odds[node]
		if bound := width >> 16 * uint32(*o); code < bound {
			width = bound
			*o += (65535 - *o) >> modelRate
			node = node<<1 | 1
		} else {
			width -= bound
			code -= bound
			*o -= *o >> modelRate
			node <<= 1
		}
		if width < topWidth {
			width, code = c.widened(width, code)
		}
	}
	c.width, c.code = width, code
	return node
}

// uint codes v.
func (c *coder) uint(v uint64, m *intModel, context int) uint64 {
	n, length := bits.Len64(v), m.length[context*lengthOdds:][:lengthOdds]
	if short := c.tree(min(n, longInt), 5, length); short < longInt {
		n = short
	} else if n = longInt + c.tree(n-longInt, 6, length[32:]); n > 64 {
		c.bad = true
		return 0
	}
	if n < 2 {
		return uint64(n)
	}
	upper := m.upper[(context*64+n-1)*8:][:8]
	rest := n - 1
	k := min(rest, 3)
	rest -= k
	got := uint64(1)<<k | uint64(c.tree(int(v>>rest)&(1<<k-1), k, upper))
	for rest > 0 {
		k = min(rest, rawBits)
		rest -= k
		got = got<<k | c.raw(v>>rest&(1<<k-1), k)
	}
	return got
}

//go:noinline
func (c *coder) uints(m *intModel, all ...*uint64) {
	for _, v := range all {
		*v = c.uint(*v, m, 0)
	}
}

// int codes v, small absolute values being cheap.
func (c *coder) int(v int64, m *intModel, context int) int64 {
	u := c.uint(uint64(v<<1^v>>63), m, context)
	return int64(u>>1) ^ -int64(u&1)
}
