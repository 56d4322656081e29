package delta

import "sort"

// A zoneMaker collects zones in address order of discovery; pointers fills what others left.
type zoneMaker struct {
	image *image
	bad   bool
}

func (m *zoneMaker) add(addr, size, kind, base uint64) {
	if size == 0 {
		return
	}
	off, ok := m.image.lay.offset(addr)
	if !ok || size > m.image.size()-off {
		m.bad = true
		return
	}
	zones := append(m.image.lay.zones, zone{off, size, kind, base})
	sort.Slice(zones, func(i, j int) bool { return zones[i].off < zones[j].off })
	m.image.lay.zones = zones
}

// pointers makes the section a zone of pointers but for the text, pclntab and zones in it.
func (m *zoneMaker) pointers(s part, text, etext, pcln, pclnEnd uint64) {
	if s.addr <= text && text < s.addr+s.size || s.off%8 != 0 {
		return
	}
	type gap struct{ from, to uint64 }
	at, end := s.off, s.off+s.size
	var gaps []gap
	if pcln >= s.addr && pcln < s.addr+s.size {
		gaps = append(gaps, gap{s.off + pcln - s.addr, s.off + min(pclnEnd-s.addr, s.size)})
	}
	for _, z := range m.image.lay.zones {
		if z.off >= at && z.off < end {
			gaps = append(gaps, gap{z.off, z.off + z.size})
		}
	}
	sort.Slice(gaps, func(i, j int) bool { return gaps[i].from < gaps[j].from })
	for _, g := range append(gaps, gap{end, end}) {
		if g.from > at && (g.from-at) >= 8 {
			size := (g.from - at) &^ 7
			m.add(s.addr+at-s.off, size, zonePointers, 0)
		}
		at = max(at, (g.to+7)&^7)
	}
}
