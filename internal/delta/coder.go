package delta

import "slices"

// A coder is an adaptive binary range coder that runs in either direction: with the same models
// and the same calls, an encoder takes the bits that it is given and a decoder returns them. What
// is written once for both cannot disagree with itself. Three loops in which most bits of large deltas are decoded are written
// twice, since the range is then at hand: climb, half and unchanged.
//
// The arithmetic is that of LZMA's range coder with 16-bit probabilities. The less likely value
// takes the lower part of the range, so that rounding favours the likely one.
type coder struct {
	encoding bool
	low      uint64
	width    uint32
	code     uint32
	in       []byte   // decoder
	at       int      // decoder: how much of the input is read, and zeros after its end
	trimmed  int      // zeros that are left out at the end, at the most
	bad      bool     // decoder: the input ended early
	full     [][]byte // encoder: written so far, in pieces,
	out      []byte   // and the last of them, without cache and pending
	cache    byte
	pending  int64
	give     func(bit int, p uint32) // takes a bit that is known; nil where bits are decoded
	raise    func(v uint64, n int)   // encoder: takes n bits at even odds
	room     room                    // for what the plan leads to
	tally    *tally                  // encoder: what the bits cost, if asked for
}

const (
	topWidth = 1 << 24
	// maxTrimmed is how many zeros an encoder leaves out at the end.
	maxTrimmed = 4
)

func newEncoder() *coder {
	c := &coder{encoding: true, width: 0xffffffff, pending: 1, trimmed: maxTrimmed, room: tableRoom, out: make([]byte, 0, pieceSize)}
	c.give, c.raise = c.put, c.putRaw // so that programs that only decode do not link them
	return c
}

func newDecoder(body []byte) *coder {
	c := &coder{width: 0xffffffff, in: body, trimmed: maxTrimmed, room: tableRoom}
	for range 4 {
		c.code = c.code<<8 | c.next()
	}
	return c
}

// next takes a byte of the input. After its end there are the zeros that were left out; beyond those, the coder is bad.
func (c *coder) next() uint32 {
	c.at++
	if c.at <= len(c.in) {
		return uint32(c.in[c.at-1])
	}
	c.bad = c.bad || c.at > len(c.in)+c.trimmed
	return 0
}

// bit codes one bit, p being the probability of 1 in 1/65536, from 1 to 65535.
func (c *coder) bit(bit int, p uint32) int {
	if c.give != nil {
		c.give(bit, p)
		return bit
	}
	w := c.width >> 16 * p
	if c.code < w {
		bit = 1
	} else {
		bit = 0
		c.code -= w
		w = c.width - w
	}
	if c.width = w; w < topWidth {
		c.width, c.code = c.widened(w, c.code)
	}
	return bit
}

// widened reads until a range is wide enough.
//
//go:noinline
func (c *coder) widened(width, code uint32) (uint32, uint32) {
	for width < topWidth {
		width, code = width<<8, code<<8|c.next()
	}
	return width, code
}

// raw codes n bits, at most rawBits, each of which may as well be 0 as 1.
func (c *coder) raw(v uint64, n int) uint64 {
	if c.raise != nil {
		c.raise(v, n)
		return v
	}
	w := c.width >> n
	v = min(uint64(c.code/w), 1<<n-1)
	c.width, c.code = c.widened(w, c.code-uint32(v)*w)
	return v
}

// put encodes a bit.
func (c *coder) put(bit int, p uint32) {
	bound := c.width >> 16 * p
	if c.tally != nil {
		c.tally.add(bit, p)
	}
	if bit != 0 {
		c.width = bound
	} else {
		c.low += uint64(bound)
		c.width -= bound
	}
	c.carry()
}

// putRaw encodes what raw decodes.
func (c *coder) putRaw(v uint64, n int) {
	if c.tally != nil {
		c.tally.raw(n)
	}
	c.width >>= n
	c.low += v * uint64(c.width)
	c.carry()
}

// carry moves out what is settled.
func (c *coder) carry() {
	for c.width < topWidth {
		c.width <<= 8
		c.shift()
	}
}

// shift moves the top byte of low out, carrying into what was written.
func (c *coder) shift() {
	if c.low < 0xff000000 || c.low > 0xffffffff {
		carry := byte(c.low >> 32)
		for b := c.cache; c.pending > 0; c.pending-- {
			c.write(b + carry)
			b = 0xff
		}
		c.cache = byte(c.low >> 24)
	}
	c.pending++
	c.low = c.low << 8 & 0xffffffff
}

// pieceSize is how much is written before room is made for more: to let one slice grow takes more than twice its memory.
const pieceSize = 1 << 16

// write appends to what is written.
func (c *coder) write(b byte) {
	if len(c.out) == cap(c.out) {
		c.full, c.out = append(c.full, c.out), make([]byte, 0, pieceSize)
	}
	c.out = append(c.out, b)
}

// finish appends what the encoder has written to head. Of all numbers that say the same it takes the roundest, and
// leaves out zeros at its end. The first byte is always 0, and left out too.
func (c *coder) finish(head []byte) []byte {
	for k := 32; k >= 0; k-- {
		mask := uint64(1)<<k - 1
		if v := (c.low + mask) &^ mask; v < c.low+uint64(c.width) {
			c.low = v
			break
		}
	}
	for range 5 {
		c.shift()
	}
	pieces := slices.Concat([][]byte{head}, c.full, [][]byte{c.out})
	pieces[1] = pieces[1][1:]
	out := slices.Concat(pieces...)
	for n := 0; n < c.trimmed && len(out) > len(head) && out[len(out)-1] == 0; n++ {
		out = out[:len(out)-1]
	}
	return out
}

// end tells whether the decoder has read its input to the end, and not beyond. What could be shorter is not valid.
func (c *coder) end() error {
	if c.bad {
		return formatError("the body ends early")
	}
	n := len(c.in)
	if c.at < n || c.at < n+c.trimmed && (n == 0 || c.in[n-1] == 0) {
		return formatError("bytes after the body")
	}
	return nil
}
