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
	rests       [nZones][]resume // by kind of zone
	abbrevs     [][]attribute
	scratch     scratch
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

// class is that of the first byte of the reference; those after it have the next ones. 0 is no reference.
func (r *ref) class() byte {
	if r.kind == refOffset {
		return 104 + r.base*4
	}
	return 8 + r.kind*8
}
