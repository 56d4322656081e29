package zstd

import "math/bits"

// A cell is a state of an FSE table: what it stands for and how the next one is found. From the lowest bit:
// 8 bits, how many more bits the value has; 8, how many the next state takes; 16, what is added to these; 32, what is
// added to the value.
type cell uint64

func (c cell) stateBits() uint64      { return uint64(c>>8) & 0xff }
func (c cell) next() uint64           { return uint64(c >> 48) }
func (c cell) base() uint64           { return uint64(uint32(c >> 16)) }
func newCell(base, extra uint64) cell { return cell(base<<16 | extra) }

const (
	maxLog  = 9 // of an FSE table's size
	maxSize = 1 << maxLog
)

// A table is an FSE table.
type table struct {
	cells [maxSize]cell
	log   uint
}

// only makes a table in which everything means the one value.
func (t *table) only(value cell) {
	t.cells[0], t.log = value, 0
}

// A distribution says of each symbol how many states it has; -1 is a symbol with less than one.
type distribution struct {
	states [256]int16
	n      int // of symbols
	log    uint
}

// read reads a distribution (RFC 8878, 4.1.1) of at most most symbols, and returns what follows it.
func (d *distribution) read(in []byte, most int, maxLog uint) ([]byte, error) {
	f := forward{data: in}
	d.log, d.n = f.take(4)+5, 0
	if d.log > maxLog {
		return nil, formatError("an FSE table with 1<<%d states", d.log)
	}
	for left := 1 << d.log; left > 0; {
		if d.n >= most {
			return nil, formatError("an FSE table with more than %d symbols", most)
		}
		states := f.states(left)
		d.states[d.n] = int16(states)
		d.n++
		left -= max(states, -states)
		if states == 0 {
			d.skip(&f, most)
		}
	}
	if f.bytes() > len(in) {
		return nil, formatError("an FSE table cut short")
	}
	return in[f.bytes():], nil
}

// states reads a number of states, -1 to left, in as few bits as tell these apart.
func (f *forward) states(left int) int {
	n := uint(bits.Len(uint(left + 1)))
	short := 1<<n - 1 - uint(left+1) // so many values take a bit less
	v := f.peek(n)
	if low := v & (1<<(n-1) - 1); low < short {
		f.pos += n - 1
		return int(low) - 1
	}
	f.pos += n
	if v >= 1<<(n-1) {
		v -= short
	}
	return int(v) - 1
}

// skip reads how many symbols with no state follow one without.
func (d *distribution) skip(f *forward, most int) {
	for more := uint(3); more == 3; {
		more = f.take(2)
		for range more {
			if d.n < most {
				d.states[d.n] = 0
				d.n++
			}
		}
	}
}

// build makes the table in which symbol s means values[s] (RFC 8878, 4.1.1).
func (t *table) build(d *distribution, values []cell) {
	t.log = d.log
	size := 1 << d.log
	var symbols [maxSize]uint8
	var count [256]uint16
	high := size
	for s, states := range d.states[:d.n] {
		count[s] = uint16(max(states, -states))
		if states < 0 {
			high--
			symbols[high] = uint8(s)
		}
	}
	at := 0
	for s, states := range d.states[:d.n] {
		for range states {
			symbols[at] = uint8(s)
			for {
				if at = (at + size>>1 + size>>3 + 3) & (size - 1); at < high {
					break
				}
			}
		}
	}
	for i := range size {
		s := symbols[i]
		x := uint64(count[s])
		count[s]++
		n := uint64(d.log) + 1 - uint64(bits.Len64(x))
		t.cells[i] = values[s] | cell(n<<8|(x<<n-uint64(size))<<48)
	}
}
