package delta

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"slices"
	"sort"
)

// A vote says that what was at an address moved by a shift.
type vote struct {
	addr  uint64
	shift int64
}

// A placed is a reference in 16 bytes: there are millions.
type placed struct {
	target             uint64
	off                uint32
	kind, base, adjust uint8
}

// refs returns all references of the image in order, without overlapping ones.
func (g *goFile) refs() []placed {
	im := g.image
	if g.count == 0 { // the same each time
		im.scan(0, im.total(), func(ref) { g.count++ })
	}
	out := make([]placed, 0, g.count)
	im.scan(0, im.total(), func(r ref) { out = append(out, placed{r.target, uint32(r.off), r.kind, r.base, r.adjust}) })
	order(out)
	kept, end := out[:0], uint64(0)
	for _, r := range out {
		if off := uint64(r.off); off >= end && off+refSize[r.kind] <= im.total() {
			kept = append(kept, r)
			end = off + refSize[r.kind]
		}
	}
	return kept
}

// order sorts references by offset. They come in two runs: those that are found by their place, and the others.
func order(r []placed) {
	byOffset := func(a, b placed) int { return cmp.Compare(a.off, b.off) }
	n := 1
	for n < len(r) && r[n-1].off <= r[n].off {
		n++
	}
	if n >= len(r) {
		return
	}
	if !slices.IsSortedFunc(r[n:], byOffset) {
		slices.SortStableFunc(r, byOffset)
		return
	}
	second := slices.Clone(r[n:])
	for k := len(second); k > 0; { // from behind, where there is room
		if n > 0 && r[n-1].off > second[k-1].off {
			n--
			r[n+k] = r[n]
		} else {
			k--
			r[n+k] = second[k]
		}
	}
}

func label(b []byte) uint32 {
	h := fnv.New32a()
	h.Write(b)
	return h.Sum32() | 1
}

// cstring returns the text at an address.
func (im *image) cstring(addr uint64) []byte {
	off, ok := im.lay.offset(addr)
	if !ok {
		return nil
	}
	size := uint64(len(im.old))
	b := im.old[min(off, size):min(off+1<<12, size)]
	if n := bytes.IndexByte(b, 0); n >= 0 {
		return b[:n]
	}
	return nil
}

// labels names the addresses of functions, names, files and types, so that they can be recognized
// in another version.
func (im *image) labels(refs []placed) map[uint64]uint32 {
	out := map[uint64]uint32{}
	for i := range int(im.lay.nfunc) {
		name := im.lay.base[baseNames] + uint64(im.word(im.funcAddr(i)+funcName))
		out[im.entry(i)] = label(im.cstring(name))
	}
	for i := range refs {
		r := &refs[i]
		if r.kind != refOffset || out[r.target] != 0 {
			continue
		}
		switch r.base {
		case baseNames, baseFiles, baseStrings, baseInfo:
			out[r.target] = label(im.cstring(r.target))
		case baseTypes:
			if name := im.typeName(uint32(r.target - im.lay.base[baseTypes])); name != nil {
				out[r.target] = label(name)
			}
		}
	}
	im.labelTypes(out)
	return out
}

// labelTypes names types by their hash.
func (im *image) labelTypes(out map[uint64]uint32) {
	for _, s := range im.side {
		off := s.off()
		if s.base() != baseTypes || off < typeName {
			continue
		}
		t, ok := im.lay.address(off - typeName)
		if h := im.at(t, typeSize); ok && t&7 == 0 && h != nil && plausibleType(h) {
			out[t] = le32(h[16:]) | 1
		}
	}
}

// mask replaces every reference in out, which holds the file, by the label of its target.
func (im *image) mask(out []byte, refs []placed, labels map[uint64]uint32) {
	for i := range refs {
		r := &refs[i]
		l, b := labels[r.target], out[r.off:]
		switch r.kind {
		case refRelative, refOffset:
			put32(b, l)
		case refPointer:
			put64(b, uint64(l))
		case refBranch:
			put32(b, le32(b)&0xfc000000|l&0x3ffffff)
		case refCond:
			put32(b, le32(b)&0xff00001f)
		case refPage:
			put32(b, le32(b)&0x9f00001f|l&0x7ffff<<5)
			put32(b[4:], le32(b[4:])&0xffc003ff|l>>19&0xfff<<10)
		case refShort:
			b[0] = 0
		case refLine, refPC:
			put32(b, 0)
		case refLength:
			put64(b, 0)
		}
	}
}

