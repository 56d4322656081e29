package delta

import (
	"bytes"
	"slices"
)

// Words of runtime.moduledata (runtime/symtab.go), Go 1.20 to 1.26.
const (
	mdNames    = 1 // each of these is followed by its length
	mdCutab    = 4
	mdFiles    = 7
	mdPctab    = 10
	mdPcln     = 13
	mdFtab     = 16
	mdFind     = 19
	mdText     = 22
	mdEtext    = 23
	mdTypes    = 37
	mdEtypes   = 38
	mdRodata   = 39
	mdGofunc   = 40
	mdSections = 41 // textsectmap, after epclntab in Go 1.26
	mdWords    = 60
)

// A goFile is an executable with what the encoder knows of it.
type goFile struct {
	*executable
	image  *image
	masked []byte // until it is aligned
	expansion
	find  generated // of findfunctab; size 0 if there is none that can be generated
	count int       // of references, once they were counted
}

// parseGo reads a Go executable, or returns nil. Compressed sections are unpacked behind it or in place.
func parseGo(b []byte, inPlace bool) *goFile {
	e := parseExecutable(b)
	if e == nil {
		return nil
	}
	g := &goFile{executable: e, expansion: *expand(b, e, inPlace)}
	b = g.data
	g.image = &image{old: b}
	if !inPlace {
		g.image.packed = g.packed
	}
	lay := &g.image.lay
	lay.arch = e.arch
	for _, s := range e.sections {
		if s.size > 0 {
			lay.segments = append(lay.segments, segment{s.addr, s.off, s.size})
		}
	}
	last := e.sections[len(e.sections)-1]
	lay.lo, lay.hi = e.sections[0].addr, last.addr+max(last.size, last.mem)
	pcln, md := g.findModule(b)
	if md == nil || !g.readModule(pcln, md) {
		return nil
	}
	g.addSpaces()
	free := room(tableRoom)
	if lay.check(g.image.size(), g.image.total()) != nil || g.image.prepare(&free) != nil {
		return nil
	}
	g.image.side = slices.Clone(g.image.side) // there was room for many more
	return g
}

// findModule finds the header of pclntab, and moduledata by its pointing there.
func (g *goFile) findModule(b []byte) (pcln uint64, md []byte) {
	minimum := byte(1)
	if g.arch == archARM64 {
		minimum = 4
	}
	magic := []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, minimum, 8}
	for _, s := range g.sections {
		for at := s.off; at+8 <= s.off+s.size; at += 8 {
			if !bytes.Equal(b[at:at+8], magic) {
				continue
			}
			if md := g.moduleOf(b, s.addr+at-s.off); md != nil {
				return s.addr + at - s.off, md
			}
		}
	}
	return 0, nil
}

func (g *goFile) moduleOf(b []byte, pcln uint64) []byte {
	for _, s := range g.sections {
		for at := s.off; at+8*mdWords <= s.off+s.size; at += 8 {
			w := func(i uint64) uint64 { return le64(b[at+8*i:]) }
			if w(0) == pcln && w(2) == w(3) && w(1)-pcln < 256 {
				return b[at : at+8*mdWords]
			}
		}
	}
	return nil
}

func (g *goFile) readModule(pcln uint64, md []byte) bool {
	w := func(i int) uint64 { return le64(md[8*i:]) }
	lay := &g.image.lay
	lay.base = [nBases]uint64{baseText: w(mdText), baseTypes: w(mdTypes), baseGofunc: w(mdGofunc), baseNames: w(mdNames),
		baseCutab: w(mdCutab), baseFiles: w(mdFiles), basePctab: w(mdPctab), baseFunctab: w(mdPcln), baseRodata: w(mdRodata),
		baseImage: g.imageBase}
	lay.pctabEnd = w(mdPctab) + w(mdPctab+1)
	lay.etypes = w(mdEtypes)
	if w(mdFtab) != w(mdPcln) || w(mdFtab+1) < 2 || w(mdFtab+1) > maxFuncs || w(mdEtext) < w(mdText) {
		return false
	}
	lay.nfunc = w(mdFtab+1) - 1
	typelinks := mdSections + 3
	if w(mdSections) > lay.lo && w(mdSections+1) > lay.lo {
		typelinks++
	}
	m := &zoneMaker{image: g.image}
	m.add(w(mdText), w(mdEtext)-w(mdText), zoneText, baseText)
	m.add(w(mdCutab), 4*w(mdCutab+1), zoneOffsets, baseFiles)
	m.add(w(mdFtab), 8*lay.nfunc+4, zoneFunctab, 0)
	m.add(w(mdFtab)+8*lay.nfunc+4, w(mdPcln+1)-8*lay.nfunc-4, zoneFuncs, 0)
	m.add(w(typelinks), 4*w(typelinks+1), zoneOffsets, baseTypes)
	for _, t := range g.tables {
		m.add(t.addr, t.size, zoneOffsets, baseImage)
	}
	pclnEnd := w(mdPcln) + w(mdPcln+1)
	for _, s := range g.sections {
		m.pointers(s, w(mdText), w(mdEtext), pcln, pclnEnd)
	}
	g.findTable(w(mdFind))
	return !m.bad
}

// findTable notes the place of findfunctab, if it is what would be generated.
func (g *goFile) findTable(addr uint64) {
	im := g.image
	functab := im.at(im.lay.base[baseFunctab], 8*im.lay.nfunc+4)
	if functab == nil {
		return
	}
	length := uint64(le32(functab[8*im.lay.nfunc:]) - le32(functab))
	f := generated{kind: generatedFind, size: 4*((length+4095)/4096) + (length+255)/256, count: im.lay.nfunc}
	f.off, _ = im.lay.offset(addr)
	f.from, _ = im.lay.offset(im.lay.base[baseFunctab])
	table := im.at(addr, f.size)
	made := make([]byte, f.size)
	findTable(made, functab, int(f.count))
	if len(g.packed) > 0 && g.packed[0].off < max(f.off+f.size, f.source()) {
		return // offsets are those of the file before what is unpacked only
	}
	if f.check(0, im.size()) == nil && bytes.Equal(made, table) {
		g.find = f
	}
}
