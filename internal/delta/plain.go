package delta

import "encoding/binary"

// Most x86-64 instructions are an opcode of one or two bytes, with REX before it or not, and what belongs to it. Tables tell
// at once how long those are. They are made of what instruction knows, and find nothing else than it does.

// A shape is what follows an opcode: how many bytes with the opcode but without ModRM, and what it is.
type shape uint8

const (
	shapeBytes = 15
	shapeModRM = 1 << 4
	shapeShort = 1 << 5 // ends with an operand that is relative, of 1 byte
	shapeNear  = 1 << 6 // of 4
	shapeOther = 1 << 7 // neither is usual
)

// A tail is what ModRM says that follows: ModRM and how many bytes more.
type tail uint8

const (
	tailBytes    = 15
	tailRelative = 1 << 6 // relative to the instruction's end
	tailSIB      = 1 << 7 // the next byte says more
)

var (
	shapes = makeShapes() // of one byte, and then of two, the first of which is 0F
	tails  = makeTails()
)

func makeShapes() (t [512]shape) {
	for i := range t {
		kinds := oneByte
		if i >= 256 {
			kinds = twoByte
		}
		t[i] = shapeOf(kinds[i&255])
	}
	return t
}

func shapeOf(kind byte) shape {
	switch kind {
	case xNone:
		return 1
	case xModRM:
		return 1 | shapeModRM
	case xImm1:
		return 2
	case xImm2:
		return 3
	case xImm4:
		return 5
	case xMImm1:
		return 2 | shapeModRM
	case xMImm4:
		return 5 | shapeModRM
	case xShort:
		return 2 | shapeShort
	case xNear:
		return 5 | shapeNear
	}
	return shapeOther
}

func makeTails() (t [256]tail) {
	for i := range t {
		next, _, size := modRM([]byte{byte(i), 0}, 0)
		t[i] = tail(next)
		if size > 0 {
			t[i] |= tailRelative
		}
		if i>>6 == 0 && i&7 == 4 {
			t[i] |= tailSIB
		}
	}
	return t
}

// longestRead is more than what a usual instruction has.
const longestRead = 16

// plain goes over usual instructions that refer to nothing, from off on, until one does or is not usual. Of the first kind it
// returns what instruction does, of the second n is 0.
func plain(code []byte, off, stop uint64) (at uint64, n, field, size int) {
	for ; off < stop && off+longestRead <= uint64(len(code)); off += uint64(n) {
		w := binary.LittleEndian.Uint64(code[off:])
		rex := ((w>>4&15 ^ 4) - 1) >> 63
		w >>= 8 * rex & 63
		two := ((w&0xff ^ 0x0f) - 1) >> 63
		w >>= 8 * two & 63
		s := shapes[two<<8|w&0xff]
		n = int(rex+two) + int(s&shapeBytes)
		if s&shapeModRM != 0 {
			t := tails[byte(w>>8)]
			if n += int(t & tailBytes); t >= tailRelative {
				if t&tailRelative != 0 {
					return off, n, n - int(s&shapeBytes) + 1 - 4, 4
				}
				if w>>16&7 == 5 {
					n += 4
				}
			}
			continue
		}
		if s >= shapeShort {
			switch {
			case s&shapeShort != 0:
				return off, n, n - 1, 1
			case s&shapeNear != 0:
				return off, n, n - 4, 4
			}
			return off, 0, 0, 0
		}
	}
	return off, 0, 0, 0
}
