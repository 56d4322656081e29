package delta

// A mixer predicts a bit from several contexts, each a row of chances, weighing them by how well
// they did before (logistic mixing, as in Mahoney's PAQ). Integers only: every machine computes
// the same.
type mixer struct {
	table   []chance
	bits    int
	weights []int32 // maxInputs for each selector
	slot    [maxInputs]*chance
	stretch [maxInputs]int32
}

const (
	maxInputs   = 8
	selectors   = 64
	firstWeight = 1 << 15

	mixRate      = 10
	mixedLimit   = 30
	contextSpace = 0x9e3779b1
)

//go:noinline
func newMixer(bits int) *mixer {
	m := &mixer{table: newChances(1 << bits), bits: bits, weights: make([]int32, selectors*maxInputs)}
	for i := range m.weights {
		m.weights[i] = firstWeight
	}
	return m
}

// stretched[p>>4] = ln(p/(1-p)) in 1/256, p of 16 bits; squashed is the inverse.
var (
	squashed  = makeSquashed()
	stretched = makeStretched()
)

// Values of 65536/(1+exp(-x/256)) at every 128th x, from -2048 to 2047, between which lines are drawn.
var squashPoints = [33]int32{22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11953, 17625, 24743, 32768,
	40793, 47911, 53583, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514}

func makeSquashed() (t [4096]uint16) {
	for i := range t {
		x := int32(i)
		a, b := squashPoints[x>>7], squashPoints[x>>7+1]
		t[i] = uint16(a + (b-a)*(x&127)>>7)
	}
	return t
}

func makeStretched() (t [4096]int16) {
	x := 0
	for i := range t {
		for x < 4095 && int(squashed[x])>>4 < i {
			x++
		}
		t[i] = int16(x - 2048)
	}
	return t
}

func hash2(a, b uint32) uint32 {
	h := (a*contextSpace ^ b) * 0x85ebca6b
	return h ^ h>>15
}

// mixed codes a bit that the contexts, which are hashes, foretell. The selector is the context of the
// weights.
func (c *coder) mixed(m *mixer, bit int, contexts []uint32, selector int) int {
	var rows [maxInputs]uint32
	for i, h := range contexts {
		rows[i] = m.slotOf(h)
	}
	return c.mixedAt(m, bit, rows[:len(contexts)], 0, selector)
}

// row returns where the chances of a context begin: 16 of them, a line of the processor's cache.
func (m *mixer) row(h uint32) uint32 { return m.slotOf(h) &^ 15 }

func (m *mixer) slotOf(h uint32) uint32 { return h * 0x2c1b3c6d >> (32 - m.bits) }

// mixedByte codes a byte likewise, half by half.
func (c *coder) mixedByte(m *mixer, v byte, contexts []uint32, selector int) byte {
	high := c.mixedHalf(m, int(v>>4), contexts, 0, selector)
	low := c.mixedHalf(m, int(v&15), contexts, high+16, selector)
	return byte(high<<4 | low)
}

func (c *coder) mixedHalf(m *mixer, v int, contexts []uint32, salt, selector int) int {
	var rows [maxInputs]uint32
	for i, h := range contexts {
		rows[i] = m.row(h + uint32(salt)*contextSpace)
	}
	node := 1
	for i := 3; i >= 0; i-- {
		node = node<<1 | c.mixedAt(m, v>>i&1, rows[:len(contexts)], uint32(node), selector)
	}
	return node & 15
}

// mixedAt codes a bit, by the chance at a node of each row.
func (c *coder) mixedAt(m *mixer, bit int, rows []uint32, node uint32, selector int) int {
	w := m.weights[selector*maxInputs:][:len(rows)]
	dot := int64(0)
	for i, row := range rows {
		slot := &m.table[row+node]
		m.slot[i] = slot
		m.stretch[i] = int32(stretched[uint32(*slot)>>20])
		dot += int64(w[i]) * int64(m.stretch[i])
	}
	x := min(max(dot>>16, -2047), 2047)
	p := uint32(squashed[x+2048])
	bit = c.bit(bit, clamp(p))
	miss := (int32(bit)<<16 - int32(p)) * mixRate
	for i := range rows {
		w[i] += (m.stretch[i]*(miss>>8) + 1<<9) >> 10
		m.slot[i].learn(bit, mixedLimit)
	}
	return bit
}
