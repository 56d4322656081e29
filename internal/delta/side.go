package delta

import (
	"encoding/binary"
	"sort"
)

// A sideRef is a 4-byte reference that following pointers finds, not its place:
// offset<<32 | function<<8 | base.
type sideRef uint64

// What is in place of the base for what is no offset, but belongs to the function.
const (
	sideLine = 32 + iota // line on which an inlined function begins
	sidePC               // pc of a call that was inlined
)

// maxSide bounds their memory to 16 MB. Programs have one for 88 bytes; one for 48 are given room.
const (
	maxSide  = 5 << 19
	sideSize = 8
	perSide  = 48
)

func (s sideRef) off() uint64   { return uint64(s >> 32) }
func (s sideRef) function() int { return int(uint32(s) >> 8) }
func (s sideRef) base() uint8   { return uint8(s) }

// sides finds the references that were collected.
func (s *scan) sides() {
	side := s.im.side
	i := sort.Search(len(side), func(i int) bool { return side[i].off()+4 > s.lo })
	for ; i < len(side) && side[i].off() < s.hi; i++ {
		switch r := side[i]; r.base() {
		case sideLine:
			s.nodeLine(r)
		case sidePC:
			entry := s.im.entry(r.function())
			if v := le32(s.im.old[r.off():]); v < 1<<31 {
				s.emit(ref{off: r.off(), kind: refPC, target: entry + uint64(v), origin: entry})
			}
		default:
			s.emit(s.im.offsetRef(r.off(), r.base()))
		}
	}
}

// nodeLine finds the line on which the function of a node of an inlining tree begins. Its file
// is the one of the first pc that belongs to the node.
func (s *scan) nodeLine(r sideRef) {
	var f funcInfo
	im := s.im
	ok := im.funcInfo(r.function(), &f)
	tree, inside := im.lay.offset(f.tree)
	if !ok || !inside || r.off() < tree {
		return
	}
	if im.scratch.nodesOf != r.function()+1 {
		im.findNodes(&f)
		im.scratch.nodesOf = r.function() + 1
	}
	node := (r.off() - tree) / inlineSize
	if node < uint64(len(im.scratch.nodes)) {
		key := lineKey(im.scratch.nodes[node], int32(le32(im.old[r.off():])))
		s.emit(ref{off: r.off(), kind: refLine, target: key})
	}
}

// findNodes notes the file of each node of the function's inlining tree.
func (im *image) findNodes(f *funcInfo) {
	s := &im.scratch
	s.nodes = s.nodes[:0]
	s.runs, _ = im.table(f.inline, s.runs)
	s.files, _ = im.table(f.pcfile, s.files)
	k, pc := 0, uint32(0)
	for _, r := range s.runs {
		for k < len(s.files)-1 && s.files[k].end <= pc {
			k++
		}
		pc = r.end
		if r.value < 0 || r.value >= maxTree || len(s.files) == 0 {
			continue
		}
		for len(s.nodes) <= int(r.value) {
			s.nodes = append(s.nodes, noOffset)
		}
		if s.nodes[r.value] == noOffset {
			s.nodes[r.value] = im.fileKey(f.units, s.files[k].value)
		}
	}
}

// full tells that no more references can be noted, or that it took too long.
func (im *image) full() bool { return len(im.side) == cap(im.side) || im.budget < 0 }

// addSide notes the reference at an address, unless it is one to nothing.
func (im *image) addSide(addr uint64, base uint8) { im.addSideOf(0, addr, base) }

func (im *image) addSideOf(function int, addr uint64, base uint8) {
	im.budget -= 4
	off, ok := im.lay.offset(addr)
	if !ok || im.full() || off+4 > im.size() || le32(im.old[off:]) == noOffset {
		return
	}
	im.side = append(im.side, sideRef(off<<32|uint64(function)<<8|uint64(base)))
}

// findSide collects what is found by following pointers: inlining trees, stack objects, types.
func (im *image) findSide(r *room) error {
	n := min(maxSide, im.size()/perSide+1<<16)
	if err := r.take(n * sideSize); err != nil {
		return err
	}
	im.side = make([]sideRef, 0, n)
	if err := im.findFuncdata(r); err != nil {
		return err
	}
	if err := im.findTypes(r); err != nil {
		return err
	}
	if im.full() {
		return limitError("too many references, or too many steps to find them")
	}
	sortWords(im.side)
	// Overlapping ones cannot both be right; the first stays.
	kept, end := im.side[:0], uint64(0)
	for _, s := range im.side {
		if off := s.off(); off >= end {
			kept = append(kept, s)
			end = off + 4
		}
	}
	im.side = kept
	return nil
}

// maxTree bounds the nodes of one function's inlining tree, and its stack objects.
const maxTree = 1 << 12

func (im *image) findFuncdata(r *room) error {
	if err := r.take(sideSize * im.lay.nfunc); err != nil {
		return err
	}
	objects := make([]sideRef, 0, im.lay.nfunc) // their addresses: many functions share them
	var runs []run
	var f funcInfo
	for i := range int(im.lay.nfunc) {
		ok := im.funcInfo(i, &f)
		if im.budget -= 16; !ok || im.full() {
			continue
		}
		if f.objects != 0 {
			objects = append(objects, sideRef(f.objects))
		}
		if f.tree == 0 || f.inline == 0 {
			continue
		}
		runs, _ = im.table(f.inline, runs)
		im.budget -= 4 * int64(len(runs))
		last := int32(-1)
		for _, r := range runs {
			last = max(last, r.value)
		}
		for k := range min(int64(last)+1, maxTree) {
			node := f.tree + uint64(k)*inlineSize
			im.addSide(node+inlineName, baseNames)
			im.addSideOf(i, node+inlinePC, sidePC)
			im.addSideOf(i, node+inlineLine, sideLine)
		}
	}
	sortWords(objects)
	for i, addr := range objects {
		if i == 0 || addr != objects[i-1] {
			im.findObjects(uint64(addr))
		}
	}
	return nil
}