// A poll collects votes on addresses and on lines.
type poll struct {
	a, b         *image
	moved, lines []vote
}

// compare lets the references in aligned stretches vote, and the stretches of code themselves.
func (p *poll) compare(ra, rb []placed, s []stretch) {
	moved := 0 // counted first: growing would take twice the memory
	aligned(ra, rb, s, func(r, _ *placed) {
		if r.kind != refLine {
			moved += 1 + one(r.fromPlace())
		}
	})
	p.moved = make([]vote, 0, moved)
	aligned(ra, rb, s, p.pair)
}

// aligned gives out the references that alignment pairs with one of their kind.
func aligned(ra, rb []placed, s []stretch, give func(r, q *placed)) {
	find := func(r []placed, off int) int {
		return sort.Search(len(r), func(i int) bool { return r[i].off >= uint32(off) })
	}
	for _, st := range s {
		i, j := find(ra, st.old), find(rb, st.fresh)
		for i < len(ra) && j < len(rb) && ra[i].off < uint32(st.old+st.n) && rb[j].off < uint32(st.fresh+st.n) {
			r, q := &ra[i], &rb[j]
			x, y := r.off-uint32(st.old), q.off-uint32(st.fresh)
			if x == y && r.kind == q.kind && r.base == q.base && r.adjust == q.adjust {
				give(r, q)
			}
			i += one(x <= y)
			j += one(y <= x)
		}
	}
}

// fromPlace tells whether a reference counts from where it is.
func (r *placed) fromPlace() bool {
	return r.kind != refLength && r.kind != refPointer && r.kind != refOffset && r.kind != refPC
}

func (p *poll) pair(r, q *placed) {
	if r.kind == refLine {
		p.lines = append(p.lines, lineVote(r.target, q.target))
		return
	}
	back := uint64(0) // the length ends where the last byte does
	if r.kind == refLength {
		back = 1
	}
	p.moved = append(p.moved, vote{r.target - back, int64(q.target - r.target)})
	if r.fromPlace() {
		x, _ := p.a.lay.address(uint64(r.off))
		y, _ := p.b.lay.address(uint64(q.off))
		p.moved = append(p.moved, vote{x, int64(y - x)})
	}
}

// lineVote compares lines only: files have other keys in another version.
func lineVote(a, b uint64) vote {
	const mask = 1<<lineBits - 1
	return vote{a, int64(b&mask) - int64(a&mask)}
}

// compareTables lets the line tables of functions that the map pairs vote.
func (p *poll) compareTables() {
	byEntry := map[uint64]int{}
	for i := range int(p.b.lay.nfunc) {
		byEntry[p.b.entry(i)] = i
	}
	for i := range int(p.a.lay.nfunc) {
		if j, ok := byEntry[p.a.moves.at(p.a.entry(i))]; ok && functionName(p.a, i) == functionName(p.b, j) {
			p.compareLines(i, j)
		}
	}
}

func (p *poll) compareLines(i, j int) {
	var f, g funcInfo
	ok1, ok2 := p.a.funcInfo(i, &f), p.b.funcInfo(j, &g)
	if !ok1 || !ok2 || f.pcln == 0 || g.pcln == 0 || f.pcfile == 0 {
		return
	}
	unit := uint64(1)
	if p.a.lay.arch == archARM64 {
		unit = 4
	}
	s, entry := &p.a.scratch, p.a.entry(i)
	s.runs, _ = p.a.table(f.pcln, s.runs)
	s.files, _ = p.a.table(f.pcfile, s.files)
	theirs, _ := p.b.table(g.pcln, p.b.scratch.runs)
	start := p.a.moves.at(entry)
	k, n, pc := 0, 0, uint32(0)
	for _, r := range s.runs {
		for k < len(s.files)-1 && s.files[k].end <= pc {
			k++
		}
		pc = r.end
		moved := uint32((p.a.from.at(entry+uint64(pc)*unit-1) + 1 - start) / unit)
		for n < len(theirs) && theirs[n].end < moved {
			n++
		}
		if n < len(theirs) && theirs[n].end == moved && len(s.files) > 0 {
			key := lineKey(p.a.fileKey(f.units, s.files[k].value), r.value)
			p.lines = append(p.lines, vote{key, int64(theirs[n].value - r.value)})
		}
	}
	p.b.scratch.runs = theirs
}

