package delta

// A scan goes over the references in a part of the old file. The scanners are frozen: every published delta depends on what they find.
type scan struct {
	im         *image
	zone       *zone
	lo, hi     uint64 // what overlaps these offsets is looked for
	dst, class []byte // a prediction from off on, in which what is found is rewritten
	off        uint64
	found      []uint64  // if not nil, types are noted instead
	each       func(ref) // encoder: if not nil, called instead
}

// scan calls each for all references that overlap the offsets from lo to hi.
func (im *image) scan(lo, hi uint64, each func(ref)) {
	s := scan{im: im, each: each}
	s.all(lo, hi)
}

// predict fills dst with the prediction from offset off on, and class with what each byte is part of.
func (im *image) predict(dst, class []byte, off uint64) {
	im.fill(dst, off)
	clear(class)
	im.predictTables(dst, class, off)
	s := scan{im: im, dst: dst, class: class, off: off}
	s.all(off, off+uint64(len(dst)))
}

func (s *scan) all(lo, hi uint64) {
	for i := range s.im.lay.zones {
		if z := &s.im.lay.zones[i]; z.off < hi && lo < z.off+z.size {
			s.zone, s.lo, s.hi = z, max(lo, z.off), min(hi, z.off+z.size)
			s.references()
		}
	}
	s.lo, s.hi = lo, hi
	s.sides()
}

// references finds those in the zone, from lo to hi.
func (s *scan) references() {
	switch s.zone.kind {
	case zonePointers:
		s.pointers()
	case zoneOffsets, zoneFunctab:
		s.offsets()
	case zoneFuncs:
		s.functions()
	case zoneInfo, zoneLines:
		s.units()
	case zoneWords:
		s.words()
	case zoneSymbols:
		s.symbols()
	case zoneText:
		if s.im.lay.arch == archAMD64 {
			s.amd64()
		} else if s.im.lay.arch == archARM64 {
			s.arm64()
		}
	}
}

// emit takes a reference that was found.
func (s *scan) emit(r ref) {
	switch {
	case s.each != nil:
		s.each(r)
	case s.found != nil:
		s.mark(r.target)
	default:
		s.rewrite(&r)
	}
}

// rewrite puts into the prediction what the reference is to become.
func (s *scan) rewrite(r *ref) {
	var b [8]byte
	n, im := refSize[r.kind], s.im
	if r.off+n > im.total() {
		return
	}
	if r.off < uint64(len(im.old)) {
		copy(b[:], im.old[r.off:])
	}
	im.rewrite(&b, r)
	first, from, to := r.class(), max(r.off, s.off), min(r.off+n, s.off+uint64(len(s.dst)))
	for at := from; at < to; at++ {
		s.dst[at-s.off] = b[(at-r.off)&7]
		s.class[at-s.off] = first + byte(at-r.off)
	}
}

func (s *scan) pointers() {
	im, z := s.im, s.zone
	for off := z.off + (s.lo-z.off)&^7; off < s.hi && off+8 <= z.off+z.size; off += 8 {
		if v := le64(im.old[off:]); im.inside(v) {
			s.emit(ref{off: off, kind: refPointer, target: v})
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

// offset finds a reference of 4 bytes from a base.
func (s *scan) offset(off uint64, base uint8) {
	if v := le32(s.im.old[off:]); v != noOffset {
		s.emit(s.im.offsetRef(off, base))
	}
}

// offsets finds those from the zone's base; in the function table, from two bases in turn.
func (s *scan) offsets() {
	z := s.zone
	for off := z.off + (s.lo-z.off)&^3; off < s.hi && off+4 <= z.off+z.size; off += 4 {
		base := uint8(z.base)
		if z.kind == zoneFunctab && (off-z.off)&4 != 0 {
			base = baseFunctab
		}
		if base != baseImage || le32(s.im.old[off:]) != 0 {
			s.offset(off, base)
		}
	}
}
