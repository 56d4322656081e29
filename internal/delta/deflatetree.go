package delta

// A treeHeader is how the lengths of a block's codes are written (RFC 1951, 3.2.7): run lengths, coded themselves.
type treeHeader struct {
	symbols [320]uint16 // symbol | extra bits<<8
	n       int
	freq    [19]int32
	codes   [19]code
	cost    int
}

const (
	repeatLast  = 16
	repeatZero  = 17
	repeatZeros = 18
)

// The order in which the lengths of these codes are written themselves, and the bits after a symbol.
var (
	headerOrder = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	headerExtra = [19]byte{repeatLast: 2, repeatZero: 3, repeatZeros: 7}
)

func newTreeHeader(literals, offsets []code) *treeHeader {
	h := &treeHeader{}
	last, n := 0, 0
	for _, codes := range [...][]code{literals, offsets} {
		for _, c := range codes {
			if int(c.n) != last {
				h.run(last, n)
				last, n = int(c.n), 0
			}
			n++
		}
	}
	h.run(last, n)
	h.cost = huffman(h.codes[:], h.freq[:], 7)
	return h
}

//go:noinline
func (h *treeHeader) add(symbol, extra int) {
	h.symbols[h.n] = uint16(symbol | extra<<8)
	h.n++
	h.freq[symbol]++
}

// run adds n equal lengths.
func (h *treeHeader) run(length, n int) {
	if length > 0 && n > 0 {
		h.add(length, 0)
		for n--; n >= 3; {
			k := min(n, 6)
			h.add(repeatLast, k-3)
			n -= k
		}
	} else {
		for n >= 11 {
			k := min(n, 138)
			h.add(repeatZeros, k-11)
			n -= k
		}
		if n >= 3 {
			h.add(repeatZero, n-3)
			n = 0
		}
	}
	for range n {
		h.add(length, 0)
	}
}

// listed returns how many lengths of its own codes it has.
func (h *treeHeader) listed() int {
	n := len(headerOrder)
	for n > 4 && h.freq[headerOrder[n-1]] == 0 {
		n--
	}
	return n
}

func (h *treeHeader) size() int {
	size := 3 + 5 + 5 + 4 + 3*h.listed() + h.cost
	for symbol, extra := range headerExtra {
		size += int(h.freq[symbol]) * int(extra)
	}
	return size
}

func (h *treeHeader) write(d *deflater, literals, offsets int) {
	n := h.listed()
	d.put(uint64(literals-257), 5)
	d.put(uint64(offsets-1), 5)
	d.put(uint64(n-4), 4)
	for _, symbol := range headerOrder[:n] {
		d.put(uint64(h.codes[symbol].n), 3)
	}
	for _, s := range h.symbols[:h.n] {
		c := h.codes[s&0xff]
		d.put(uint64(c.bits), uint(c.n))
		d.put(uint64(s>>8), uint(headerExtra[s&0xff]))
	}
}
