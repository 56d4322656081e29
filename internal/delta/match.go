package delta

import (
	"encoding/binary"
	"math/bits"
)

// A matcher finds stretches of one file in another. Like bsdiff it goes through the new file,
// follows an alignment through small differences and leaves it where another one is clearly
// better; unlike bsdiff it looks alignments up by hashes of 8 bytes, since the files are nearly
// equal and no suffix sort is needed.
type matcher struct {
	old    []byte
	head   []uint32
	prev   []uint32
	bits   int
	gain   int
	far    int                 // what it costs to copy from elsewhere, in bytes
	expect func(fresh int) int // where the map says that a place comes from
}

const (
	seedLength = 8
	seedEvery  = 2 // places in old that are looked up: half the memory, and matches grow backwards anyway
	maxChain   = 24
)

func newMatcher(old []byte, far int) *matcher {
	m := &matcher{old: old, far: far, bits: max(10, min(22, bits.Len(uint(len(old)))-1))}
	m.head = make([]uint32, 1<<m.bits)
	m.prev = make([]uint32, len(old)/seedEvery+1)
	for i := 0; i+seedLength <= len(old); i += seedEvery {
		h := m.hash(old[i:])
		m.prev[i/seedEvery] = m.head[h]
		m.head[h] = uint32(i) + 1
	}
	return m
}

func (m *matcher) hash(b []byte) uint64 {
	return binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15 >> (64 - m.bits)
}

// near tells whether a place is where matches are cheap to say.
const nearby = 1 << 12

func near(a, b int) bool { return uint(a-b+nearby) < 2*nearby }

// longest returns the place in old with the match of fresh that is worth most: length less what it
// costs to say where. Places at hints come first and cost nothing.
func (m *matcher) longest(fresh []byte, hint, expected int) (at, n, worth int) {
	for _, h := range [...]int{hint, expected} {
		if h >= 0 && h < len(m.old) {
			if l := common(m.old[h:], fresh); l > n {
				at, n, worth = h, l, l
			}
		}
	}
	if len(fresh) < seedLength {
		return at, n, worth
	}
	next := m.head[m.hash(fresh)]
	for range maxChain {
		if next == 0 {
			break
		}
		i := int(next - 1)
		next = m.prev[i/seedEvery]
		cost := m.far
		if near(i, hint) || near(i, expected) {
			cost = 1
		}
		need := worth + cost
		if need >= len(fresh) || i+need >= len(m.old) || m.old[i+need] != fresh[need] {
			continue
		}
		if l := common(m.old[i:], fresh); l-cost > worth {
			at, n, worth = i, l, l-cost
		}
	}
	return at, n, worth
}

func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := le64(a[i:]) ^ le64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// A stretch is a copy with changes.
type stretch struct{ old, fresh, n int }

// stretches aligns fresh with old.
func (m *matcher) stretches(fresh []byte) (out []stretch) {
	var scan, n, pos, lastScan, lastPos int
	shift := 0 // of the current alignment: old = fresh + shift
	for scan < len(fresh) {
		score := 0
		from := scan + n
		for scan = from; scan < len(fresh); scan++ {
			var worth int
			expected := -1
			if m.expect != nil {
				expected = m.expect(scan)
			}
			pos, n, worth = m.longest(fresh[scan:], scan+shift, expected)
			for ; from < scan+n; from++ {
				if o := from + shift; o >= 0 && o < len(m.old) && m.old[o] == fresh[from] {
					score++
				}
			}
			if n == score && n != 0 || worth > score+m.gain {
				break
			}
			if o := scan + shift; o >= 0 && o < len(m.old) && m.old[o] == fresh[scan] {
				score--
			}
		}
		if n != score || scan == len(fresh) {
			forward := m.forward(fresh, lastScan, lastPos, scan)
			back := 0
			if scan < len(fresh) {
				back = m.backward(fresh, lastScan, scan, pos)
			}
			if over := lastScan + forward - (scan - back); over > 0 {
				keep := m.split(fresh, lastScan+forward-over, lastPos+forward-over, scan-back, pos-back, over)
				forward += keep - over
				back -= keep
			}
			if forward > 0 {
				out = append(out, stretch{lastPos, lastScan, forward})
			}
			lastScan, lastPos = scan-back, pos-back
			shift = pos - scan
		}
	}
	return out
}

// forward extends the alignment from lastScan on as far as it does more good than harm.
func (m *matcher) forward(fresh []byte, scan, pos, end int) int {
	sum, best, n := 0, 0, 0
	for i := 0; scan+i < end && pos+i < len(m.old); {
		if m.old[pos+i] == fresh[scan+i] {
			sum++
		}
		i++
		if sum*2-i > best*2-n {
			best, n = sum, i
		}
	}
	return n
}

func (m *matcher) backward(fresh []byte, start, scan, pos int) int {
	sum, best, n := 0, 0, 0
	for i := 1; scan >= start+i && pos >= i; i++ {
		if m.old[pos-i] == fresh[scan-i] {
			sum++
		}
		if sum*2-i > best*2-n {
			best, n = sum, i
		}
	}
	return n
}

// split tells how many of the bytes that both alignments claim the first keeps.
func (m *matcher) split(fresh []byte, scanA, posA, scanB, posB, over int) int {
	sum, best, keep := 0, 0, 0
	for i := range over {
		if fresh[scanA+i] == m.old[posA+i] {
			sum++
		}
		if fresh[scanB+i] == m.old[posB+i] {
			sum--
		}
		if sum > best {
			best, keep = sum, i+1
		}
	}
	return keep
}

// ops turns stretches into what the residual codes. The first op may be empty.
func ops(s []stretch, size int) []op {
	out := []op{{}}
	pos, done := 0, 0
	for _, st := range s {
		if st.fresh > done || st.old != pos {
			last := &out[len(out)-1]
			last.inserted, last.seek = st.fresh-done, st.old-pos
			out = append(out, op{})
		}
		out[len(out)-1].copied += st.n
		pos, done = st.old+st.n, st.fresh+st.n
	}
	out[len(out)-1].inserted = size - done
	return out
}