// findObjects reads the count and the records of 16 bytes that follow it.
func (im *image) findObjects(addr uint64) {
	head := im.at(addr, 8)
	if head == nil || le64(head) > maxTree {
		return
	}
	for k := range le64(head) {
		im.addSide(addr+8+16*k+12, baseRodata)
	}
}

// findTypes follows every reference into the types. Which there are is kept as one bit for 8 bytes. On the way it notes where
// instructions begin.
func (im *image) findTypes(r *room) error {
	start, end := im.lay.base[baseTypes], im.lay.etypes
	if end < start || end-start > im.size() {
		end = start
	}
	if err := r.take((end-start)/64 + im.size()/startUnit + 16); err != nil {
		return err
	}
	s := scan{im: im, found: make([]uint64, (end-start)/512+1)}
	im.starts = make([]byte, im.size()/startUnit+1)
	for i := range im.lay.zones {
		z := &im.lay.zones[i]
		if z.kind == zoneText || z.kind == zonePointers || z.kind == zoneOffsets && z.base == baseTypes {
			s.zone, s.lo, s.hi = z, z.off, z.off+z.size
			s.references()
		}
	}
	for i, word := range s.found {
		for bit := range uint64(64) {
			if t := start + uint64(i)*512 + bit*8; word>>bit&1 != 0 && t < end {
				im.findType(t)
			}
		}
	}
	return nil
}

// mark notes an address that may be one of a type.
func (s *scan) mark(t uint64) {
	if t -= s.im.lay.base[baseTypes]; t/512 < uint64(len(s.found)) && t&7 == 0 {
		s.found[t/512] |= 1 << (t / 8 % 64)
	}
}

// Places in abi.Type (internal/abi/type.go), the sizes of what follows it for each kind, and what
// comes after that for named types.
const (
	typeSize     = 48
	typeFlag     = 20
	typeKind     = 23
	typeName     = 40
	typePtr      = 44
	kindFunc     = 19
	kindIface    = 20
	maxMethods   = 1 << 12
	uncommonFlag = 1
)

var kindSize = [32]uint64{17: 72, 18: 64, kindFunc: 56, kindIface: 80, 21: 112, 22: 56, 23: 56, 25: 80}

func (im *image) findType(t uint64) {
	h := im.at(t, typeSize)
	if h == nil || im.full() || !plausibleType(h) || im.typeName(le32(h[typeName:])) == nil {
		return
	}
	im.addName(t + typeName)
	im.addType(t + typePtr)
	kind := h[typeKind] & 31
	if kind == kindIface {
		im.findInterface(t)
	}
	if h[typeFlag]&uncommonFlag != 0 {
		im.findUncommon(t + max(kindSize[kind], typeSize))
	}
}

func plausibleType(h []byte) bool {
	kind, align, fieldAlign := h[typeKind]&31, h[21], h[22]
	return kind >= 1 && kind <= 26 && h[typeFlag] < 128 && le64(h[8:]) <= le64(h) &&
		align >= 1 && align <= 8 && fieldAlign >= 1 && fieldAlign <= 8
}

func (im *image) findInterface(t uint64) {
	methods := im.at(t+56, 16)
	if methods == nil || le64(methods[8:]) > maxMethods {
		return
	}
	for i := range le64(methods[8:]) {
		im.addName(le64(methods) + 8*i)
		im.addType(le64(methods) + 8*i + 4)
	}
}

func (im *image) findUncommon(u uint64) {
	h := im.at(u, 16)
	if h == nil || im.full() {
		return
	}
	im.addName(u)
	n, first := uint64(binary.LittleEndian.Uint16(h[4:])), u+uint64(le32(h[8:]))
	if n > maxMethods || im.at(first, 16*n) == nil {
		return
	}
	for i := range n {
		m := first + 16*i
		im.addName(m)
		im.addType(m + 4)
		im.addText(m + 8)
		im.addText(m + 12)
	}
}

// typeName returns the name at an offset of the types, or nil.
func (im *image) typeName(v uint32) []byte {
	addr := im.lay.base[baseTypes] + uint64(v)
	h := im.at(addr, 8)
	if h == nil || addr >= im.lay.etypes {
		return nil
	}
	n, k := uvarint(h[1:])
	if k <= 0 || n > 1<<12 {
		return nil
	}
	return im.at(addr, 1+uint64(k)+n)
}

func (im *image) addName(addr uint64) {
	im.budget -= 4
	if v := im.word(addr); v != 0 && v != noOffset && im.typeName(v) != nil {
		im.addSide(addr, baseTypes)
	}
}

func (im *image) addType(addr uint64) {
	if v := im.word(addr); v != 0 && im.lay.base[baseTypes]+uint64(v) < im.lay.etypes {
		im.addSide(addr, baseTypes)
	}
}

func (im *image) addText(addr uint64) {
	if v := im.word(addr); v != 0 && v != noOffset {
		im.addSide(addr, baseText)
	}
}
