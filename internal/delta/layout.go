package delta

// A layout tells where things are in an executable, in numbers only. The encoder
// finds them with its knowledge of file formats and Go versions, and they travel in the patch: the
// decoder needs none of that knowledge. Nothing in a layout is trusted. Every access that it leads to
// is checked against the file, and a nonsensical one gives a wrong prediction, thus a wrong hash.
type layout struct {
	arch     uint64    // archNone, archAMD64, archARM64
	segments []segment // sorted by address, not overlapping
	lo, hi   uint64    // addresses within are references
	zones    []zone    // sorted by offset, not overlapping
	base     [nBases]uint64
	pctabEnd uint64 // address
	abbrevs  uint64 // where .debug_abbrev begins
	etypes   uint64 // address
	nfunc    uint64
}

// A segment is a part of the file that is loaded.
type segment struct{ addr, off, size uint64 }

// A zone is a part of the file that holds references of one kind.
type zone struct{ off, size, kind, base uint64 }

const (
	archNone = iota
	archAMD64
	archARM64
	nArchs
)

const (
	zonePointers = iota // words of 8 bytes, some of them addresses
	zoneText            // instructions
	zoneFunctab         // pairs of 4 bytes: entry, offset of _func
	zoneFuncs           // the _func records
	zoneOffsets         // words of 4 bytes, relative to a base
	zoneSymbols         // a symbol table, of ELF or, if its base is not 0, Mach-O
	zoneWords           // like zonePointers, but packed; if its base is not 0 their sizes follow: .debug_addr, .debug_frame
	zoneInfo            // .debug_info
	zoneLines           // .debug_line
	nZones
)

// Bases that 32-bit offsets are relative to.
const (
	baseText = iota
	baseTypes
	baseGofunc
	baseNames
	baseCutab // in words of 4 bytes
	baseFiles
	basePctab
	baseFunctab
	baseRodata
	baseImage
	baseStrings // the names of symbols
	baseInfo    // and these are sections of debugging information
	baseLines
	baseLocations
	baseRanges
	baseAddrs
	nBases
)

const (
	maxZones = 64
	maxFuncs = 1 << 20
	// maxFile is the size of the largest file that has a delta: 32-bit offsets are enough, with room.
	maxFile = 1 << 31
)

// code codes the layout of a file of the given size, and in all with what is packed in it.
func (l *layout) code(c *coder, size, all uint64) error {
	m := newIntModel(1)
	nseg, nzone := uint64(len(l.segments)), uint64(len(l.zones))
	c.uints(m, &l.arch, &l.lo, &l.hi, &l.pctabEnd, &l.abbrevs, &l.etypes, &l.nfunc, &nseg, &nzone)
	if l.arch >= nArchs || nseg > maxZones || nzone > maxZones || l.nfunc > maxFuncs {
		return formatError("a layout with too many parts")
	}
	if !c.encoding {
		l.segments, l.zones = make([]segment, nseg), make([]zone, nzone)
	}
	for i := range l.segments {
		s := &l.segments[i]
		c.uints(m, &s.addr, &s.off, &s.size)
	}
	for i := range l.zones {
		z := &l.zones[i]
		c.uints(m, &z.off, &z.size, &z.kind, &z.base)
	}
	for i := range l.base {
		c.uints(m, &l.base[i])
	}
	return l.check(size, all)
}

// maxAddress keeps sums of addresses and sizes from overflowing.
const maxAddress = 1 << 60

// spaceAddress is where the addresses of sections that are not loaded begin, each spaceSize after the one before.
const (
	spaceAddress = 1 << 40
	spaceSize    = 1 << 36
)

func (l *layout) check(size, all uint64) error {
	next, past, units := uint64(0), uint64(0), uint64(0)
	for _, s := range l.segments {
		if s.addr < next || s.addr > maxAddress || s.off > all || s.size > all-s.off {
			return formatError("a segment outside the file")
		}
		next = s.addr + s.size
	}
	for _, z := range l.zones {
		limit := size
		if z.kind >= zoneWords {
			limit = all
		}
		if z.off < past || z.off > limit || z.size > limit-z.off || z.kind >= nZones || z.base >= nBases {
			return formatError("a zone outside the file")
		}
		past = z.off + z.size
		if z.kind >= zoneInfo {
			if units>>z.kind&1 != 0 {
				return formatError("two zones of one kind of debugging information")
			}
			units |= 1 << z.kind
		}
	}
	for _, b := range l.base {
		if b > maxAddress {
			return formatError("a base beyond all addresses")
		}
	}
	if l.abbrevs > all || l.hi > maxAddress || l.etypes > maxAddress || l.pctabEnd > maxAddress {
		return formatError("a bound beyond all addresses")
	}
	return nil
}

// offset returns where in the file an address is.
//
//go:noinline
func (l *layout) offset(addr uint64) (uint64, bool) {
	for i := range l.segments {
		if s := &l.segments[i]; addr-s.addr < s.size {
			return s.off + addr - s.addr, true
		}
	}
	return 0, false
}

// address is the inverse of offset.
//
//go:noinline
func (l *layout) address(off uint64) (uint64, bool) {
	for i := range l.segments {
		if s := &l.segments[i]; off-s.off < s.size {
			return s.addr + off - s.off, true
		}
	}
	return 0, false
}
