package zstd

import (
	"math/bits"
	"unsafe"
)

// An execution is how far the sequences of a block were carried out, and all that the loop needs for it besides the tables: whatever has its
// place at a fixed distance from the block needs no register.
type execution struct {
	left                                  int  // sequences to decode
	pos, lastSum                          uint // of the stream, and what the last sequence took from it
	literalState, offsetState, matchState uint64
	used, literalEnd                      uint   // of the literals
	to, limit                             uint   // where the next byte goes, and may go
	low                                   int    // of the history, in this lap: before it a match takes the long way
	far                                   uint64 // 16 less than the window

	stream, literals, buf unsafe.Pointer
	masks                 [256]uint64 // of n bits, by n; so many that any byte is one, and 64 of use
}

// execute decodes n sequences and carries each out: it copies literals, then a match. The literals that are left
// are the end of the block.
func (b *block) execute(n int, stream backward, h *history, f *frame) (int, error) {
	if err := b.begin(n, stream, h, f); err != nil {
		return 0, err
	}
	e, reach := &b.execution, int(min(f.decoded, largestWindow)) // as far back a match may begin, and within the window
	for e.left > 0 {
		offset, match := b.run()
		if e.left < 0 {
			return 0, errTooLong
		}
		if match == 0 {
			break
		}
		behind := int(e.to) - h.end
		if offset-1 >= uint64(f.window) || offset > uint64(reach+behind) {
			return 0, formatError("a match begins where nothing is")
		}
		h.copyNear(int(e.to), int(e.to)-int(offset), int(match))
		e.to += match
	}
	if e.pos+e.lastSum>>8&0xff != origin { // it took bits for a state after it, which there is not
		return 0, formatError("sequences left over")
	}
	rest := b.literals[e.used:e.literalEnd]
	if e.to+uint(len(rest)) > e.limit {
		return 0, errTooLong
	}
	return int(e.to) - h.end + copy(h.buf[e.to:], rest), nil
}

var errTooLong = formatError("a block or a frame is longer than it may be")

// begin reads the first states, and makes sure of all that [block.run] relies on.
func (b *block) begin(n int, stream backward, h *history, f *frame) error {
	e := &b.execution
	var ok1, ok2, ok3 bool
	e.literalState, ok1 = stream.take(b.literalLengths.log)
	e.offsetState, ok2 = stream.take(b.offsets.log)
	e.matchState, ok3 = stream.take(b.matchLengths.log)
	if !ok1 || !ok2 || !ok3 {
		return formatError("sequences cut short")
	}
	e.left, e.pos = n, stream.pos
	e.used, e.literalEnd = 0, uint(len(b.literals)-margin)
	e.to, e.limit = uint(h.end), uint(h.end+f.room())
	e.low, e.far = max(0, h.end-int(min(f.decoded, largestWindow))), uint64(f.window-16)
	_ = stream.data[e.pos>>3+7]
	_ = b.literals[e.literalEnd+margin-1]
	_ = h.buf[e.limit+margin-1]
	e.stream, e.literals, e.buf = start(stream.data), start(b.literals), start(h.buf)
	return nil
}

