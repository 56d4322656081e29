package bzip2

// block is what is left to be read of one.
type block struct {
	column []uint32 // its low bytes the last column; above them, the row that follows a row
	row    uint32   // that comes next
	left   int      // rows

	last  byte
	equal int // times in a row that last was seen, up to 4
	again int // times that last has to be repeated

	sum, want uint32 // checksum
}

// begin decodes all of a block but the last steps, which read takes.
func (b *block) begin(in *bitReader, sum uint32) error {
	*b = block{column: b.column[:0], want: sum, sum: 1<<32 - 1}
	randomized, first := in.read(1), uint32(in.read(24))
	if randomized != 0 { // as version 0.9.0 of 1998 wrote them
		return ErrCorrupt
	}
	if err := b.decode(in); err != nil {
		return err
	}
	if int(first) >= len(b.column) {
		return ErrCorrupt
	}
	b.sort()
	b.row, b.left = b.column[first]>>8, len(b.column)
	return nil
}

// sort finds for each row the row that begins one byte later: the n-th of a
// byte in the last column is the n-th of it in the first, which is sorted.
func (b *block) sort() {
	var at [256]uint32
	for _, c := range b.column {
		at[c&0xff]++
	}
	total := uint32(0)
	for i, n := range at {
		at[i] = total
		total += n
	}
	for i, c := range b.column {
		b.column[at[c&0xff]] |= uint32(i) << 8
		at[c&0xff]++
	}
}

// read undoes the sorting and the first run-length code, byte by byte.
func (b *block) read(p []byte) int {
	n := 0
	for n < len(p) && (b.again > 0 || b.left > 0) {
		if b.again > 0 {
			b.again--
		} else {
			c := b.column[b.row]
			b.row, b.left = c>>8, b.left-1
			switch {
			case b.equal == 4:
				b.equal, b.again = 0, int(byte(c))
				continue
			case byte(c) == b.last && b.equal > 0:
				b.equal++
			default:
				b.last, b.equal = byte(c), 1
			}
		}
		p[n] = b.last
		n++
	}
	for _, c := range p[:n] {
		b.sum = b.sum<<8 ^ table[byte(b.sum>>24)^c]
	}
	return n
}

// intact tells whether what was read has the checksum that it should have.
func (b *block) intact() bool { return ^b.sum == b.want }

// table is of the CRC-32 with bits in network order.
var table = makeTable()

func makeTable() (t [256]uint32) {
	for i := range t {
		t[i] = uint32(i) << 24
		for range 8 {
			t[i] = t[i]<<1 ^ 0x04c11db7&-(t[i]>>31)
		}
	}
	return t
}

// decode reads a block's tables and codes, and undoes the codes and move to front.
func (b *block) decode(in *bitReader) error {
	front := usedBytes(in)
	codes, selectors, err := readCodes(in, len(front)+2)
	if err != nil {
		return err
	}
	end := len(front) + 1
	run, digit := 0, 1
	var current *code
	for n := 0; ; n++ {
		if n%50 == 0 {
			if n/50 >= len(selectors) {
				return ErrCorrupt
			}
			current = codes[selectors[n/50]]
		}
		symbol, ok := current.read(in)
		if in.err != nil {
			return in.err
		}
		if !ok {
			return ErrCorrupt
		}
		if symbol < 2 { // a digit of how often the front is repeated, 1 or 2, the lowest first
			run += digit << symbol
			digit <<= 1
			if run > cap(b.column)-len(b.column) {
				return ErrCorrupt
			}
			continue
		}
		for ; run > 0; run-- {
			b.column = append(b.column, uint32(front[0]))
		}
		digit = 1
		if symbol == end {
			return nil
		}
		if len(b.column) == cap(b.column) {
			return ErrCorrupt
		}
		c := front[symbol-1]
		copy(front[1:symbol], front[:symbol-1])
		front[0] = c
		b.column = append(b.column, uint32(c))
	}
}

// usedBytes reads which bytes occur: 16 bits for the ranges, then 16 for each range that has some.
func usedBytes(in *bitReader) (used []byte) {
	ranges := in.read(16)
	for r := range 16 {
		if ranges&(0x8000>>r) == 0 {
			continue
		}
		some := in.read(16)
		for i := range 16 {
			if some&(0x8000>>i) != 0 {
				used = append(used, byte(16*r+i))
			}
		}
	}
	return used
}
