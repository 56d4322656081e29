package delta

import (
	"bytes"
	"sort"
)

// Debugging information (DWARF 4 and 5) as Go's linker writes it: each section is an address space of its own, and
// offsets into it are references like others. The scanners are frozen as those of code are.

// A resume is where scanning a section can begin: between two entries, with what is known there.
type resume struct {
	off, end uint32 // of the entry, and of the unit that it belongs to; off==end: a unit begins
	operands uint8  // zoneLines: they begin with this opcode
}

const (
	restEvery = 1 << 12 // bytes from one noted resting place to the next
	restSize  = 36      // bytes that one takes, while their list grows
	// entryLimit is the size of an entry that is understood: what is longer, or malformed, ends its unit.
	entryLimit = 1 << 13
)

// units finds the references of a section.
func (s *scan) units() {
	z := s.zone
	rests := &s.im.rests[z.kind] // a layout has one zone of each such kind
	if *rests == nil {
		*rests = []resume{{off: uint32(z.off), end: uint32(z.off)}}
	}
	i := sort.Search(len(*rests), func(i int) bool { return uint64((*rests)[i].off) > s.lo }) - 1
	r := (*rests)[max(i, 0)]
	e := &entryScanner{scan: s, end: z.off + z.size}
	for uint64(r.off) < min(s.hi, e.end) {
		r = e.entry(r)
		if r.off >= (*rests)[len(*rests)-1].off+restEvery {
			*rests = append(*rests, r)
		}
	}
}

// An entryScanner reads entries one by one.
type entryScanner struct {
	scan *scan
	end  uint64
	b    []byte // from off on, as far as needed
	off  uint64
	at   int // in b
	bad  bool
}

// emit takes what it found, if it was looked for.
func (s *entryScanner) emit(r ref) {
	if r.off < s.scan.hi && s.scan.lo < r.off+refSize[r.kind] {
		s.scan.emit(r)
	}
}

// entry reads the entry at r, and returns the place after it.
func (s *entryScanner) entry(r resume) resume {
	if rest := int(uint64(r.off) - s.off); s.b == nil || rest < 0 || rest > len(s.b)-entryLimit {
		s.off = uint64(r.off)
		s.b = s.scan.im.read(&s.scan.im.scratch.entries, s.off, min(s.end-s.off, 4*entryLimit))
	}
	s.at, s.bad = int(uint64(r.off)-s.off), false
	end := r.end
	switch {
	case r.off == r.end:
		r = s.unit()
		end = r.end
	case s.scan.zone.kind == zoneInfo:
		s.info()
	default:
		s.line(r.operands)
	}
	if r.off = uint32(s.off + uint64(s.at)); s.bad || r.off > end {
		r.off = end
	}
	return r
}

// unit reads the header of one. What cannot be read is skipped.
func (s *entryScanner) unit() resume {
	length := uint64(s.u32())
	next := s.off + uint64(s.at) + length
	if s.bad || next > s.end || length < 8 {
		next = s.end
		s.bad = true
	}
	r := resume{end: uint32(next)}
	version := s.u16()
	if version < 2 || version > 5 {
		s.bad = true
	}
	if s.scan.zone.kind == zoneInfo {
		if version == 5 {
			s.skip(2)
		}
		if s.u32() != 0 { // another table of abbreviations
			s.bad = true
		}
		if version < 5 {
			s.skip(1)
		}
		return r
	}
	if version == 5 {
		s.skip(2)
	}
	header := s.u32()
	first := s.at + int(header)
	s.skip(5)
	if version < 4 {
		s.at--
	}
	r.operands = s.u8()
	if header > 1<<30 || s.off+uint64(first) > next {
		s.bad = true
	}
	s.at = first
	return r
}

//go:noinline
func (s *entryScanner) skip(n uint64) {
	if n > uint64(len(s.b)-s.at) {
		s.bad, n = true, 0
	}
	s.at += int(n)
}

// take returns the next n bytes, at most 8.
//
//go:noinline
func (s *entryScanner) take(n uint64) []byte {
	at := s.at
	if s.skip(n); s.bad {
		return make([]byte, 8)
	}
	return s.b[at:]
}

func (s *entryScanner) u8() uint8   { return s.take(1)[0] }
func (s *entryScanner) u16() uint64 { return le16(s.take(2)) }

//go:noinline
func (s *entryScanner) u32() uint32 { return le32(s.take(4)) }

//go:noinline
func (s *entryScanner) uleb() uint64 {
	v, n := uvarint(s.b[min(s.at, len(s.b)):])
	if n <= 0 {
		s.bad = true
		return 0
	}
	s.at += n
	return v
}

// address is an address of the program at place at.
//
//go:noinline
func (s *entryScanner) address(at int) {
	if at+8 <= len(s.b) {
		if v := le64(s.b[at:]); s.scan.im.inside(v) {
			s.emit(ref{off: s.off + uint64(at), kind: refPointer, target: v})
		}
	}
}

// section is an offset into a section at place at.
//
//go:noinline
func (s *entryScanner) section(at int, base uint8) {
	if b := s.scan.im.lay.base[base]; at+4 <= len(s.b) && b != 0 {
		s.emit(ref{off: s.off + uint64(at), kind: refOffset, base: base, target: b + uint64(le32(s.b[at:]))})
	}
}

// line reads an operation of a line number program.
func (s *entryScanner) line(operands uint8) {
	const setAddress, fixedAdvance = 2, 9
	switch op := s.u8(); {
	case op == 0:
		n := s.uleb()
		at := s.at
		s.skip(n)
		if n == 9 && !s.bad && s.b[at] == setAddress {
			s.address(at + 1)
		}
	case op >= operands:
	case op >= 2 && op <= 5 || op == 12:
		s.uleb()
	case op == fixedAdvance:
		s.skip(2)
	}
}

