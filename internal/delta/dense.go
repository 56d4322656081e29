package delta

// A denseModel foretells which bytes change, and to what, where much is inserted and changed. To mix contexts for each bit, as
// for a changeModel, takes longer there than unpacking the whole file: here a bit has one chance, or the mean of two.
type denseModel struct {
	rows    [1<<flagBits + 1<<likelyBits + 512*byteRows]oddsRow // of flags, of values by what they are likely to be, and by what they were
	dirty   uint32                                              // which of the last chunks had changes
	changes uint32                                              // which of the last bytes were changed
	diffs   [256]byte                                           // last difference in each class
}

// An oddsRow holds those of half a byte, a tree, or of 16 flags.
type oddsRow [16]odds

const (
	denseChunk = 32 // bytes that share a flag
	flagBits   = 11 // of the number of rows for flags
	likelyBits = 13 // of the number of rows by what a value is likely to be
	byteRows   = 17 // one for the high half, and one for each of them for the low half
	flagRate   = 4  // the way that flags go each time: 1/16
	valueRate  = 3
)

func newDenseModel() *denseModel {
	m := &denseModel{}
	for i := range m.rows {
		even(m.rows[i][:])
	}
	return m
}

// spread makes a hash of a context.
func spread(context uint32) uint32 {
	context *= 0x85ebca6b
	return (context ^ context>>15) * 0x2c1b3c6d
}

// flag codes whether something changes. What happened last is its place in the row of a context.
func (m *denseModel) flag(c *coder, changed int, context, last uint32) int {
	o := &m.rows[spread(context)>>(32-flagBits)][last&15]
	changed = c.bit(changed, uint32(*o))
	o.learn(changed, flagRate)
	return changed
}

// chunk codes whether anything in a chunk changes.
func (m *denseModel) chunk(c *coder, changed int) int {
	changed = m.flag(c, changed, 1<<31|m.dirty>>4&15, m.dirty)
	m.dirty = m.dirty<<1 | uint32(changed)
	return changed
}

// denselyChanged codes a chunk with changes.
func (r *residual) denselyChanged(dst, data, class []byte) {
	m := r.dense
	r.budget -= int64(len(data)) / 4
	if !r.c.encoding {
		copy(dst, data)
	}
	for {
		r.part(partFlags)
		n := m.unchanged(r.c, dst, data, class)
		if n == len(data) {
			return
		}
		r.part(partChanged)
		r.budget -= 2
		old, k := data[n], uint32(class[n])
		v := m.value(r.c, dst[n], k<<8|uint32(old+m.diffs[k]), uint32(old)|min(k, 1)<<8)
		m.diffs[k] = v - old
		dst[n] = v
		dst, data, class = dst[n+1:], data[n+1:], class[n+1:]
	}
}

// unchanged codes how many bytes stay as they are before one changes, by a flag for each. To decode, it has the coder's range at hand.
func (m *denseModel) unchanged(c *coder, dst, data, class []byte) int {
	if c.give != nil {
		for i, v := range data {
			changed := m.flag(c, one(dst[i] != v), uint32(class[i])<<8|uint32(v), m.changes)
			if m.changes = m.changes<<1 | uint32(changed); changed == 1 {
				return i
			}
		}
		return len(data)
	}
	width, code, changes, i := c.width, c.code, m.changes, 0
	for more := true; more && i < len(data); {
		o := &m.rows[spread(uint32(class[i])<<8|uint32(data[i]))>>(32-flagBits)][changes&15]
		if bound := width >> 16 * uint32(*o); code < bound {
			width = bound
			*o += (65535 - *o) >> flagRate
			changes, more = changes<<1|1, false
		} else {
			width -= bound
			code -= bound
			*o -= *o >> flagRate
			changes <<= 1
			i++
		}
		if width < topWidth {
			width, code = c.widened(width, code)
		}
	}
	c.width, c.code, m.changes = width, code, changes
	return i
}

// value codes a byte, half by half, by two contexts: what it became last time, added to what it was, and what it was.
func (m *denseModel) value(c *coder, v byte, likely, old uint32) byte {
	high := m.half(c, uint32(v>>4), likely, old*byteRows)
	low := m.half(c, uint32(v&15), likely|(high+16)<<16, old*byteRows+1+high)
	return byte(high<<4 | low)
}

// half codes half a byte. To decode it, the coder's range is at hand.
func (m *denseModel) half(c *coder, v, likely, old uint32) uint32 {
	a := &m.rows[1<<flagBits+spread(likely)>>(32-likelyBits)]
	b := &m.rows[1<<flagBits+1<<likelyBits+old]
	width, code, node := c.width, c.code, uint32(1)
	for i := 3; i >= 0; i-- {
		x, y := &a[node&15], &b[node&15]
		p := (uint32(*x) + uint32(*y)) >> 1
		if c.give != nil {
			bit := int(v >> i & 1)
			c.give(bit, p)
			x.learn(bit, valueRate)
			y.learn(bit, valueRate)
			node = node<<1 | uint32(bit)
			continue
		}
		if bound := width >> 16 * p; code < bound {
			width = bound
			*x += (65535 - *x) >> valueRate
			*y += (65535 - *y) >> valueRate
			node = node<<1 | 1
		} else {
			width -= bound
			code -= bound
			*x -= *x >> valueRate
			*y -= *y >> valueRate
			node <<= 1
		}
		if width < topWidth {
			width, code = c.widened(width, code)
		}
	}
	if c.give == nil {
		c.width, c.code = width, code
	}
	return node & 15
}
