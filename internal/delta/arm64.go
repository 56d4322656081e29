package delta

// arm64 finds branches, and ADRP with the instruction after it that adds the low bits. Frozen as
// the other scanners are.
func (s *scan) arm64() {
	im, z := s.im, s.zone
	addr, ok := im.lay.address(z.off)
	if !ok {
		return
	}
	off := z.off + (s.lo-z.off)&^3
	if off >= z.off+4 {
		off -= 4 // a pair may reach into the block
	}
	end := z.off + z.size
	for ; off < s.hi && off+4 <= end; off += 4 {
		w := le32(im.old[off:])
		pc := addr + off - z.off
		switch {
		case w>>26 == 0x05 || w>>26 == 0x25:
			if t := pc + uint64(int64(int32(w<<6)>>6)*4); im.inside(t) {
				s.emit(ref{off: off, kind: refBranch, target: t})
			}
		case w>>24 == 0x54 || w>>25&0x3f == 0x1a:
			if t := pc + uint64(int64(int32(w<<8)>>13)*4); im.inside(t) {
				s.emit(ref{off: off, kind: refCond, target: t})
			}
		case w&0x9f000000 == 0x90000000 && off+8 <= end:
			s.page(off, pc, w)
		}
	}
}

func (s *scan) page(off, pc uint64, w uint32) {
	next := le32(s.im.old[off+4:])
	scale, ok := lowScale(next)
	if !ok || next>>5&31 != w&31 {
		return
	}
	pages := int64(int32((w>>5&0x7ffff<<2|w>>29&3)<<11) >> 11)
	t := pc&^0xfff + uint64(pages<<12) + uint64(next>>10&0xfff)<<scale
	if s.im.inside(t) {
		s.emit(ref{off: off, kind: refPage, adjust: scale, target: t})
	}
}

// lowScale tells whether w adds 12 bits to an address, and their scale.
func lowScale(w uint32) (uint8, bool) {
	switch {
	case w&0xffc00000 == 0x91000000: // ADD, 64 bit, immediate not shifted
		return 0, true
	case w&0x3f000000 == 0x3d000000 && w&0x00800000 != 0: // 128-bit load or store
		return 4, true
	case w&0x3b000000 == 0x39000000: // load or store, unsigned offset
		return uint8(w >> 30), true
	}
	return 0, false
}
