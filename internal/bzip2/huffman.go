package bzip2

// code is a canonical Huffman code: of each length the codes are consecutive, and above all shorter ones.
type code struct {
	end     [maxLength + 1]uint32 // the first 20 bits of what is above all codes of a length
	skip    [maxLength + 1]int32  // from a code to the place of its symbol
	symbols []uint16
}

const maxLength = 20

// newCode makes a code of its symbols' lengths. There may be more than fit, or fewer: damage in a code that
// is not used is none, and in one that is, the checksum tells.
func newCode(lengths []byte) *code {
	c := &code{symbols: make([]uint16, 0, len(lengths))}
	next := uint32(0) // code
	for length := uint32(1); length <= maxLength; length++ {
		next <<= 1
		c.skip[length] = int32(len(c.symbols)) - int32(next)
		for symbol, l := range lengths {
			if uint32(l) == length {
				c.symbols = append(c.symbols, uint16(symbol))
				next++
			}
		}
		c.end[length] = next << (maxLength - length)
	}
	return c
}

// read reads a symbol; not ok if there is none of the code.
func (c *code) read(in *bitReader) (symbol int, ok bool) {
	in.fill(maxLength)
	code := uint32(in.word>>(in.n-maxLength)) & (1<<maxLength - 1)
	for length := uint(1); length <= maxLength; length++ {
		if code < c.end[length] {
			in.n -= length
			return int(c.symbols[int32(code>>(maxLength-length))+c.skip[length]]), true
		}
	}
	return 0, false
}

// readCodes reads the Huffman codes, and which of them is used for each fifty symbols.
func readCodes(in *bitReader, symbols int) (codes []*code, selectors []byte, err error) {
	count, groups := int(in.read(3)), int(in.read(15))
	if symbols < 3 || count < 2 || count > 6 {
		return nil, nil, orCorrupt(in)
	}
	front := []byte{0, 1, 2, 3, 4, 5}
	for range groups {
		n := ones(in, count)
		if n == count {
			return nil, nil, orCorrupt(in)
		}
		c := front[n]
		copy(front[1:n+1], front[:n])
		front[0] = c
		selectors = append(selectors, c)
	}
	lengths := make([]byte, symbols)
	for range count {
		length := int(in.read(5))
		for i := range lengths {
			for in.read(1) == 1 && length >= 1 && length <= maxLength {
				length += 1 - 2*int(in.read(1))
			}
			if length < 1 || length > maxLength {
				return nil, nil, orCorrupt(in)
			}
			lengths[i] = byte(length)
		}
		codes = append(codes, newCode(lengths))
	}
	return codes, selectors, in.err
}

// ones counts the ones before a zero, up to a limit.
func ones(in *bitReader, limit int) int {
	n := 0
	for n < limit && in.read(1) == 1 {
		n++
	}
	return n
}

// orCorrupt is the error of reading, if that is why nothing makes sense.
func orCorrupt(in *bitReader) error {
	if in.err != nil {
		return in.err
	}
	return ErrCorrupt
}
