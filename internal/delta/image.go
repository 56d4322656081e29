package delta

import "encoding/binary"

// An image predicts the new file from the old one: the old file's bytes with every reference
// rewritten by the address map. It is computed block by block, so that none of it is kept.
type image struct {
	old         []byte // an encoder's goes on with the contents of packed
	packed      []packed
	unpacker    *unpacker // a decoder's
	lay         layout
	newBase     [nBases]uint64
	moves       addressMap
	newSegments []segment
	functab     []byte // pairs of entry and offset, and the end
	pctab       []byte
	from        lookup // for places
	to          lookup // for targets
	side        []sideRef
	lines       lookup // by lineKey
	tables      []tableRef
	rests       map[uint64][]resume
	abbrevs     [][]attribute
	scratch     scratch
	marking     bool   // whether starts are being found
	starts      []byte // where instructions begin, by startUnit of the file: 0 if not known, or else the place from 17 bytes before it on
	budget      int64  // of steps that prepare may still take
}

// A scratch is room that is used again.
type scratch struct {
	runs, files      []run
	encoded, classes []byte
	entries, words   []byte
	nodes            []uint64 // files of the inlining tree of function nodesOf-1
	nodesOf          int
}

// A ref is a place in the old file that tells an address.
type ref struct {
	off    uint64 // in the file
	kind   uint8
	base   uint8  // of offsets
	adjust uint8  // refRelative: bytes from the end of the field to the end of the instruction; refPage: scale
	target uint64 // refLine: a lineKey
	origin uint64 // refPC: what the value counts from
}

const (
	refRelative = iota // 4 bytes, from the end of the instruction
	refPointer         // 8 bytes
	refOffset          // 4 bytes, from a base
	refBranch          // arm64 B, BL
	refPage            // arm64 ADRP and the instruction after it
	refShort           // 1 byte, from the end of the instruction
	refCond            // arm64 B.cond, CBZ, CBNZ
	refLine            // 4 bytes, a line of a source file
	refPC              // 4 bytes, from the function's entry
	refLength          // 8 bytes, from the origin to the target
	nRefs
)

var refSize = [nRefs]uint64{4, 8, 4, 4, 8, 1, 4, 4, 4, 8}

// le32, le64 and put32 are called at two hundred places. Inlined they would cost each program 3 KB, and no patch is applied
// measurably faster.
//
//go:noinline
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

//go:noinline
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

//go:noinline
func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }

func put64(b []byte, v uint64)         { binary.LittleEndian.PutUint64(b, v) }
func (im *image) inside(a uint64) bool { return a-im.lay.lo < im.lay.hi-im.lay.lo }

// total is the size of the prediction: that of the old file, and of what is packed in it.
//
//go:noinline
func (im *image) total() uint64 {
	n := uint64(len(im.old))
	if im.unpacker != nil {
		n += im.unpacker.size
	}
	return n
}

// size is that of the old file.
//
//go:noinline
func (im *image) size() uint64 {
	n := im.total()
	for _, p := range im.packed {
		n -= p.n
	}
	return n
}

// view returns bytes of what the prediction is made of from off on, at least one and at most n. They are valid until the next
// call. After an error of the unpacker there are none.
func (im *image) view(off, n uint64) []byte {
	if rest := uint64(len(im.old)); off < rest {
		return im.old[off:][:min(n, rest-off)]
	} else if im.unpacker != nil {
		return im.unpacker.view(off-rest, n)
	}
	return nil
}

