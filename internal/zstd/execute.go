package zstd

import "math/bits"

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

// run is where decoding spends its time. What a sequence takes from the stream is in one load or two: it is turned to where the value
// belongs, and what is above that masked. Copies are of 16 bytes, past what was asked for, where the margins allow it. Places are of 32 bits,
// so that the compiler knows that a few more do not overflow, and checks each copy's bounds once.
func (e *execution) run(n int, b *block, h *history, literalState, offsetState, matchState uint64) error {
	literalCells, offsetCells, matchCells := &b.literalLengths.current.cells, &b.offsets.current.cells, &b.matchLengths.current.cells
	s, pos := e.stream.data, e.stream.pos
	buf, to, limit := h.buf, uint32(e.to), uint32(e.limit)
	literals, used, count := b.literals, uint32(0), uint32(len(b.literals)-margin)
	last, masks := &b.repeats, newMasks()
	for ; n > 0; n-- {
		lc, oc, mc := literalCells[literalState%maxSize], offsetCells[offsetState%maxSize], matchCells[matchState%maxSize]
		v := bits.RotateLeft64(load(s, pos), int(oc))
		offset, match, literal := int(oc.base()+v&masks[oc%32]), uint32(mc.base()), uint32(lc.base())
		if (lc|mc)&0xff != 0 {
			v = bits.RotateLeft64(v, int(mc))
			match += uint32(v & masks[mc%32])
			v = bits.RotateLeft64(v, int(lc))
			literal += uint32(v & masks[lc%32])
		}
		sum := uint(lc + oc + mc)
		pos -= sum & 0xff
		if n > 1 {
			if sum&0xff > 56-(9+9+8) {
				v = load(s, pos)
			}
			v = bits.RotateLeft64(v, int(lc>>8))
			literalState = lc.next() + v&masks[lc>>8%32]
			v = bits.RotateLeft64(v, int(mc>>8))
			matchState = mc.next() + v&masks[mc>>8%32]
			v = bits.RotateLeft64(v, int(oc>>8))
			offsetState = oc.next() + v&masks[oc>>8%32]
			pos -= sum >> 8 & 0xff
		}
		if oc&0xff > 1 {
			*last = repeats{offset, last[0], last[1]}
		} else {
			if literal == 0 {
				offset++
			}
			offset = last.repeat(offset)
		}
		if pos < origin || used+literal > count || to+literal+match > limit {
			return errTooLong
		}

		t, u := uint(to), uint(used)
		*(*[16]byte)(buf[t : t+16 : t+16]) = *(*[16]byte)(literals[u : u+16 : u+16])
		if literal > 16 {
			copy(buf[to+16:to+literal], literals[used+16:])
		}
		to += literal
		used += literal
		from := int(to) - offset
		if from+e.reach < 0 || uint(offset-1) >= uint(e.window) {
			return formatError("a match begins where nothing is")
		}
		if from < 0 || offset < 16 {
			h.copyNear(int(to), from, int(match))
			to += match
			continue
		}
		t, u = uint(to), uint(uint32(from))
		to += match
		p, q := (*[32]byte)(buf[t:t+32:t+32]), (*[32]byte)(buf[u:u+32:u+32])
		*(*[16]byte)(p[:16]) = *(*[16]byte)(q[:16])
		*(*[16]byte)(p[16:]) = *(*[16]byte)(q[16:])
		for i := uint(32); i < uint(match); i += 16 {
			*(*[16]byte)(buf[t+i : t+i+16 : t+i+16]) = *(*[16]byte)(buf[u+i : u+i+16 : u+i+16])
		}
	}
	if pos != origin {
		return formatError("sequences left over")
	}
	e.used, e.to = int(used), int(to)
	return nil
}

// newMasks are n bits each, by n.
func newMasks() (masks [32]uint64) {
	for n := range masks {
		masks[n] = 1<<n - 1
	}
	return masks
}

// repeats are the last offsets, the latest first.
type repeats [3]int

// repeat makes the which-th of them, or for 4 the latest less 1, the latest.
func (r *repeats) repeat(which int) int {
	switch which {
	case 1:
	case 2:
		r[0], r[1] = r[1], r[0]
	case 3:
		r[0], r[1], r[2] = r[2], r[0], r[1]
	default:
		r[0], r[1], r[2] = r[0]-1, r[0], r[1]
	}
	return r[0]
}

// copyNear copies a match that begins in the lap before, where from is less than 0, or may overlap itself.
func (h *history) copyNear(to, from, n int) {
	if from < 0 {
		before := copy(h.buf[to:to+n], h.buf[from+h.lap:h.lap])
		to, from, n = to+before, 0, n-before
	}
	for end := to + n; to < end; { // what was copied is copied again
		to += copy(h.buf[to:end], h.buf[from:to])
	}
}
