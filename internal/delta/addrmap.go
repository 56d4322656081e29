package delta

import "math/bits"

// An addressMap says where things moved: from the address of each step on, by its shift.
type addressMap []step

type step struct {
	addr  uint64
	shift int64
}

// maxSteps bounds a map's memory to 2 MB, and the time to go through it.
const (
	stepBits = 17
	maxSteps = 1 << stepBits
	stepSize = 16
)

func (m addressMap) index(addr uint64) int {
	at := -1
	for n := len(m); n > 0; {
		half := (n + 1) / 2
		if m[at+half].addr <= addr {
			at += half
		}
		n -= half
	}
	return at
}

// at returns where addr moved to.
func (m addressMap) at(addr uint64) uint64 {
	if i := m.index(addr); i >= 0 {
		return addr + uint64(m[i].shift)
	}
	return addr
}

// A lookup finds addresses faster: near the last one, and by an index.
type lookup struct {
	m     addressMap
	index *mapIndex
	last  int
}

// A mapIndex tells for each slot of 1<<shift addresses, from the map's first one on, how many steps come before it. It ends with
// what lies in address spaces of their own.
type mapIndex struct {
	before []uint32
	shift  int
}

const maxSlotBits = 16

func (m addressMap) newIndex() *mapIndex {
	x := &mapIndex{}
	loaded := m.index(spaceAddress-1) + 1
	if loaded == 0 {
		return x
	}
	span := m[loaded-1].addr - m[0].addr
	x.shift = max(0, bits.Len64(span)-maxSlotBits)
	x.before = make([]uint32, span>>x.shift+2)
	for _, s := range m[:loaded] {
		x.before[(s.addr-m[0].addr)>>x.shift+1]++
	}
	for i := range x.before[1:] {
		x.before[i+1] += x.before[i]
	}
	return x
}

// find is the map's index.
func (l *lookup) find(addr uint64) int {
	from, to := 0, len(l.m)
	if x := l.index; x != nil && len(x.before) > 0 && addr >= l.m[0].addr {
		if slot := (addr - l.m[0].addr) >> x.shift; slot < uint64(len(x.before)-1) {
			from, to = int(x.before[slot]), int(x.before[slot+1])
		}
	}
	return from + l.m[from:to].index(addr)
}

func (l *lookup) at(addr uint64) uint64 {
	if len(l.m) == 0 {
		return addr
	}
	if i := l.last; l.m[i].addr > addr || i+1 < len(l.m) && l.m[i+1].addr <= addr {
		if i = l.find(addr); i < 0 {
			return addr
		}
		l.last = i
	}
	return addr + uint64(l.m[l.last].shift)
}

// steady tells whether all from lo to hi moves by the same shift.
func (l *lookup) steady(lo, hi uint64) bool {
	if len(l.m) == 0 {
		return true
	}
	l.at(lo)
	i := l.last
	if l.m[i].addr > lo {
		return l.m[0].addr > hi
	}
	return i+1 == len(l.m) || l.m[i+1].addr > hi
}

// code codes the map. Addresses are in order; each is coded as the distance to the one before.
func (m addressMap) code(c *coder) (addressMap, error) {
	counts, gaps, shifts := newIntModel(1), newIntModel(1), newIntModel(2)
	n := c.uint(uint64(len(m)), counts, 0)
	if n >= maxSteps {
		return nil, limitError("an address map of too many steps")
	}
	out := m
	if err := c.room.take(n * stepSize); err != nil {
		return nil, err
	}
	if !c.encoding {
		out = make(addressMap, n)
	}
	var last step
	for i, s := range out {
		s.addr = last.addr + c.uint(s.addr-last.addr, gaps, 0)
		back := 0
		if i > 1 {
			back = 1
		}
		s.shift = last.shift + c.int(s.shift-last.shift, shifts, back)
		if s.addr < last.addr || c.bad {
			return nil, formatError("an address map that is not in order")
		}
		last, out[i] = s, s
	}
	return out, nil
}
