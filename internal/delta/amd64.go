package delta

import "sort"

// What an x86-64 instruction has after its opcode, in 64-bit mode. This table and instruction() are
// frozen: every published delta depends on them, and testdata holds them to it.
const (
	xNone   = '.' // nothing
	xModRM  = 'm'
	xImm1   = '1'
	xImm2   = '2'
	xImm4   = '4' // 2 with the operand size prefix
	xImm8   = '8' // as xImm4, but 8 with REX.W
	xAddr   = 'a' // 8
	xMImm1  = 'b' // ModRM, then 1
	xMImm4  = 'd' // ModRM, then 4, or 2 with the prefix
	xShort  = 's' // relative, 1
	xNear   = 'n' // relative, 4
	xGroup1 = 'g' // F6: ModRM, and 1 for TEST
	xGroup4 = 'h' // F7: the same with 4
	xEnter  = '3'
	xBad    = '-'
)

const oneByte = "" +
	"mmmm14--mmmm14--" + "mmmm14--mmmm14--" + "mmmm14--mmmm14--" + "mmmm14--mmmm14--" +
	"----------------" + "................" + "---m----4d1b...." + "ssssssssssssssss" +
	"bd-bmmmmmmmmmmmm" + "..........-....." + "aaaa....14......" + "1111111188888888" +
	"bb2.--bd3.2..1-." + "mmmm--1.mmmmmmmm" + "ssss1111nn-s...." + "-.--..gh......mm"

const twoByte = "" +
	"mmmm-.....-.-m.-" + "mmmmmmmmmmmmmmmm" + "mmmm----mmmmmmmm" + "........-.------" +
	"mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "bbbbmmm.mmmmmmmm" +
	"nnnnnnnnnnnnnnnn" + "mmmmmmmmmmmmmmmm" + "...mbm--...mbmmm" + "mmmmmmmmmmbmmmmm" +
	"mmbmbbbm........" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm"

// instruction returns the length of the instruction that b begins with, or 0, and the place and
// size of the field in it that is relative to its end, size 0 if there is none.
func instruction(b []byte) (n, field, size int) {
	i, short, wide := prefixes(b)
	if i >= len(b) {
		return 0, 0, 0
	}
	op := b[i]
	i++
	kind := oneByte[op]
	switch op {
	case 0x0f:
		if i >= len(b) {
			return 0, 0, 0
		}
		kind = twoByte[b[i]]
		switch b[i] {
		case 0x38:
			i++
			kind = xModRM
		case 0x3a:
			i++
			kind = xMImm1
		}
		i++
	case 0xc4, 0xc5, 0x62:
		i, kind = vector(b, i, op)
	}
	return operands(b, i, kind, short, wide)
}

// prefixes skips them, and tells whether operands are of 16 bits or 64.
func prefixes(b []byte) (i int, short, wide bool) {
	for i < len(b) && i < 9 {
		switch b[i] {
		case 0x66:
			short = true
		case 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x67:
		default:
			if b[i]&0xf0 == 0x40 {
				wide = b[i]&8 != 0
				i++
			}
			return i, short && !wide, wide
		}
		i++
	}
	return len(b), false, false
}

// vector skips a VEX or EVEX prefix and the opcode after it.
func vector(b []byte, i int, op byte) (int, byte) {
	space := byte(1)
	skip := 1
	switch {
	case op == 0xc4 && i < len(b):
		space, skip = b[i]&31, 2
	case op == 0x62 && i < len(b):
		space, skip = b[i]&7, 3
	}
	if i += skip; i >= len(b) {
		return i, xBad
	}
	code := b[i]
	i++
	switch {
	case space == 1 && code == 0x77:
		return i, xNone
	case space == 1 && (code >= 0x70 && code <= 0x73 || code == 0xc2 || code >= 0xc4 && code <= 0xc6), space == 3:
		return i, xMImm1
	case space == 1 || space == 2:
		return i, xModRM
	}
	return i, xBad
}

