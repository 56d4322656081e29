package zstd

import "math/bits"

const (
	maxCode = 11 // bits of a Huffman code
	shift   = 64 - maxCode
)

// A huffman is a table of all that maxCode bits can begin with: symbol<<8 | bits of its code.
type huffman struct {
	entries [1 << maxCode]uint16
	known   bool // it was read in this frame
}

// read reads the description of the table (RFC 8878, 4.2.1) in buf[from:to], and returns where it ends.
func (h *huffman) read(buf []byte, from, to int) (int, error) {
	if from >= to {
		return 0, formatError("no Huffman table")
	}
	var weights [256]uint8
	n, size := 0, int(buf[from])
	from++
	if size >= 128 {
		n = size - 127
		size = (n + 1) / 2
	}
	if size > to-from {
		return 0, formatError("a Huffman table cut short")
	}
	if n > 0 {
		for i := range n {
			weights[i] = buf[from+i/2] >> (4 * (^i & 1)) & 15
		}
	} else {
		var err error
		if n, err = readWeights(&weights, buf, from, from+size); err != nil {
			return 0, err
		}
	}
	return from + size, h.build(&weights, n)
}

// plain are symbols that mean themselves.
func plain() []cell {
	values := make([]cell, 256)
	for i := range values {
		values[i] = newCell(uint64(i), 0)
	}
	return values
}

// readWeights reads weights that two FSE states in turn code, until there are no bits for a next one.
func readWeights(weights *[256]uint8, buf []byte, from, to int) (int, error) {
	var d distribution
	rest, err := d.read(buf[from:to], 256, 6)
	if err != nil {
		return 0, err
	}
	stream, err := backwardAt(buf, to-len(rest), to)
	if err != nil {
		return 0, err
	}
	var t table
	t.build(&d, plain())
	one, ok1 := stream.take(t.log)
	two, ok2 := stream.take(t.log)
	if !ok1 || !ok2 {
		return 0, formatError("Huffman weights cut short")
	}
	for n := 0; n < 254; n++ {
		c := t.cells[one]
		weights[n] = uint8(c.base())
		more, ok := stream.take(uint(c.stateBits()))
		if !ok {
			weights[n+1] = uint8(t.cells[two].base())
			return n + 2, nil
		}
		one, two = two, c.next()+more
	}
	return 0, formatError("more than 255 Huffman weights")
}

// build makes the table. The weight of the symbol n is what is missing to a power of two.
func (h *huffman) build(weights *[256]uint8, n int) error {
	h.known = false
	total := uint(0)
	for _, w := range weights[:n] {
		if w > maxCode {
			return formatError("a Huffman code of more than %d bits", maxCode)
		}
		total += 1 << w >> 1
	}
	log := bits.Len(total)
	left := uint(1)<<log - total
	if total == 0 || log > maxCode || left&(left-1) != 0 {
		return formatError("Huffman weights that do not add up")
	}
	weights[n] = uint8(bits.Len(left))

	var rank [maxCode + 2]int
	for _, w := range weights[:n+1] {
		rank[w+1] += 1 << w >> 1
	}
	if rank[2] < 2 {
		return formatError("a Huffman code without a longest one")
	}
	for w := 2; w < len(rank); w++ {
		rank[w] += rank[w-1]
	}
	for s, w := range weights[:n+1] {
		if w == 0 {
			continue
		}
		from := rank[w] << (maxCode - log)
		rank[w] += 1 << w >> 1
		h.fill(h.entries[from:rank[w]<<(maxCode-log)], uint16(s)<<8|uint16(log+1-int(w)))
	}
	h.known = true
	return nil
}

func (h *huffman) fill(entries []uint16, e uint16) {
	for i := range entries {
		entries[i] = e
	}
}

// decode fills out from the stream in buf[from:to].
func (h *huffman) decode(out, buf []byte, from, to int) error {
	b, err := backwardAt(buf, from, to)
	if err != nil {
		return err
	}
	return h.rest(out, b)
}

// rest fills out with all that the stream has.
func (h *huffman) rest(out []byte, b backward) error {
	s, pos := b.data, b.pos
	for len(out) >= 5 && pos >= origin+5*maxCode {
		pos -= h.five((*[5]byte)(out), load(s, pos))
		out = out[5:]
	}
	for i := range out {
		e := h.entries[load(s, pos)>>shift]
		if pos < origin+uint(e&15) {
			return formatError("Huffman codes cut short")
		}
		pos -= uint(e & 15)
		out[i] = byte(e >> 8)
	}
	if pos != origin {
		return formatError("Huffman codes left over")
	}
	return nil
}

// decode4 fills out from four streams, each a fourth of it, in buf[from:to].
func (h *huffman) decode4(out, buf []byte, from, to int) error {
	const jump = 6
	if to-from < jump {
		return formatError("Huffman streams cut short")
	}
	quarter := (len(out) + 3) / 4
	if 3*quarter > len(out) {
		return formatError("%d bytes in four Huffman streams", len(out))
	}
	var b [4]backward
	at := from + jump
	for i := range b {
		end := to
		if i < 3 {
			end = at + int(buf[from+2*i]) + int(buf[from+2*i+1])<<8
		}
		if end > to {
			return formatError("Huffman streams cut short")
		}
		var err error
		if b[i], err = backwardAt(buf, at, end); err != nil {
			return err
		}
		at = end
	}
	n := h.together(out, quarter, &b)
	for i := range b {
		end := min(len(out), (i+1)*quarter)
		if err := h.rest(out[i*quarter+n:end], b[i]); err != nil {
			return err
		}
	}
	return nil
}

// together decodes the four streams as far as all of them have plenty, so many bytes of each: what one waits
// for the others do meanwhile.
func (h *huffman) together(out []byte, quarter int, b *[4]backward) int {
	last := len(out) - 3*quarter // the shortest, by up to three
	o0, o1, o2, o3 := out[:last:last], out[quarter:][:last:last], out[2*quarter:][:last:last], out[3*quarter:][:last:last]
	s0, s1, s2, s3 := b[0].data, b[1].data, b[2].data, b[3].data
	p0, p1, p2, p3 := b[0].pos, b[1].pos, b[2].pos, b[3].pos
	n := uint(0)
	for n+5 <= uint(last) && min(p0, p1, p2, p3) >= origin+5*maxCode {
		p0 -= h.five((*[5]byte)(o0[n:n+5:n+5]), load(s0, p0))
		p1 -= h.five((*[5]byte)(o1[n:n+5:n+5]), load(s1, p1))
		p2 -= h.five((*[5]byte)(o2[n:n+5:n+5]), load(s2, p2))
		p3 -= h.five((*[5]byte)(o3[n:n+5:n+5]), load(s3, p3))
		n += 5
	}
	b[0].pos, b[1].pos, b[2].pos, b[3].pos = p0, p1, p2, p3
	return int(n)
}

// five decodes as many symbols, and tells how many bits they took. An entry is shifted by as it is: what is above its low 6 bits does not count.
func (h *huffman) five(out *[5]byte, v uint64) uint {
	e0 := h.entries[v>>shift]
	v <<= e0 & 63
	e1 := h.entries[v>>shift]
	v <<= e1 & 63
	e2 := h.entries[v>>shift]
	v <<= e2 & 63
	e3 := h.entries[v>>shift]
	v <<= e3 & 63
	e4 := h.entries[v>>shift]
	out[0], out[1], out[2], out[3], out[4] = byte(e0>>8), byte(e1>>8), byte(e2>>8), byte(e3>>8), byte(e4>>8)
	return uint(uint8(e0 + e1 + e2 + e3 + e4))
}