// Attributes and forms of DWARF that are told apart.
const (
	atLocation    = 0x02
	atStmtList    = 0x10
	atFrameBase   = 0x40
	atRanges      = 0x55
	atAddrBase    = 0x73
	formImplicit  = 0x21
	formAddr      = 0x01
	formBlock1    = 0x0a
	formString    = 0x08
	formRefAddr   = 0x10
	formSecOffset = 0x17
	opAddr        = 3
)

// An attribute is one of an abbreviation, with the form of its value.
type attribute struct{ name, form uint16 }

// maxAbbrevs bounds the table of abbreviations.
const maxAbbrevs = 1 << 10

// abbreviations reads the table of them, which is the first one in its section.
func (im *image) abbreviations() [][]attribute {
	if im.abbrevs != nil {
		return im.abbrevs
	}
	im.abbrevs = make([][]attribute, 1, 128)
	off := im.lay.abbrevs
	var buf []byte
	s := &entryScanner{b: im.read(&buf, off, min(im.total()-off, 1<<16))}
	for len(im.abbrevs) < maxAbbrevs {
		if code := s.uleb(); s.bad || code != uint64(len(im.abbrevs)) {
			break
		}
		s.uleb()
		s.skip(1)
		var list []attribute
		for {
			name, form := s.uleb(), s.uleb()
			if form == formImplicit {
				s.uleb()
			}
			if s.bad || name|form == 0 || len(list) > 64 {
				break
			}
			list = append(list, attribute{uint16(name), uint16(form)})
		}
		im.abbrevs = append(im.abbrevs, list)
	}
	return im.abbrevs
}

// info reads an entry of .debug_info.
func (s *entryScanner) info() {
	code := s.uleb()
	table := s.scan.im.abbreviations()
	if code >= uint64(len(table)) {
		s.bad = true
		return
	}
	for _, a := range table[code] {
		s.attribute(a)
		if s.bad {
			return
		}
	}
}

func (s *entryScanner) attribute(a attribute) {
	at := s.at
	switch a.form {
	case formAddr:
		s.skip(8)
		s.address(at)
	case 0x0b, 0x0c, 0x11: // data1, flag, ref1
		s.skip(1)
	case 0x05, 0x12:
		s.skip(2)
	case 0x06, 0x0e, 0x13, 0x1f:
		s.skip(4)
	case 0x07, 0x14, 0x20:
		s.skip(8)
	case formString:
		n := bytes.IndexByte(s.b[at:], 0)
		s.skip(uint64(n) + 1)
		s.bad = s.bad || n < 0
	case 0x0d, 0x0f, 0x15, 0x1a, 0x1b, 0x22, 0x23:
		s.uleb()
	case formBlock1, 0x09, 0x18:
		n := uint64(0)
		if a.form == formBlock1 {
			n = uint64(s.u8())
		} else {
			n = s.uleb()
		}
		at = s.at
		s.skip(n)
		if n == 9 && !s.bad && s.b[at] == opAddr {
			s.address(at + 1)
		}
	case formRefAddr:
		s.skip(4)
		s.section(at, baseInfo)
	case formSecOffset:
		s.skip(4)
		s.offset(a.name, at)
	case 0x19, formImplicit:
	default:
		s.bad = true
	}
}

func (s *entryScanner) offset(name uint16, at int) {
	if s.bad {
		return
	}
	switch name {
	case atStmtList:
		s.section(at, baseLines)
	case atRanges:
		s.section(at, baseRanges)
	case atAddrBase:
		s.section(at, baseAddrs)
	case atLocation, atFrameBase:
		s.section(at, baseLocations)
	}
}

// words finds addresses in words of 8 bytes. In .debug_frame the size of what is there follows.
func (s *scan) words() {
	im, z, lo, hi := s.im, s.zone, s.lo, s.hi
	off := z.off + (lo-z.off)&^7
	if off > z.off {
		off -= 8 // a size may be in the block, what it is of before
	}
	b := im.read(&im.scratch.words, off, min(z.off+z.size, hi+8)-off)
	for i := 0; i+8 <= len(b) && off+uint64(i) < hi; i += 8 {
		v, at := le64(b[i:]), off+uint64(i)
		if !im.inside(v) {
			continue
		}
		s.emit(ref{off: at, kind: refPointer, target: v})
		if z.base != 0 && i+16 <= len(b) && le64(b[i+8:]) < maxFile {
			s.emit(ref{off: at + 8, kind: refLength, target: v + le64(b[i+8:]), origin: v})
		}
	}
}

// symbols finds names and addresses in a symbol table: ELF's (base 0) or Mach-O's.
func (s *scan) symbols() {
	im, z, lo, hi := s.im, s.zone, s.lo, s.hi
	size := uint64(24)
	if z.base != 0 {
		size = 16
	}
	for off := z.off + (lo-z.off)/size*size; off < hi && off+size <= z.off+z.size; off += size {
		b := im.old[off:]
		if v := le32(b); v != 0 {
			s.emit(ref{off: off, kind: refOffset, base: baseStrings, target: im.lay.base[baseStrings] + uint64(v)})
		}
		v := le64(b[8:])
		if !im.inside(v) {
			continue
		}
		s.emit(ref{off: off + 8, kind: refPointer, target: v})
		if n := uint64(0); size == 24 {
			if n = le64(b[16:]); n > 0 && n < maxFile {
				s.emit(ref{off: off + 16, kind: refLength, target: v + n, origin: v})
			}
		}
	}
}