// read returns all n bytes from off on, in a buffer if need be. Those that cannot be had are 0.
func (im *image) read(buf *[]byte, off, n uint64) []byte {
	if b := im.view(off, n); im.unpacker == nil && uint64(len(b)) == n {
		return b
	}
	if uint64(cap(*buf)) < n {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	im.fill(b, off)
	return b
}

// fill copies what the prediction is made of.
func (im *image) fill(dst []byte, off uint64) {
	for len(dst) > 0 {
		n := copy(dst, im.view(off, uint64(len(dst))))
		if n == 0 {
			clear(dst)
			return
		}
		dst, off = dst[n:], off+uint64(n)
	}
}

// at returns the n bytes at an address, or nil where there are not as many.
//
//go:noinline
func (im *image) at(addr, n uint64) []byte {
	off, ok := im.lay.offset(addr)
	if size := uint64(len(im.old)); !ok || off > size || n > size-off {
		return nil
	}
	return im.old[off : off+n]
}

// word returns the 4 bytes at an address, 0 where there are none.
//
//go:noinline
func (im *image) word(addr uint64) uint32 {
	if b := im.at(addr, 4); b != nil {
		return le32(b)
	}
	return 0
}

// rewrite puts into b, which holds the old bytes of r, what they are to become.
func (im *image) rewrite(b *[8]byte, r *ref) {
	if r.kind == refLine {
		put32(b[:], le32(b[:])+uint32(im.lines.at(r.target)-r.target))
		return
	}
	t := im.to.at(r.target)
	switch r.kind {
	case refRelative:
		put32(b[:], uint32(t-im.place(r.off)-4-uint64(r.adjust)))
	case refPointer:
		put64(b[:], t)
	case refOffset:
		v := t - im.newBase[r.base]
		if r.base == baseCutab {
			v /= 4
		}
		put32(b[:], uint32(v))
	case refBranch:
		put32(b[:], le32(b[:])&0xfc000000|uint32(int64(t-im.place(r.off))>>2)&0x03ffffff)
	case refCond:
		put32(b[:], le32(b[:])&0xff00001f|uint32(int64(t-im.place(r.off))>>2)&0x7ffff<<5)
	case refPage:
		page := int64(t&^0xfff-im.place(r.off)&^0xfff) >> 12
		put32(b[:], le32(b[:])&0x9f00001f|uint32(page&3)<<29|uint32(page>>2&0x7ffff)<<5)
		put32(b[4:], le32(b[4:])&0xffc003ff|uint32(t&0xfff)>>r.adjust<<10)
	case refPC:
		put32(b[:], uint32(t-im.from.at(r.origin)))
	case refLength:
		put64(b[:], im.to.at(r.target-1)+1-im.to.at(r.origin))
	case refShort:
		b[0] = byte(t - im.place(r.off) - 1 - uint64(r.adjust))
	}
}

// place returns where the address of an offset moved to.
func (im *image) place(off uint64) uint64 {
	a, _ := im.lay.address(off)
	return im.from.at(a)
}

// predict fills dst with the prediction from offset off on, and class with what each byte is part of.
func (im *image) predict(dst, class []byte, off uint64) {
	end := off + uint64(len(dst))
	im.fill(dst, off)
	clear(class)
	im.predictTables(dst, class, off)
	size, total := uint64(len(im.old)), im.total()
	im.scan(off, end, func(r ref) {
		var b [8]byte
		n := refSize[r.kind]
		if r.off+n > total {
			return
		}
		if r.off < size {
			copy(b[:], im.old[r.off:])
		}
		im.rewrite(&b, &r)
		first, from, to := r.class(), max(r.off, off), min(r.off+n, end)
		for at := from; at < to; at++ {
			dst[at-off] = b[(at-r.off)&7]
			class[at-off] = first + byte(at-r.off)
		}
	})
}

// class is that of the first byte of the reference; those after it have the next ones. 0 is no reference.
func (r *ref) class() byte {
	if r.kind == refOffset {
		return 104 + r.base*4
	}
	return 8 + r.kind*8
}

// scan calls emit for all references that overlap the offsets from lo to hi.
func (im *image) scan(lo, hi uint64, emit func(ref)) {
	for _, z := range im.lay.zones {
		if z.off < hi && lo < z.off+z.size {
			im.scanZone(z, max(lo, z.off), min(hi, z.off+z.size), emit)
		}
	}
	im.scanSide(lo, hi, emit)
}

func (im *image) scanZone(z zone, lo, hi uint64, emit func(ref)) {
	switch z.kind {
	case zonePointers:
		im.scanPointers(z, lo, hi, emit)
	case zoneOffsets, zoneFunctab:
		im.scanOffsets(z, lo, hi, emit)
	case zoneFuncs:
		im.scanFuncs(lo, hi, emit)
	case zoneInfo, zoneLines:
		im.scanUnits(z, lo, hi, emit)
	case zoneWords:
		im.scanWords(z, lo, hi, emit)
	case zoneSymbols:
		im.scanSymbols(z, lo, hi, emit)
	case zoneText:
		if im.lay.arch == archAMD64 {
			im.scanAMD64(z, lo, hi, emit)
		} else if im.lay.arch == archARM64 {
			im.scanARM64(z, lo, hi, emit)
		}
	}
}

func (im *image) scanPointers(z zone, lo, hi uint64, emit func(ref)) {
	for off := z.off + (lo-z.off)&^7; off < hi && off+8 <= z.off+z.size; off += 8 {
		if v := le64(im.old[off:]); im.inside(v) {
			emit(ref{off: off, kind: refPointer, target: v})
		}
	}
}

const noOffset = 0xffffffff

func (im *image) offsetRef(off uint64, base uint8) ref {
	v := uint64(le32(im.old[off:]))
	if base == baseCutab {
		v *= 4
	}
	return ref{off: off, kind: refOffset, base: base, target: im.lay.base[base] + v}
}

func (im *image) emitOffset(off uint64, base uint8, emit func(ref)) {
	if v := le32(im.old[off:]); v != noOffset {
		r := im.offsetRef(off, base)
		emit(r)
	}
}

// scanOffsets finds those from the zone's base; in the function table, from two bases in turn.
func (im *image) scanOffsets(z zone, lo, hi uint64, emit func(ref)) {
	for off := z.off + (lo-z.off)&^3; off < hi && off+4 <= z.off+z.size; off += 4 {
		base := uint8(z.base)
		if z.kind == zoneFunctab && (off-z.off)&4 != 0 {
			base = baseFunctab
		}
		if base != baseImage || le32(im.old[off:]) != 0 {
			im.emitOffset(off, base, emit)
		}
	}
}
