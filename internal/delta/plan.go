package delta

// A plan is what a patch says before the residual: how the old file is transformed, and what in the
// new file is generated.
type plan struct {
	image     *image // nil if the old file is taken as it is
	generated []generated
	repeats   bool     // insertions are coded as literals and matches
	packed    []packed // compressed sections of the new file
	size      uint64   // of the residual's output: the new file without what is generated, and with those unpacked
}

// rareOdds are 1/16. Most of all pairs are no executables.
const rareOdds = odds(1 << 12)

// codePlan codes a plan. An encoder's p is complete; a decoder's is filled in.
func codePlan(c *coder, old []byte, p *plan, newSize uint64) (*plan, error) {
	any, transform := rareOdds, evenOdds
	if c.flag(one(p.image != nil || len(p.generated) > 0 || p.repeats), &any) == 0 {
		p.size = newSize
		return p, nil
	}
	if c.flag(one(p.image != nil), &transform) == 1 {
		if p.image == nil {
			p.image = &image{old: old}
		}
		if err := p.image.code(c); err != nil {
			return nil, err
		}
	}
	if err := p.codeGenerated(c, newSize); err != nil {
		return nil, err
	}
	if err := p.codePacked(c, newSize); err != nil {
		return nil, err
	}
	many := evenOdds
	p.repeats = c.flag(one(p.repeats), &many) == 1
	if c.bad {
		return nil, formatError("the plan ends early")
	}
	return p, nil
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// codePacked codes the new file's compressed sections.
func (p *plan) codePacked(c *coder, newSize uint64) (err error) {
	if p.image == nil {
		return nil
	}
	if p.packed, err = codePacked(c, p.packed, newSize, false); err != nil {
		return err
	}
	for _, s := range p.packed {
		if p.size += s.n; s.size > p.size || s.off+s.n > p.size {
			return formatError("a compressed section outside the new file")
		}
		p.size -= s.size
	}
	return nil
}

// code codes what the image is made by, and makes a decoder's image ready.
func (im *image) code(c *coder) (err error) {
	if err = im.codePacked(c); err != nil {
		return err
	}
	if err = im.lay.code(c, im.size(), im.total()); err != nil {
		return err
	}
	m := newIntModel(1)
	for i := range im.newBase {
		moved := c.int(int64(im.newBase[i]-im.lay.base[i]), m, 0)
		im.newBase[i] = im.lay.base[i] + uint64(moved)
	}
	if err = im.codeSegments(c, m); err != nil {
		return err
	}
	if im.moves, err = im.moves.code(c); err != nil {
		return err
	}
	if im.lines.m, err = im.lines.m.code(c); err != nil {
		return err
	}
	if err = c.room.take(uint64(len(im.moves)) * (stepSize + 8)); err != nil || c.encoding { // for the guesser
		return err
	}
	return im.prepare(&c.room)
}

// codePacked codes the old file's compressed sections.
func (im *image) codePacked(c *coder) error {
	size := im.size()
	p, err := codePacked(c, im.packed, size, true)
	if err == nil && !c.encoding && len(p) > 0 {
		im.packed, im.unpacker = p, newUnpacker(im.old, p)
	}
	return err
}

// codeSegments codes the new file's segments, in terms of the old one's.
func (im *image) codeSegments(c *coder, m *intModel) error {
	n := c.uint(uint64(len(im.newSegments)), m, 0)
	if n > maxZones {
		return formatError("too many segments")
	}
	if !c.encoding {
		im.newSegments = make([]segment, n)
	}
	for i := range im.newSegments {
		s, was := &im.newSegments[i], segment{}
		if i < len(im.lay.segments) {
			was = im.lay.segments[i]
		}
		for _, v := range [...]struct{ now, was *uint64 }{{&s.addr, &was.addr}, {&s.off, &was.off}, {&s.size, &was.size}} {
			*v.now = *v.was + uint64(c.int(int64(*v.now-*v.was), m, 0))
		}
	}
	return nil
}

// prepare is called when layout and moves are known.
func (im *image) prepare(r *room) error {
	if err := im.findFuncs(); err != nil {
		return err
	}
	for _, z := range im.lay.zones {
		if z.kind == zoneInfo || z.kind == zoneLines {
			if err := r.take(z.size / restEvery * restSize); err != nil {
				return err
			}
		}
	}
	im.budget = 64 * int64(im.size())
	im.side = nil
	if err := im.findSide(r); err != nil {
		return err
	}
	if err := im.findTables(r); err != nil {
		return err
	}
	im.move(im.moves, im.lines.m)
	return nil
}

// move sets the maps.
func (im *image) move(m, lines addressMap) {
	im.moves, im.lines, im.from = m, lookup{m: lines}, lookup{m: m, index: m.newIndex()}
	im.to = im.from
}

// source returns what the residual copies from.
func (p *plan) source(old []byte) *source {
	s := &source{old: old, image: p.image, all: uint64(len(old))}
	if p.image != nil {
		s.all = p.image.total()
		n := min(cachedBlocks, s.all/blockSize/4+1) // of a small file not all: they take twice its size
		s.numbers, s.data, s.class = make([]uint64, n), make([]byte, n*blockSize), make([]byte, n*blockSize)
	}
	s.budget = 32*(int(s.all)/blockSize+1) + 1<<12
	return s
}

// A source gives out the prediction of the new file in blocks, and keeps the last ones.
type source struct {
	old         []byte
	all         uint64 // size of the prediction
	image       *image
	numbers     []uint64 // of the blocks that are kept, from 1
	data, class []byte   // of those
	budget      int
}

const (
	blockSize    = 1 << 10
	cachedBlocks = 2048
)

var noClasses [blockSize]byte

// at returns the prediction from off to the end of its block. Off is less than the size.
func (s *source) at(off uint64) (data, class []byte, err error) {
	within := off % blockSize
	first := off - within
	n := min(blockSize, s.all-first)
	if s.image == nil {
		return s.old[off : first+n], noClasses[within:n], nil
	}
	slot := first / blockSize % uint64(len(s.numbers))
	data, class = s.data[slot*blockSize:][:n], s.class[slot*blockSize:][:n]
	if s.numbers[slot] != first/blockSize+1 {
		if s.budget--; s.budget < 0 {
			return nil, nil, limitError("too many jumps in the old file")
		}
		s.numbers[slot] = first/blockSize + 1
		s.image.predict(data, class, first)
		if u := s.image.unpacker; u != nil && u.err != nil {
			return nil, nil, u.err
		}
	}
	return data[within:], class[within:], nil
}

func (s *source) size() uint64 { return s.all }
