package delta

import (
	"encoding/binary"
	"sort"
)

// A tableRef is a pc-value table: its offset in pctab, the function that uses it, and whether its
// values are lines: offset<<32 | function<<1 | lines.
type tableRef uint64

func (t tableRef) start() uint32 { return uint32(t >> 32) }
func (t tableRef) function() int { return int(uint32(t) >> 1) }
func (t tableRef) lines() bool   { return t&1 != 0 }

// maxTableRefs bounds their memory to 8 MB, while they are being collected. In a program of 170 MB there are 800,000.
const (
	maxTableRefs = 1 << 20
	tableRefSize = 8
)

// findTables lists the tables in pctab, in order.
func (im *image) findTables(r *room) error {
	n := uint64(0)
	im.eachTable(func(tableRef) { n++ })
	n = min(n, maxTableRefs)
	if err := r.take(n * tableRefSize); err != nil {
		return err
	}
	out := make([]tableRef, 0, n)
	full := false
	im.eachTable(func(t tableRef) {
		if len(out) == cap(out) && !full { // most functions share most of them
			out = oneEach(out)
			full = len(out) > cap(out)*7/8
		}
		if !full {
			out = append(out, t)
		}
	})
	if full {
		return limitError("too many tables")
	}
	im.tables = oneEach(out)
	return nil
}

// eachTable gives out the tables of all functions.
func (im *image) eachTable(give func(tableRef)) {
	var f funcInfo
	for i := range int(im.lay.nfunc) {
		ok := im.funcInfo(i, &f)
		if !ok {
			continue
		}
		for _, v := range im.tablesOf(&f) {
			if v == 0 {
				continue
			}
			t := tableRef(uint64(v)<<32 | uint64(i)<<1)
			if v == f.pcln {
				t |= 1
			}
			give(t)
		}
	}
}

// oneEach keeps the first function of each table.
func oneEach(t []tableRef) []tableRef {
	sortWords(t)
	kept := t[:0]
	for _, r := range t {
		if len(kept) == 0 || r.start() != kept[len(kept)-1].start() {
			kept = append(kept, r)
		}
	}
	return kept
}

// tablesOf returns the offsets of the function's tables.
func (im *image) tablesOf(f *funcInfo) (out [3 + maxTables]uint32) {
	b := im.old[f.off:]
	out[0], out[1], out[2] = le32(b[funcPcsp:]), f.pcfile, f.pcln
	for i := range uint64(f.npcdata) {
		out[3+i] = le32(b[funcSize+4*i:])
	}
	return out
}

// Classes of the bytes of pc-value tables.
const (
	classValue = 240 + iota
	classValueMore
	classPC
	classPCMore
	classTableEnd
)

// predictTables rewrites the tables within dst, which is at off: their pcs by the address map,
// lines by the line map. A table that would change its length stays as it is.
func (im *image) predictTables(dst, class []byte, off uint64) {
	zone, ok := im.lay.offset(im.lay.base[basePctab])
	end := off + uint64(len(dst))
	if !ok || len(im.tables) == 0 || end <= zone {
		return
	}
	i := sort.Search(len(im.tables), func(i int) bool { return zone+uint64(im.tables[i].start()) > off }) - 1
	for i = max(i, 0); i < len(im.tables); i++ {
		at := zone + uint64(im.tables[i].start())
		if at >= end {
			return
		}
		encoded, classes := im.newTable(im.tables[i])
		if i+1 < len(im.tables) { // tables that overlap are none
			n := min(len(encoded), int(im.tables[i+1].start()-im.tables[i].start()))
			encoded, classes = encoded[:n], classes[:n]
		}
		overlay(dst, off, encoded, at)
		overlay(class, off, classes, at)
	}
}

// overlay copies src, which is at an offset, onto dst, which is at another.
//
//go:noinline
func overlay(dst []byte, dstOff uint64, src []byte, srcOff uint64) {
	if srcOff >= dstOff {
		if d := srcOff - dstOff; d < uint64(len(dst)) {
			copy(dst[d:], src)
		}
	} else if d := dstOff - srcOff; d < uint64(len(src)) {
		copy(dst, src[d:])
	}
}