// functionName is the name of function i.
func functionName(im *image, i int) string {
	return string(im.cstring(im.lay.base[baseNames] + uint64(im.word(im.funcAddr(i)+funcName))))
}

// A share is what the votes on one address say.
type share struct {
	vote
	weight float64
}

// shares sums the votes up: the strongest shift of each address, neighbours that agree together.
func shares(v []vote) (out []share) {
	sortVotes(v, 56)
	for i := 0; i < len(v); {
		best, most, j := int64(0), 0, i
		for j < len(v) && v[j].addr == v[i].addr {
			k := j
			for k < len(v) && v[k] == v[j] {
				k++
			}
			if k-j > most {
				best, most = v[j].shift, k-j
			}
			j = k
		}
		weight := max(0.5, float64(2*most-(j-i)))
		if n := len(out) - 1; n >= 0 && out[n].shift == best {
			out[n].weight += weight
		} else {
			out = append(out, share{vote{v[i].addr, best}, weight})
		}
		i = j
	}
	return out
}

// sortVotes sorts by address, and by shift where those are the same: in place, byte by byte of the address from bit on, since memory for
// another copy would be too much.
func sortVotes(v []vote, bit int) {
	if bit < 0 {
		slices.SortFunc(v, func(a, b vote) int { return cmp.Compare(a.shift, b.shift) })
		return
	}
	if len(v) < 32 {
		slices.SortFunc(v, func(a, b vote) int { return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.shift, b.shift)) })
		return
	}
	var next, ends [256]int
	for i := range v {
		ends[byte(v[i].addr>>bit)]++
	}
	sum := 0
	for k, n := range ends {
		next[k] = sum
		sum += n
		ends[k] = sum
	}
	for k, end := range ends {
		for i := next[k]; i < end; i = next[k] {
			to := byte(v[i].addr >> bit)
			v[i], v[next[to]] = v[next[to]], v[i]
			next[to]++
		}
	}
	from := 0
	for _, end := range ends {
		sortVotes(v[from:end], bit-8)
		from = end
	}
}

// What a step of the map costs, and what a reference that it gets wrong does, in bytes about.
const (
	stepCost  = 4.5
	wrongCost = 2.5
	maxPaths  = 24
)

// A path is one way to draw the map so far: the shift that it ends with, and its steps backwards.
type path struct {
	shift int64
	cost  float64
	steps *pathStep
}

type pathStep struct {
	step
	before *pathStep
}

// drawMap finds the cheapest map for the votes, by dynamic programming over the shifts in use.
func drawMap(v []vote) addressMap {
	paths := []path{{}}
	for _, s := range shares(v) {
		best := cheapest(paths)
		cost := best.cost + stepCost
		fresh := path{s.shift, cost, &pathStep{step{s.addr, s.shift}, best.steps}}
		found := false
		for i := range paths {
			p := &paths[i]
			if p.shift != s.shift {
				p.cost += s.weight * wrongCost
				continue
			}
			if found = true; cost < p.cost {
				*p = fresh
			}
		}
		if !found {
			paths = append(paths, fresh)
		}
		if len(paths) > maxPaths {
			sort.SliceStable(paths, func(i, j int) bool { return paths[i].cost < paths[j].cost })
			paths = paths[:maxPaths*2/3]
		}
	}
	var out addressMap
	for s := cheapest(paths).steps; s != nil; s = s.before {
		out = append(out, s.step)
	}
	slices.Reverse(out)
	return out
}

func cheapest(paths []path) path {
	best := paths[0]
	for _, p := range paths[1:] {
		if p.cost < best.cost {
			best = p
		}
	}
	return best
}
