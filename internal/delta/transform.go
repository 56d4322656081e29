package delta

import (
	"bytes"
	"runtime/debug"
	"sort"
	"sync"
)

// A transform is what the encoder knows of two Go executables.
type transform struct {
	old  []byte
	a, b *goFile
	plan *plan
	much bool // whether so much is new that an alignment is not left for little
}

// readGo parses a file and masks it, for the first alignment.
func readGo(b []byte, inPlace bool) *goFile {
	g := parseGo(b, inPlace)
	if g == nil {
		return nil
	}
	if g.masked = g.data; len(g.packed) == 0 { // data is the file itself
		g.masked = bytes.Clone(g.data)
	}
	refs := g.refs()
	g.image.mask(g.masked, refs, g.image.labels(refs))
	return g
}

// unmask ends that.
func (g *goFile) unmask(b []byte) {
	if g.masked = nil; len(g.packed) > 0 {
		g.fill(b)
	}
}

// newTransform aligns the files by their masked forms, and draws the first maps.
func newTransform(old, fresh []byte, a, b *goFile) *transform {
	t := &transform{old: old, a: a, b: b, plan: &plan{image: a.image}}
	a.image.newBase, a.image.newSegments = b.image.lay.base, b.image.lay.segments
	if b.find.size > 0 {
		t.plan.generated = append(t.plan.generated, b.find)
	}
	if b.signature != nil {
		t.plan.generated = append(t.plan.generated, *b.signature)
	}
	t.pack()
	debug.FreeOSMemory() // what masking took: at peaks only what is needed is to be held
	s := newMatcher(a.masked).stretches(b.masked, maskedCosts, nil)
	together(func() { a.unmask(old) }, func() { b.unmask(fresh) })
	t.draw(s)
	return t
}

// pack plans the compressed sections of the new file: where they are in what is left without the generated parts.
func (t *transform) pack() {
	for i, p := range t.b.packed {
		at := t.b.content(i)
		for _, g := range t.generated() {
			if g.off < at {
				p.off -= g.size
			}
		}
		p.off += at - t.b.packed[i].off
		t.plan.packed = append(t.plan.packed, p)
	}
}

// generated returns those parts of the new file as they are in its expansion.
func (t *transform) generated() (out []generated) {
	for _, g := range t.plan.generated {
		g.off = t.b.moved(g.off)
		out = append(out, g)
	}
	return out
}

// draw makes the maps that an alignment of the whole files speaks for.
func (t *transform) draw(s []stretch) {
	debug.FreeOSMemory() // what the alignment took
	p := &poll{a: t.a.image, b: t.b.image}
	var a, b []placed
	together(func() { a = t.a.refs() }, func() { b = t.b.refs() })
	p.compare(a, b, s)
	t.a.image.move(drawMap(p.moved), nil)
	p.compareTables()
	t.a.image.move(t.a.image.moves, drawMap(p.lines))
	debug.FreeOSMemory()
}

// improve draws the maps anew from an alignment with the prediction, and returns the better one.
func (t *transform) improve() []byte {
	predicted := t.predict()
	fresh := t.b.image.old
	s := newMatcher(predicted).stretches(fresh, draftCosts, nil)
	t.much = (len(fresh)-copied(s))*muchShare > len(fresh)
	t.draw(s)
	return t.predict()
}

// predict makes the whole prediction, its halves beside each other.
func (t *transform) predict() []byte {
	im := t.a.image
	dst := make([]byte, len(im.old))
	half := len(dst) / 2 / blockSize * blockSize
	other := *im // all that scanning changes is its own
	other.scratch, other.rests, other.abbrevs = scratch{}, [nZones][]resume{}, nil
	together(func() { im.predictAll(dst[:half], 0) }, func() { other.predictAll(dst[half:], half) })
	return dst
}

// predictAll fills dst with the prediction from offset at on, where a block begins.
func (im *image) predictAll(dst []byte, at int) {
	var class [blockSize]byte
	for off := 0; off < len(dst); off += blockSize {
		n := min(blockSize, len(dst)-off)
		im.predict(dst[off:off+n], class[:n], uint64(at+off))
	}
}

// expect returns where the map says that a place in the residual's output comes from.
func (t *transform) expect() func(int) int {
	g := newGuesser(t.plan)
	return func(at int) int { return int(g.guess(0, uint64(at), 0)) }
}

// encoding is the last that needs the new file as it was read.
func (t *transform) encoding() *encoding {
	parts := t.generated()
	return &encoding{old: t.old, fresh: without(t.b.data, parts, len(t.b.packed) > 0), plan: t.plan, sections: t.b.named(parts)}
}

// named lists the sections of the file that is left without the generated parts, and the tables
// within them, smaller ones first.
func (g *goFile) named(parts []generated) (out []part) {
	im := g.image
	add := func(name string, addr, end uint64) {
		if off, ok := im.lay.offset(addr); ok && end > addr {
			out = append(out, part{name: name, off: off, size: end - addr})
		}
	}
	b := &im.lay.base
	add("pclntab names", b[baseNames], b[baseCutab])
	add("pclntab cutab", b[baseCutab], b[baseFiles])
	add("pclntab files", b[baseFiles], b[basePctab])
	add("pclntab pctab", b[basePctab], im.lay.pctabEnd)
	add("types", b[baseTypes], im.lay.etypes)
	for _, z := range im.lay.zones {
		if name := map[uint64]string{zoneFunctab: "pclntab functab", zoneFuncs: "pclntab funcs"}[z.kind]; name != "" {
			out = append(out, part{name: name, off: z.off, size: z.size})
		}
	}
	if s := g.sectionOf(b[baseGofunc]); s != nil && b[baseGofunc] > b[basePctab] {
		add("go:func.*", b[baseGofunc], s.addr+s.size)
	}
	out = append(append(out, g.sections...), g.others...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].size < out[j].size })
	for i := range out {
		cut := uint64(0)
		for _, p := range parts {
			if p.off < out[i].off {
				cut += p.size
			}
		}
		out[i].off -= cut
	}
	return out
}

func (g *goFile) sectionOf(addr uint64) *part {
	for i := range g.sections {
		if s := &g.sections[i]; addr-s.addr < s.size {
			return s
		}
	}
	return nil
}

// together does two things beside each other.
func together(a, b func()) {
	var wait sync.WaitGroup
	wait.Add(1)
	go func() {
		defer wait.Done()
		a()
	}()
	b()
	wait.Wait()
}
