package delta

import (
	"encoding/binary"
	"sort"
)

// Sizes and places in the runtime's _func record (runtime/runtime2.go), unchanged since Go 1.20.
const (
	funcSize     = 44
	funcName     = 4
	funcPcsp     = 16
	funcPcfile   = 20
	funcPcln     = 24
	funcNpcdata  = 28
	funcCU       = 32
	funcLine     = 36
	funcNfuncdat = 43
	maxTables    = 16

	pcdataInline    = 2 // index of the inlining table
	funcdataObjects = 2 // index of the stack objects
	funcdataInline  = 3 // index of the inlining tree
	inlineSize      = 16
	inlineName      = 4
	inlinePC        = 8
	inlineLine      = 12
)

// funcAddr returns the address of the i-th _func record.
func (im *image) funcAddr(i int) uint64 {
	return im.lay.base[baseFunctab] + uint64(le32(im.functab[8*i+4:]))
}

// findFuncs finds the function table, and pctab. It refuses a table that is not in order: what walks it relies on that.
func (im *image) findFuncs() error {
	b := &im.lay.base
	im.functab, im.pctab = nil, nil
	if im.lay.pctabEnd > b[basePctab] {
		im.pctab = im.at(b[basePctab], im.lay.pctabEnd-b[basePctab])
	}
	if im.lay.nfunc == 0 {
		return nil
	}
	tab := im.at(b[baseFunctab], 8*im.lay.nfunc+4)
	if tab == nil {
		return formatError("a function table outside the file")
	}
	for t := tab; len(t) >= 20; t = t[8:] {
		if le32(t[8:]) < le32(t) || le32(t[12:]) < le32(t[4:])+funcSize-4 {
			return formatError("a function table that is not in order")
		}
	}
	im.functab = tab
	return nil
}

// functions finds the offsets in the _func records.
func (s *scan) functions() {
	im := s.im
	table, ok := im.lay.offset(im.lay.base[baseFunctab])
	if !ok {
		return
	}
	n := int(im.lay.nfunc)
	at := func(i int) uint64 { return table + uint64(le32(im.old[table+8*uint64(i)+4:])) }
	i := sort.Search(n, func(i int) bool { return at(i) > s.lo }) - 1
	for i = max(i, 0); i < n && at(i) < s.hi; i++ {
		s.function(at(i))
	}
}

func (s *scan) function(off uint64) {
	im := s.im
	if off+funcSize > im.size() {
		return
	}
	f := (*[funcSize]byte)(im.old[off:])
	s.offset(off, baseText)
	s.offset(off+funcName, baseNames)
	for _, d := range [...]uint64{funcPcsp, funcPcfile, funcPcln} {
		if le32(f[d:]) != 0 {
			s.offset(off+d, basePctab)
		}
	}
	s.offset(off+funcCU, baseCutab)
	s.startLine(off)
	np, nf := uint64(le32(f[funcNpcdata:])), uint64(f[funcNfuncdat])
	if np > maxTables || nf > maxTables || off+funcSize+4*(np+nf) > im.size() {
		return
	}
	for j := range np {
		if at := off + funcSize + 4*j; le32(im.old[at:]) != 0 {
			s.offset(at, basePctab)
		}
	}
	for j := range nf {
		s.offset(off+funcSize+4*(np+j), baseGofunc)
	}
}

// startLine finds the line on which the function begins.
func (s *scan) startLine(off uint64) {
	im := s.im
	var n int
	if im.scratch.files, n = im.table(le32(im.old[off+funcPcfile:]), im.scratch.files); n == 0 {
		return
	}
	units := im.lay.base[baseCutab] + 4*uint64(le32(im.old[off+funcCU:]))
	key := lineKey(im.fileKey(units, im.scratch.files[0].value), int32(le32(im.old[off+funcLine:])))
	s.emit(ref{off: off + funcLine, kind: refLine, target: key})
}

// A funcInfo is what the record of a function tells.
type funcInfo struct {
	off           uint64 // of the record
	pcfile, pcln  uint32 // offsets into pctab
	inline        uint32 // the same, of the inlining table
	units         uint64 // address of its part of cutab
	tree, objects uint64 // addresses, 0 where there is none
	npcdata       uint32 // number of further tables
}

func (im *image) funcInfo(i int, f *funcInfo) bool {
	*f = funcInfo{}
	addr := im.funcAddr(i)
	record := im.at(addr, funcSize)
	if record == nil {
		return false
	}
	b := (*[funcSize]byte)(record)
	f.off, _ = im.lay.offset(addr)
	f.pcfile, f.pcln = le32(b[funcPcfile:]), le32(b[funcPcln:])
	f.units = im.lay.base[baseCutab] + 4*uint64(le32(b[funcCU:]))
	np, nf := uint64(le32(b[funcNpcdata:])), uint64(b[funcNfuncdat])
	tables := im.at(addr+funcSize, 4*(np+nf))
	if np > maxTables || nf > maxTables || tables == nil {
		return true
	}
	f.npcdata = uint32(np)
	if np > pcdataInline {
		f.inline = le32(tables[4*pcdataInline:])
	}
	funcdata := func(i uint64) uint64 {
		if i >= nf || le32(tables[4*(np+i):]) == noOffset {
			return 0
		}
		return im.lay.base[baseGofunc] + uint64(le32(tables[4*(np+i):]))
	}
	f.objects, f.tree = funcdata(funcdataObjects), funcdata(funcdataInline)
	return true
}

// A run is an entry of a pc-value table: value up to the pc end, relative to the function's entry.
type run struct {
	end   uint32
	value int32
}

// maxRuns bounds what is read of one table.
const maxRuns = 1 << 16

// uvarint is that of encoding/binary. Inlined it costs each program 300 bytes.
//
//go:noinline
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// table decodes the pc-value table at an offset of pctab into runs[:0], and returns the number of
// bytes that it takes, 0 if it is malformed. pcs are in units of the instruction size.
func (im *image) table(v uint32, runs []run) ([]run, int) {
	runs = runs[:0]
	if uint64(v) >= uint64(len(im.pctab)) {
		return runs, 0
	}
	b := im.pctab[v:]
	value, pc := int32(-1), uint32(0)
	for i := 0; i < len(b) && len(runs) < maxRuns; {
		if b[i] == 0 && len(runs) > 0 {
			return runs, i + 1
		}
		d, n := uvarint(b[i:])
		if n <= 0 {
			break
		}
		i += n
		p, n := uvarint(b[i:])
		if n <= 0 {
			break
		}
		i += n
		value += int32(uint32(d)>>1) ^ -int32(d&1)
		pc += uint32(p)
		runs = append(runs, run{pc, value})
	}
	return runs[:0], 0
}
