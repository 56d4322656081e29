package delta

import (
	"bytes"
	"compress/zlib"
	"io"
	"sort"
	"strings"
)

// An expansion is an executable with its compressed sections unpacked: behind the file, as the decoder has those of the
// old one, or in their places.
type expansion struct {
	data    []byte
	inPlace bool
	packed  []packed // off: of the stream in the file
}

// expand unpacks the sections whose compression can be repeated, and makes the executable one of what comes out.
func expand(b []byte, e *executable, inPlace bool) *expansion {
	x := &expansion{data: b, inPlace: inPlace}
	sort.Slice(e.others, func(i, j int) bool { return e.others[i].off < e.others[j].off })
	at, all, size := uint64(0), uint64(0), uint64(len(b))
	for i := range e.others {
		s := &e.others[i]
		if s.off < at || field(b, s.off, s.size) == nil {
			s.size = 0
			continue
		}
		at = s.off + s.size
		p := findPacked(b, *s)
		if p.n == 0 || len(x.packed) == maxPacked || all+p.n > maxUnpacked {
			continue
		}
		all += p.n
		if size += p.n; inPlace {
			size -= p.size
		}
		x.packed = append(x.packed, p)
		s.packed = len(x.packed)
	}
	if len(x.packed) > 0 {
		x.data = make([]byte, size)
		x.fill(b)
	}
	for i := range e.sections {
		e.sections[i].off = x.moved(e.sections[i].off)
	}
	for i := range e.others {
		s := &e.others[i]
		if s.packed == 0 {
			s.off = x.moved(s.off)
			continue
		}
		s.off, s.size = x.content(s.packed-1), x.packed[s.packed-1].n
	}
	return x
}

// fill makes data what it is to be of the file: once more, where something has been written into it.
func (x *expansion) fill(b []byte) {
	at := uint64(0)
	for i, p := range x.packed {
		if z, err := zlib.NewReader(bytes.NewReader(b[p.off:][:p.size])); err == nil {
			_, _ = io.ReadFull(z, x.data[x.content(i):][:p.n]) // it has been read before
		}
		if x.inPlace {
			copy(x.data[x.moved(at):], b[at:p.off])
			at = p.off + p.size
		}
	}
	copy(x.data[x.moved(at):], b[at:])
}

// moved returns where an offset of the file, outside packed sections, is in data.
func (x *expansion) moved(off uint64) uint64 {
	to := off
	for _, p := range x.packed {
		if x.inPlace && p.off < off {
			to += p.n - p.size
		}
	}
	return to
}

// content returns where in data that of packed section k begins.
func (x *expansion) content(k int) uint64 {
	if x.inPlace {
		return x.moved(x.packed[k].off)
	}
	at := uint64(len(x.data))
	for _, p := range x.packed[k:] {
		at -= p.n
	}
	return at
}

// findPacked reads a section that the linker compressed (cmd/link, compressSyms). If that cannot be repeated its n is 0.
func findPacked(b []byte, s part) (p packed) {
	raw := b[s.off : s.off+s.size]
	head := uint64(24) // Elf64_Chdr
	switch {
	case bytes.HasPrefix(raw, []byte("ZLIB")):
		head = 12
	case len(raw) < 24 || le32(raw) != 1:
		return p
	}
	if len(raw) < int(head)+2 || raw[head] != 0x78 || raw[head+1] != 0x01 {
		return p
	}
	z, err := zlib.NewReader(bytes.NewReader(raw[head:]))
	if err != nil {
		return p
	}
	content, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil || len(content) > maxUnpacked || len(content) == 0 {
		return p
	}
	stream, marks := marked(content)
	if !bytes.HasPrefix(raw[head:], stream) {
		return p
	}
	return packed{s.off + head, uint64(len(stream)), uint64(len(content)), marks}
}

// marked compresses b, and tells where in the stream its chunks begin.
func marked(b []byte) (stream []byte, marks []uint64) {
	d := newDeflater()
	for len(b) > 0 {
		n := min(chunkSize, len(b))
		marks = append(marks, d.position())
		d.write(b[:n])
		d.pushed()
		b = b[n:]
	}
	d.close()
	return d.out, marks
}

// section returns the section of debugging information of a name, or of size 0.
func (e *executable) section(names ...string) part {
	for _, s := range e.others {
		for _, name := range names {
			if strings.TrimLeft(s.name, "._z") == name && s.size > 0 {
				return s
			}
		}
	}
	return part{}
}

// addSpaces makes sections that are not loaded address spaces, and zones of what refers to something.
func (g *goFile) addSpaces() {
	lay := &g.image.lay
	for base, names := range map[int][]string{baseStrings: {"strtab"}, baseInfo: {"debug_info"}, baseLines: {"debug_line"},
		baseLocations: {"debug_loclists", "debug_loc"}, baseRanges: {"debug_rnglists", "debug_ranges"}, baseAddrs: {"debug_addr"}} {
		if s := g.section(names...); s.size > 0 {
			lay.base[base] = spaceAddress + uint64(base)*spaceSize
			lay.segments = append(lay.segments, segment{lay.base[base], s.off, s.size})
		}
	}
	sort.Slice(lay.segments, func(i, j int) bool { return lay.segments[i].addr < lay.segments[j].addr })
	for _, z := range []struct {
		name       string
		kind, base uint64
	}{{"symtab", zoneSymbols, 0}, {"symbols", zoneSymbols, 1}, {"debug_frame", zoneWords, 1}, {"debug_addr", zoneWords, 0},
		{"debug_ranges", zoneWords, 0}, {"debug_info", zoneInfo, 0}, {"debug_line", zoneLines, 0}} {
		if s := g.section(z.name); s.size > 8 {
			if z.name == "debug_frame" { // words are aligned after the entry that comes first
				first := (uint64(le32(g.data[s.off:])) + 4) % 8
				s.off, s.size = s.off+first, s.size-first
			}
			lay.zones = append(lay.zones, zone{s.off, s.size, z.kind, z.base})
		}
	}
	sort.Slice(lay.zones, func(i, j int) bool { return lay.zones[i].off < lay.zones[j].off })
	lay.abbrevs = g.section("debug_abbrev").off
}