// operands measures what follows the opcode.
func operands(b []byte, i int, kind byte, short, wide bool) (n, field, size int) {
	full := 4
	if short {
		full = 2
	}
	imm := 0
	switch kind {
	case xBad:
		return 0, 0, 0
	case xImm1, xMImm1:
		imm = 1
	case xImm2:
		imm = 2
	case xEnter:
		imm = 3
	case xImm4, xMImm4:
		imm = full
	case xImm8:
		if imm = full; wide {
			imm = 8
		}
	case xAddr:
		imm = 8
	case xShort:
		imm, field, size = 1, i, 1
	case xNear:
		imm, field, size = 4, i, 4
	case xGroup1, xGroup4:
		if i < len(b) && b[i]>>3&7 < 2 {
			if imm = 1; kind == xGroup4 {
				imm = full
			}
		}
	}
	switch kind {
	case xModRM, xMImm1, xMImm4, xGroup1, xGroup4:
		if i >= len(b) {
			return 0, 0, 0
		}
		i, field, size = modRM(b, i)
	}
	if i += imm; i > len(b) {
		return 0, 0, 0
	}
	return i, field, size
}

// modRM skips the byte of that name at i and what belongs to it.
func modRM(b []byte, i int) (next, field, size int) {
	mode, rm := b[i]>>6, b[i]&7
	i++
	if mode == 3 {
		return i, 0, 0
	}
	if rm == 4 {
		if i < len(b) && mode == 0 && b[i]&7 == 5 {
			i += 4
		}
		i++
	}
	switch {
	case mode == 0 && rm == 5:
		return i + 4, i, 4
	case mode == 1:
		i++
	case mode == 2:
		i += 4
	}
	return i, 0, 0
}

// restart bounds how far before a block decoding has to begin: within a function, it begins anew
// at every multiple.
const restart = 1 << 14

// amd64 decodes the instructions of each function.
func (s *scan) amd64() {
	im, z, lo, hi := s.im, s.zone, s.lo, s.hi
	zoneAddr, ok := im.lay.address(z.off)
	if !ok {
		return
	}
	addr := zoneAddr + lo - z.off
	i := sort.Search(int(im.lay.nfunc), func(i int) bool { return im.entry(i) > addr }) - 1
	for i = max(i, 0); i < int(im.lay.nfunc); i++ {
		start := im.entry(i)
		if start < zoneAddr || start-zoneAddr >= z.size {
			continue
		}
		from := z.off + start - zoneAddr
		if from >= hi {
			return
		}
		to := z.off + z.size
		if next := im.entry(i + 1); next >= start && next-start < to-from {
			to = from + next - start
		}
		if from < lo {
			from += (lo - from) / restart * restart
		}
		for ; from < min(to, hi); from += restart {
			s.decodeAMD64(from, min(to, from+restart))
		}
	}
}

// entry returns the address of function i.
//
//go:noinline
func (im *image) entry(i int) uint64 {
	return im.lay.base[baseText] + uint64(le32(im.functab[8*i:]))
}

// startUnit is for how much of the file it is known where instructions begin.
const startUnit = 1 << 10

// known returns where an instruction begins that is the last before off, or the first from there on, if that is known.
func (im *image) known(off uint64) (uint64, bool) {
	if i := off / startUnit; off%startUnit == 0 && i < uint64(len(im.starts)) && im.starts[i] > 0 {
		return off + uint64(im.starts[i]) - startBias, true
	}
	return 0, false
}

const startBias = longestRead + 1

// decodeAMD64 decodes what begins at from and ends at to, for what is between lo and hi.
func (s *scan) decodeAMD64(from, to uint64) {
	im, lo := s.im, s.lo
	addr, ok := im.lay.address(from)
	if !ok {
		return
	}
	off, stop, code := from, min(to, s.hi), im.old[:to]
	if at, ok := im.known(lo); ok && lo > from {
		off = max(off, at)
	}
	for off < stop {
		cut, last := min(stop, off&^(startUnit-1)+startUnit), off
		for off < cut {
			at, n, field, size := plain(code, off, cut)
			if off, last = at, at; off >= cut {
				break
			}
			if n == 0 {
				n, field, size = instruction(code[off:min(to, off+longestRead)])
			}
			if size > 0 {
				s.relative(off, addr+off-from, n, field, size)
			}
			off += uint64(max(n, 1))
		}
		if s.found != nil && cut%startUnit == 0 {
			im.starts[cut/startUnit] = byte(last + startBias - cut)
		}
	}
}

// relative finds the field of an instruction of n bytes that counts from its end.
func (s *scan) relative(off, addr uint64, n, field, size int) {
	r := ref{off: off + uint64(field), kind: refShort, target: addr + uint64(n)}
	if size == 1 {
		r.target += uint64(int64(int8(s.im.old[r.off])))
		s.emit(r)
		return
	}
	r.kind, r.adjust = refRelative, uint8(n-field-4)
	if r.target += uint64(int64(int32(le32(s.im.old[r.off:])))); s.im.inside(r.target) {
		s.emit(r)
	}
}
