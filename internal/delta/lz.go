package delta

// A repeater codes what is inserted where it is too much to model each byte: literals, and matches with what was
// inserted before, each with adaptive odds (as in Pavlov's LZMA). Where the files are data, the history is the old file and
// all of the new one so far.
type repeater struct {
	c       *coder
	whole   bool   // whether the files are data
	old     []byte // the old file then
	history []byte // the last of what was inserted, or of the new file: a ring
	at      int    // how much that is in all
	last    [4]uint32
	left    uint32         // bytes of the current match
	state   uint32         // kinds of the last three tokens
	tokens  []token        // encoder: what is to come,
	more    func() []token // and from where more does

	match, again [64]odds
	which        [4]odds
	literals     [16 * 3 * 256]odds // by half of the byte before, whether a hint agrees and how, and the bits before
	lengths      *intModel
	distances    *intModel
	low          [4 * 8 * 16]odds // by length and size of the distance, and the bits before
}

// A token is a literal, or the length and the distance of a match.
type token struct {
	n     uint32 // 0: a literal
	value uint32
}

const (
	ringSize   = 1 << 23
	shortest   = 2
	kindNew    = 1
	kindAgain  = 2
	kindSingle = 3
)

// newRepeater makes one for at most so many bytes.
func newRepeater(c *coder, size uint64) *repeater {
	z := &repeater{c: c, lengths: newIntModel(8), distances: newIntModel(4), last: [4]uint32{1, 1, 1, 1},
		history: make([]byte, min(size, ringSize))}
	even(z.match[:])
	even(z.again[:])
	even(z.which[:])
	even(z.literals[:])
	even(z.low[:])
	return z
}

// read fills dst.
func (z *repeater) read(dst []byte) error {
	for len(dst) > 0 {
		if z.left == 0 {
			if z.token(); z.left > 0 && uint64(z.last[0]) > uint64(min(z.at, ringSize)) && z.before(z.last[0]) < 0 {
				return formatError("a match before the beginning")
			}
		}
		if z.c.bad {
			return formatError("the body ends early")
		}
		if z.left == 0 {
			dst[0], dst = z.back(1), dst[1:]
			continue
		}
		n := min(int(z.left), len(dst))
		z.repeat(n)
		for i := range n {
			dst[i] = z.history[(z.at-n+i)&(ringSize-1)]
		}
		z.left, dst = z.left-uint32(n), dst[n:]
	}
	return nil
}

// repeat pushes n bytes of the current match.
func (z *repeater) repeat(n int) {
	for ; n > 0; n-- {
		i := z.before(z.last[0])
		if i < 0 {
			break
		}
		z.push(z.old[i])
	}
	for from := z.at - int(z.last[0]); n > 0; n-- {
		z.push(z.history[from&(ringSize-1)])
		from++
	}
}

// back returns the byte a distance ago.
func (z *repeater) back(distance uint32) byte {
	if uint64(distance) > uint64(z.at) {
		return 0
	}
	return z.history[(z.at-int(distance))&(ringSize-1)]
}

// before returns where in the old file a distance leads to, or -1. One function costs every program less than three.
//
//go:noinline
func (z *repeater) before(distance uint32) int {
	if k := uint64(distance) - uint64(z.at); k-1 < uint64(len(z.old)) {
		return len(z.old) - int(k)
	}
	return -1
}

func (z *repeater) push(v byte) {
	z.history[z.at&(ringSize-1)] = v
	z.at++
}

// token codes the next one. A literal is pushed.
func (z *repeater) token() {
	var t token
	if z.c.encoding {
		if len(z.tokens) == 0 {
			z.tokens = z.more()
		}
		t, z.tokens = z.tokens[0], z.tokens[1:]
	}
	if z.c.flag(one(t.n > 0), &z.match[z.state]) == 0 {
		z.push(z.literal(byte(t.value)))
		z.state = z.state << 2 & 63
		return
	}
	index, kind := z.index(t), uint32(kindNew)
	if z.c.flag(one(index < 4), &z.again[z.state]) == 0 {
		z.left = uint32(z.c.uint(uint64(t.n-shortest), z.lengths, int(z.state&3))) + shortest
		z.distance(t.value)
	} else {
		high := z.c.flag(index>>1&1, &z.which[0])
		index = high<<1 | z.c.flag(index&1, &z.which[1+high])
		d := z.last[index]
		copy(z.last[1:index+1], z.last[:index])
		z.last[0] = d
		z.left = uint32(z.c.uint(uint64(t.n-1), z.lengths, 4+min(index, 1))) + 1
		if kind = kindAgain; z.left == 1 {
			kind = kindSingle
		}
	}
	z.state = (z.state<<2 | kind) & 63
}

// index tells which of the last distances a match has, 4 if none.
func (z *repeater) index(t token) int {
	for i, d := range z.last {
		if t.n > 0 && d == t.value {
			return i
		}
	}
	return 4
}

// literal codes a byte. After a match, what would have been its next byte is a hint as long as the bits agree.
func (z *repeater) literal(v byte) byte {
	trees := z.literals[int(z.back(1)>>4)*3*256:][:3*256]
	node, i := 1, 8
	if z.state&3 != 0 {
		hint := int(z.back(z.last[0]))
		if z.whole {
			if i := z.before(z.last[0]); i >= 0 {
				hint = int(z.old[i])
			}
		}
		for agree := true; agree && i > 0; {
			i--
			bit := hint >> i & 1
			got := z.c.flag(int(v>>i&1), &trees[256<<bit+node])
			agree, node = got == bit, node<<1|got
		}
	}
	return byte(z.c.climb(node, int(v), i, trees))
}

// distance codes that of a match, the lowest 4 bits apart: records have sizes.
func (z *repeater) distance(d uint32) {
	context := int(min(z.left-shortest, 3))
	v := d - 1
	high := uint32(z.c.uint(uint64(v>>4), z.distances, context))
	low := z.low[(context*8+width(uint64(high)))*16:][:16]
	copy(z.last[1:], z.last[:3])
	z.last[0] = high<<4 | uint32(z.c.tree(int(v&15), 4, low)) + 1
}
