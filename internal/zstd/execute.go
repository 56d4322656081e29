package zstd

// execute decodes n sequences and carries each out: it copies literals, then a match. The literals that are left
// are the end of the block.
func (b *block) execute(n int, stream backward, h *history, f *frame) (int, error) {
	literalState, ok1 := stream.take(b.literalLengths.current.log)
	offsetState, ok2 := stream.take(b.offsets.current.log)
	matchState, ok3 := stream.take(b.matchLengths.current.log)
	if !ok1 || !ok2 || !ok3 {
		return 0, formatError("sequences cut short")
	}
	e := execution{stream: stream, to: h.end, limit: h.end + f.room(), window: f.window}
	e.reach = int(min(f.decoded, largestWindow)) - h.end
	if err := e.run(n, b, h, literalState, offsetState, matchState); err != nil {
		return 0, err
	}
	rest := b.literals[e.used : len(b.literals)-margin]
	if e.to+len(rest) > e.limit {
		return 0, errTooLong
	}
	return e.to - h.end + copy(h.buf[e.to:], rest), nil
}

var errTooLong = formatError("a block or a frame is longer than it may be")

// An execution is how far the sequences of a block were carried out.
type execution struct {
	stream backward
	used   int // of the literals
	to     int // where the next byte goes
	limit  int // of to
	reach  int // to+reach is how far back a match may begin, at most,
	window int // and so is this
}

// run is where decoding spends its time. What a sequence takes from the stream is in one load or two, and copies
// are of 16 bytes, past what was asked for, where the margins allow it.
func (e *execution) run(n int, b *block, h *history, literalState, offsetState, matchState uint64) error {
	literalCells, offsetCells, matchCells := &b.literalLengths.current.cells, &b.offsets.current.cells, &b.matchLengths.current.cells
	s, pos := e.stream.data, e.stream.pos
	buf, to := h.buf, e.to
	literals, used, count := b.literals, 0, len(b.literals)-margin
	r0, r1, r2 := b.repeats[0], b.repeats[1], b.repeats[2]
	for ; n > 0; n-- {
		lc, oc, mc := literalCells[literalState%maxSize], offsetCells[offsetState%maxSize], matchCells[matchState%maxSize]
		v := load(s, pos)
		offset := int(oc.base() + top(v, uint64(oc)))
		v <<= oc & 63
		match := int(mc.base() + top(v, uint64(mc)))
		v <<= mc & 63
		literal := int(lc.base() + top(v, uint64(lc)))
		v <<= lc & 63
		sum := uint(lc + oc + mc)
		pos -= sum & 0xff
		if n > 1 {
			if sum&0xff > 56-(9+9+8) {
				v = load(s, pos)
			}
			literalState = lc.next() + top(v, uint64(lc>>8))
			v <<= lc >> 8 & 63
			matchState = mc.next() + top(v, uint64(mc>>8))
			v <<= mc >> 8 & 63
			offsetState = oc.next() + top(v, uint64(oc>>8))
			pos -= sum >> 8 & 0xff
		}
		if oc&0xff > 1 {
			r0, r1, r2 = offset, r0, r1
		} else {
			if literal == 0 {
				offset++
			}
			r0, r1, r2 = repeat(offset, r0, r1, r2)
			offset = r0
		}
		if pos < origin || used+literal > count || to+literal+match > e.limit {
			return errTooLong
		}

		*(*[16]byte)(buf[to:]) = *(*[16]byte)(literals[used:])
		if literal > 16 {
			copy(buf[to+16:to+literal], literals[used+16:])
		}
		to += literal
		used += literal
		if offset > e.reach+to || offset > e.window || offset == 0 {
			return formatError("a match %d bytes back, of %d", offset, e.reach+to)
		}
		from := to - offset
		if from < 0 {
			if from += h.lap; from+match > h.lap || offset < 16 {
				h.copyOver(to, from, match)
				to += match
				continue
			}
		}
		if offset < 16 {
			copyPattern(buf, to, from, match)
			to += match
			continue
		}
		*(*[16]byte)(buf[to:]) = *(*[16]byte)(buf[from:])
		for i := 16; i < match; i += 16 {
			*(*[16]byte)(buf[to+i:]) = *(*[16]byte)(buf[from+i:])
		}
		to += match
	}
	if pos != origin {
		return formatError("sequences left over")
	}
	b.repeats = [3]int{r0, r1, r2}
	e.used, e.to = used, to
	return nil
}

// repeat makes the which-th of the last offsets, or for 4 the last less 1, the last.
func repeat(which, r0, r1, r2 int) (int, int, int) {
	switch which {
	case 1:
		return r0, r1, r2
	case 2:
		return r1, r0, r2
	case 3:
		return r2, r0, r1
	}
	return r0 - 1, r0, r1
}

// copyPattern copies a match that may overlap itself: what was copied is copied again.
func copyPattern(buf []byte, to, from, n int) {
	for end := to + n; to < end; {
		to += copy(buf[to:end], buf[from:to])
	}
}

// copyOver copies a match that begins in the lap before and may go on in this one.
func (h *history) copyOver(to, from, n int) {
	before := copy(h.buf[to:to+n], h.buf[from:h.lap])
	copyPattern(h.buf, to+before, 0, n-before)
}