// newTable returns the bytes of a table as they are to be, and their classes; both are valid until
// the next call.
func (im *image) newTable(t tableRef) (encoded, classes []byte) {
	s := &im.scratch
	var n int
	s.runs, n = im.table(t.start(), s.runs)
	if n == 0 {
		return nil, nil
	}
	at, _ := im.lay.offset(im.lay.base[basePctab])
	original := im.old[at+uint64(t.start()):][:n]
	if im.moveTable(t) {
		s.encoded = encodeTable(s.encoded[:0], s.runs)
		if len(s.encoded) == n {
			original = s.encoded
		}
	}
	s.classes = classifyTable(s.classes[:0], original)
	return original, s.classes
}

func encodeTable(b []byte, runs []run) []byte {
	value, pc := int32(-1), uint32(0)
	for _, r := range runs {
		d := r.value - value
		for _, v := range [...]uint32{uint32(d<<1) ^ uint32(d>>31), r.end - pc} {
			b = binary.AppendUvarint(b, uint64(v))
		}
		value, pc = r.value, r.end
	}
	return append(b, 0)
}

func classifyTable(classes, table []byte) []byte {
	next := byte(classValue)
	for i, v := range table {
		if i == len(table)-1 {
			next = classTableEnd
		}
		classes = append(classes, next)
		switch {
		case v&0x80 != 0:
			next = next&^1 | 1 // the constants are pairs
		case next&^1 == classValue:
			next = classPC
		default:
			next = classValue
		}
	}
	return classes
}

// moveTable changes the runs in scratch, and tells whether it changed any.
func (im *image) moveTable(t tableRef) bool {
	s := &im.scratch
	entry := im.entry(t.function())
	changed := false
	if t.lines() && len(im.lines.m) > 0 {
		changed = im.moveLines(t.function(), s.runs)
	}
	unit := uint64(1)
	if im.lay.arch == archARM64 {
		unit = 4
	}
	start := im.from.at(entry)
	last := len(s.runs) - 1
	if last < 0 || im.from.steady(entry, entry+uint64(s.runs[last].end)*unit) {
		return changed
	}
	before := uint32(0)
	for i := range s.runs {
		r := &s.runs[i]
		pc := uint32((im.from.at(entry+uint64(r.end)*unit-1) + 1 - start) / unit)
		if pc <= before || pc > 1<<30 {
			return false
		}
		changed = changed || pc != r.end
		r.end, before = pc, pc
	}
	return changed
}

// moveLines changes the values of runs, which are lines of the function.
func (im *image) moveLines(i int, runs []run) bool {
	var f funcInfo
	ok := im.funcInfo(i, &f)
	if !ok {
		return false
	}
	s := &im.scratch
	s.files, _ = im.table(f.pcfile, s.files)
	if len(s.files) == 0 {
		return false
	}
	changed, k, pc := false, 0, uint32(0)
	for j := range runs {
		for k < len(s.files)-1 && s.files[k].end <= pc {
			k++
		}
		pc = runs[j].end
		line := im.newLine(im.fileKey(f.units, s.files[k].value), runs[j].value)
		changed = changed || line != runs[j].value
		runs[j].value = line
	}
	return changed
}

// fileKey names a file of a compilation unit: its offset in the table of names.
//
//go:noinline
func (im *image) fileKey(units uint64, index int32) uint64 {
	if index < 0 {
		return noOffset
	}
	return uint64(im.word(units + 4*uint64(index)))
}

const lineBits = 24

// lineKey is what the line map is keyed by.
func lineKey(file uint64, line int32) uint64 {
	return file<<lineBits | uint64(uint32(line)&(1<<lineBits-1))
}

func (im *image) newLine(file uint64, line int32) int32 {
	key := lineKey(file, line)
	return line + int32(uint32(im.lines.at(key)-key))
}
