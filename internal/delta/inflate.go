package delta

import "math/bits"

// An inflater decodes the blocks of a deflate stream (RFC 1951), from any of them on if the bytes before are known. It
// knows what a deflater writes: stored blocks, and those with their own codes.
type inflater struct {
	in      []byte
	at      uint64 // in bits
	out     []byte // what the stream says; matches reach back to its beginning
	lengths [320]byte
	literal [1 << 15]uint16 // by the next 15 bits: symbol<<4 | bits of the code, 0 if there is none
	offset  [1 << 15]uint16
}

// peek returns the next bits, at least 56 of them. After the end there are zeros.
func (f *inflater) peek() uint64 {
	i := f.at >> 3
	if i+8 <= uint64(len(f.in)) {
		return le64(f.in[i:]) >> (f.at & 7)
	}
	var b [8]byte
	if i < uint64(len(f.in)) {
		copy(b[:], f.in[i:])
	}
	return le64(b[:]) >> (f.at & 7)
}

//go:noinline
func (f *inflater) take(n uint64) uint64 {
	v := f.peek() & (1<<n - 1)
	f.at += n
	return v
}

// decode appends blocks to out until it is full, and tells whether they are well-formed.
func (f *inflater) decode() bool {
	for len(f.out) < cap(f.out) {
		kind := f.take(3) >> 1
		ok := kind == 0 && f.stored() || kind == 2 && f.codes() && f.symbols()
		if !ok || f.at > 8*uint64(len(f.in)) {
			return false
		}
	}
	return true
}

func (f *inflater) stored() bool {
	f.at = (f.at + 7) &^ 7
	n := f.take(32) & 0xffff
	b := field(f.in, f.at>>3, n)
	f.at += 8 * n
	if b == nil || n > uint64(cap(f.out)-len(f.out)) {
		return false
	}
	f.out = append(f.out, b...)
	return true
}

// symbols decodes a block, and tells whether it is well-formed and ends within out.
func (f *inflater) symbols() bool {
	for f.at <= 8*uint64(len(f.in)) {
		v := f.peek()
		e := f.literal[v&0x7fff]
		n := uint(e & 15)
		symbol := uint32(e >> 4)
		switch {
		case e == 0 || symbol > endOfBlock+29:
			return false
		case symbol < endOfBlock:
			if len(f.out) == cap(f.out) {
				return false
			}
			f.out = append(f.out, byte(symbol))
			f.at += uint64(n)
			continue
		case symbol == endOfBlock:
			f.at += uint64(n)
			return true
		}
		length, extra := lengthOf(symbol - endOfBlock - 1)
		length += uint32(v>>n) & (1<<extra - 1)
		n += extra
		e = f.offset[v>>n&0x7fff]
		if e == 0 || e>>4 >= maxOffsets {
			return false
		}
		n += uint(e & 15)
		distance, extra := offsetOf(uint32(e >> 4))
		distance += uint32(v>>n) & (1<<extra - 1)
		f.at += uint64(n + extra)
		if !f.copy(int(distance)+1, int(length)+3) {
			return false
		}
	}
	return false
}

func (f *inflater) copy(distance, n int) bool {
	from, at := len(f.out)-distance, len(f.out)
	if from < 0 || n > cap(f.out)-at {
		return false
	}
	f.out = f.out[:at+n]
	if distance >= n {
		copy(f.out[at:], f.out[from:from+n])
		return true
	}
	for i := range n {
		f.out[at+i] = f.out[from+i]
	}
	return true
}

// lengthOf and offsetOf are the inverses of lengthCode and offsetCode: the least value, and the number of bits to add.
func lengthOf(code uint32) (v uint32, extra uint) {
	switch {
	case code < 8:
		return code, 0
	case code >= 28:
		return 255, 0
	}
	extra = uint(code>>2) - 1
	return (4 + code&3) << extra, extra
}

func offsetOf(code uint32) (v uint32, extra uint) {
	if code < 2 {
		return code, 0
	}
	extra = uint(code>>1) - 1
	return (2 + code&1) << extra, extra
}

// codes reads those of a block.
func (f *inflater) codes() bool {
	nl, no, n := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	var own [19]byte
	for _, symbol := range headerOrder[:n] {
		own[symbol] = byte(f.take(3))
	}
	if !fillCodes(&f.literal, own[:]) {
		return false
	}
	clear(f.lengths[:])
	for i := 0; i < nl+no; {
		e := f.literal[f.peek()&0x7fff]
		f.at += uint64(e & 15)
		value, times := byte(e>>4), 1
		switch {
		case e == 0:
			return false
		case value == repeatLast && i > 0:
			value, times = f.lengths[i-1], 3+int(f.take(2))
		case value == repeatZero:
			value, times = 0, 3+int(f.take(3))
		case value == repeatZeros:
			value, times = 0, 11+int(f.take(7))
		case value > 15:
			return false
		}
		if times > nl+no-i {
			return false
		}
		for ; times > 0; times-- {
			f.lengths[i] = value
			i++
		}
	}
	return fillCodes(&f.literal, f.lengths[:nl]) && fillCodes(&f.offset, f.lengths[nl:nl+no])
}

// fillCodes makes the table of the codes with these lengths. Codes may be left over, but not used twice.
func fillCodes(table *[1 << 15]uint16, lengths []byte) bool {
	clear(table[:])
	next := uint32(0) // code of 15 bits
	for n := uint(1); n <= 15; n++ {
		for symbol, length := range lengths {
			if uint(length) != n {
				continue
			}
			if next >= 1<<15 {
				return false
			}
			first := uint32(bits.Reverse16(uint16(next))) >> 1
			for i := first; i < 1<<15; i += 1 << n {
				table[i] = uint16(symbol)<<4 | uint16(n)
			}
			next += 1 << (15 - n)
		}
	}
	return true
}
