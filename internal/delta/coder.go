package delta

// A coder is an adaptive binary range coder that runs in either direction: with the same models
// and the same calls, an encoder takes the bits that it is given and a decoder returns them. What
// is written once for both cannot disagree with itself.
//
// The arithmetic is that of LZMA's range coder with 16-bit probabilities. The less likely value
// takes the lower part of the range, so that rounding favours the likely one.
type coder struct {
	encoding bool
	low      uint64
	width    uint32
	code     uint32
	in       []byte // decoder: what is left
	bad      bool   // decoder: the input ended early
	out      []byte // encoder: written so far, without cache and pending
	cache    byte
	pending  int64
	training bool   // bits are known: the models learn, nothing is coded
	tally    *tally // encoder: what the bits cost, if asked for
}

const (
	topWidth = 1 << 24
	// rcHeader is the number of bytes that a range coded body has at the least.
	rcHeader = 5
)

func newEncoder() *coder {
	return &coder{encoding: true, width: 0xffffffff, pending: 1}
}

func newDecoder(body []byte) (*coder, error) {
	if len(body) < rcHeader || body[0] != 0 {
		return nil, formatError("the body does not begin as one")
	}
	c := &coder{width: 0xffffffff, in: body[1:]}
	for range 4 {
		c.code = c.code<<8 | uint32(c.next())
	}
	return c, nil
}

// next takes a byte of the input. After its end there are zeros, and the coder is bad.
func (c *coder) next() byte {
	if len(c.in) == 0 {
		c.bad = true
		return 0
	}
	b := c.in[0]
	c.in = c.in[1:]
	return b
}

// bit codes one bit, p being the probability of 1 in 1/65536, from 1 to 65535.
func (c *coder) bit(bit int, p uint32) int {
	if c.training {
		return bit
	}
	bound := (c.width >> 16) * p
	if c.encoding {
		if c.tally != nil {
			c.tally.add(bit, p)
		}
		if bit != 0 {
			c.width = bound
		} else {
			c.low += uint64(bound)
			c.width -= bound
		}
		for c.width < topWidth {
			c.width <<= 8
			c.shift()
		}
		return bit
	}
	if c.code < bound {
		bit = 1
		c.width = bound
	} else {
		bit = 0
		c.code -= bound
		c.width -= bound
	}
	for c.width < topWidth {
		c.width <<= 8
		c.code = c.code<<8 | uint32(c.next())
	}
	return bit
}

// shift moves the top byte of low out, carrying into what was written.
func (c *coder) shift() {
	if c.low < 0xff000000 || c.low > 0xffffffff {
		carry := byte(c.low >> 32)
		for b := c.cache; c.pending > 0; c.pending-- {
			c.out = append(c.out, b+carry)
			b = 0xff
		}
		c.cache = byte(c.low >> 24)
	}
	c.pending++
	c.low = c.low << 8 & 0xffffffff
}

// finish returns what the encoder has written.
func (c *coder) finish() []byte {
	for range 5 {
		c.shift()
	}
	return c.out
}

// end tells whether the decoder has read its input to the end, and not beyond.
func (c *coder) end() error {
	if c.bad {
		return formatError("the body ends early")
	}
	if len(c.in) != 0 {
		return formatError("bytes after the body")
	}
	return nil
}
