package delta

// A mixer predicts a bit from several contexts, each a row of chances, weighing them by how well
// they did before (logistic mixing, as in Mahoney's PAQ). Integers only: every machine computes
// the same.
type mixer struct {
	table   []line
	bits    int
	weights [selectors][maxInputs]int32
}

// A line holds the cells of a context: for a bit one of them, for half a byte a tree.
type line [16]cell

const (
	maxInputs   = 8
	selectors   = 64
	firstWeight = 1 << 15

	mixRate      = 10
	contextSpace = 0x9e3779b1
)

// A cell is a chance in 16 bits: 12 of probability and 4 of a count. Tables of them fit better into a processor's cache.
// Its highest bit is kept inverted: an even chance is 0, and memory of contexts that never come is never touched.
type cell uint16

const evenCell = cell(1 << 15)

// cellRate[n] is 65536/(n+1.5), slower at last.
var cellRate = [16]int32{43690, 26214, 18724, 14563, 11915, 10082, 8738, 7710, 6898, 6241, 5698, 5242, 4854, 4519, 4096, 3276}

// learn takes a step to the target, 0 or 4095.
func (c *cell) learn(target int32) {
	n, p := *c&15, int32((*c^evenCell)>>4)
	p += (target - p) * cellRate[n] / (1 << 16)
	*c = (cell(p)<<4 | min(n+1, 15)) ^ evenCell
}

// newMixer has 1<<bits cells.
//
//go:noinline
func newMixer(bits int) *mixer {
	m := &mixer{table: make([]line, 1<<(bits-4)), bits: bits}
	for i := range m.weights {
		for j := range m.weights[i] {
			m.weights[i][j] = firstWeight
		}
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
	var cells [maxInputs]*cell
	for i, h := range contexts {
		at := m.slotOf(h)
		cells[i&(maxInputs-1)] = &m.table[at>>4][at&15]
	}
	return c.mix(&m.weights[selector], bit, &cells, len(contexts))
}

func (m *mixer) slotOf(h uint32) uint32 { return h * 0x2c1b3c6d >> (32 - m.bits) }

// mixedByte codes a byte likewise, half by half.
func (c *coder) mixedByte(m *mixer, v byte, contexts []uint32, selector int) byte {
	high := c.mixedHalf(m, int(v>>4), contexts, 0, selector)
	low := c.mixedHalf(m, int(v&15), contexts, high+16, selector)
	return byte(high<<4 | low)
}

func (c *coder) mixedHalf(m *mixer, v int, contexts []uint32, salt, selector int) int {
	var lines [maxInputs]*line
	for i, h := range contexts {
		lines[i&(maxInputs-1)] = &m.table[m.slotOf(h+uint32(salt)*contextSpace)>>4]
	}
	w, n := &m.weights[selector], len(contexts)
	node := 1
	for i := 3; i >= 0; i-- {
		var cells [maxInputs]*cell
		for j := range n {
			cells[j&(maxInputs-1)] = &lines[j&(maxInputs-1)][node&15]
		}
		node = node<<1 | c.mix(w, v>>i&1, &cells, n)
	}
	return node & 15
}

// mix codes a bit by n cells, and lets them and their weights learn.
func (c *coder) mix(w *[maxInputs]int32, bit int, cells *[maxInputs]*cell, n int) int {
	var inputs [maxInputs]int32
	dot := int64(0)
	for i := range n {
		i &= maxInputs - 1
		x := int32(stretched[(*cells[i]^evenCell)>>4])
		inputs[i] = x
		dot += int64(w[i]) * int64(x)
	}
	x := min(max(dot>>16, -2047), 2047)
	p := uint32(squashed[x+2048])
	bit = c.bit(bit, p)
	miss := (int32(bit)<<16 - int32(p)) * mixRate >> 8
	target := int32(-bit) & 4095
	for i := range n {
		i &= maxInputs - 1
		w[i] += (inputs[i]*miss + 1<<9) >> 10
		cells[i].learn(target)
	}
	return bit
}