func start(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// run is where decoding spends its time. It carries out sequences until none is left, or until a match that goes back into the lap before,
// or may overlap itself, or begins where none may: of that it returns offset and length, for others to copy. It returns a length of 0 when all
// is done, and leaves -1 sequences where one does not fit.
//
// What a sequence takes from the stream is in one load or two: it is turned to where the value belongs, and what is above that masked. Copies are
// of 16 bytes, past what was asked for. The compiler checks the bounds of none of them, which takes a fifth off the time; [block.begin] and the three
// conditions in the loop do.
//   - The stream: loaded are the 8 bytes at pos/8, which begin's look at the first covers, as pos only falls. It is origin or more (25 bytes) before
//     a sequence takes 84 bits at most, a cell having no more than 24 and 9.
//   - The literals: used is at most literalEnd, after which margin bytes follow; a copy goes up to 16 bytes too far.
//   - The history: to is at most limit, after which margin bytes follow; a copy goes up to 32 bytes too far. A match begins at low, which is not
//     negative, or later, and 16 bytes or more before to, so that it is behind what it writes.
//
// No function is called, as registers would be saved for it in each round.
func (b *block) run() (offset uint64, match uint) {
	e := &b.execution
	stream, pos := e.stream, e.pos
	literalState, offsetState, matchState := e.literalState, e.offsetState, e.matchState
	to, used, n := e.to, e.used, e.left
	for ; n > 0; match = 0 {
		n--
		lc, oc, mc := b.literalLengths.cells[literalState%maxSize], b.offsets.cells[offsetState%maxSize], b.matchLengths.cells[matchState%maxSize]
		if pos < origin {
			n = -1
			break
		}
		sum := uint(lc + oc + mc)
		v := bits.RotateLeft64(loadAt(stream, pos), int(oc))
		offset = oc.base() + v&b.execution.masks[uint8(oc)]
		match = uint(mc.base())
		literal := uint(lc.base())
		if (lc|mc)&0xff != 0 {
			v = bits.RotateLeft64(v, int(mc))
			match += uint(v & b.execution.masks[uint8(mc)])
			v = bits.RotateLeft64(v, int(lc))
			literal += uint(v & b.execution.masks[uint8(lc)])
			if sum&0xff > 56-(9+9+8) {
				v = loadAt(stream, pos-sum&0xff)
			}
		}
		states := lc >> 8
		v = bits.RotateLeft64(v, int(states))
		literalState = lc.next() + v&b.execution.masks[uint8(states)]
		states = mc >> 8
		v = bits.RotateLeft64(v, int(states))
		matchState = mc.next() + v&b.execution.masks[uint8(states)]
		states = oc >> 8
		v = bits.RotateLeft64(v, int(states))
		offsetState = oc.next() + v&b.execution.masks[uint8(states)]
		b.execution.lastSum = sum
		pos -= (sum + sum>>8) & 0xff
		if oc&0xff > 1 {
			b.repeats = repeats{offset, b.repeats[0], b.repeats[1]}
		} else {
			if literal == 0 {
				offset++
			}
			offset = b.repeats.repeat(offset)
		}

		t, u := unsafe.Add(b.execution.buf, to), unsafe.Add(b.execution.literals, used)
		used += literal
		to += literal
		if used > b.execution.literalEnd || to+match > b.execution.limit {
			n = -1
			break
		}
		*(*[16]byte)(t) = *(*[16]byte)(u)
		for i := uint(16); i < literal; i += 16 {
			*(*[16]byte)(unsafe.Add(t, i)) = *(*[16]byte)(unsafe.Add(u, i))
		}
		from := int(to) - int(offset)
		if from < b.execution.low || offset-16 > b.execution.far {
			break
		}
		t, u = unsafe.Add(b.execution.buf, to), unsafe.Add(b.execution.buf, from)
		to += match
		*(*[16]byte)(t) = *(*[16]byte)(u)
		*(*[16]byte)(unsafe.Add(t, 16)) = *(*[16]byte)(unsafe.Add(u, 16))
		for i := uint(32); i < match; i += 16 {
			*(*[16]byte)(unsafe.Add(t, i)) = *(*[16]byte)(unsafe.Add(u, i))
		}
	}
	e.pos, e.literalState, e.offsetState, e.matchState = pos, literalState, offsetState, matchState
	e.to, e.used, e.left = to, used, n
	return offset, match
}

// repeats are the last offsets, the latest first.
type repeats [3]uint64

// repeat makes the which-th of them, or for 4 the latest less 1, the latest.
func (r *repeats) repeat(which uint64) uint64 {
	offset := r[0]
	switch which {
	case 1:
		return offset
	case 2:
		offset = r[1]
	case 3:
		offset = r[2]
		r[2] = r[1]
	default:
		offset--
		r[2] = r[1]
	}
	r[1], r[0] = r[0], offset
	return offset
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
