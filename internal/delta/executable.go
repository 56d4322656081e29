package delta

import (
	"bytes"
	"encoding/binary"
	"sort"
	"strconv"
	"strings"
)

// An executable is what the encoder reads of a file's headers. Where they make no sense there is
// none, and the file is taken for data.
type executable struct {
	arch      uint64
	imageBase uint64 // PE
	sections  []part // loaded ones, by address
	others    []part // with debugging information and symbols
	tables    []part // of other 4-byte offsets from the image base: PE .pdata
	signature *generated
}

type part struct {
	name                 string
	addr, off, size, mem uint64
	packed               int // 1 more than its number among those that are unpacked
}

func parseExecutable(b []byte) *executable {
	var e *executable
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF\x02\x01")) && len(b) >= 64:
		e = parseELF(b)
	case bytes.HasPrefix(b, []byte("MZ")) && len(b) >= 64:
		e = parsePE(b)
	case bytes.HasPrefix(b, []byte{0xcf, 0xfa, 0xed, 0xfe}) && len(b) >= 32:
		e = parseMachO(b)
	}
	if e == nil || e.arch == archNone || len(e.sections) == 0 || len(e.sections) > maxZones/2 {
		return nil
	}
	sort.Slice(e.sections, func(i, j int) bool { return e.sections[i].addr < e.sections[j].addr })
	past := uint64(0)
	for _, s := range e.sections {
		if s.addr < past || s.addr > maxAddress || s.off > uint64(len(b)) || s.size > uint64(len(b))-s.off || s.mem > maxFile {
			return nil
		}
		past = s.addr + max(s.size, s.mem)
	}
	return e
}

func le16(b []byte) uint64 { return uint64(binary.LittleEndian.Uint16(b)) }

// field returns b[off:off+n], or nil.
func field(b []byte, off, n uint64) []byte {
	if off > uint64(len(b)) || n > uint64(len(b))-off {
		return nil
	}
	return b[off : off+n]
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func parseELF(b []byte) *executable {
	e := &executable{arch: map[uint64]uint64{62: archAMD64, 183: archARM64}[le16(b[18:])]}
	headers, n := le64(b[40:]), le16(b[60:])
	names := field(b, headers+64*le16(b[62:]), 64)
	if names == nil || le16(b[58:]) != 64 {
		return nil
	}
	text := field(b, le64(names[24:]), le64(names[32:]))
	for i := range n {
		h := field(b, headers+64*i, 64)
		if h == nil {
			return nil
		}
		const nobits, alloc = 8, 2
		s := part{addr: le64(h[16:]), off: le64(h[24:]), size: le64(h[32:]), mem: le64(h[32:])}
		if at := uint64(le32(h)); at < uint64(len(text)) {
			s.name = cstring(text[at:min(at+64, uint64(len(text)))])
		}
		if le32(h[4:]) == nobits {
			s.off, s.size = 0, 0
		}
		const tls = 0x400
		if le64(h[8:])&alloc != 0 && s.mem > 0 && le64(h[8:])&tls == 0 {
			e.sections = append(e.sections, s)
		} else if le64(h[8:])&alloc == 0 {
			e.others = append(e.others, s)
		}
	}
	return e
}

func parsePE(b []byte) *executable {
	h := field(b, uint64(le32(b[60:])), 24+112)
	if h == nil || !bytes.HasPrefix(h, []byte("PE\x00\x00")) || le16(h[24:]) != 0x20b {
		return nil
	}
	e := &executable{arch: map[uint64]uint64{0x8664: archAMD64, 0xaa64: archARM64}[le16(h[4:])], imageBase: le64(h[24+24:])}
	first := uint64(le32(b[60:])) + 24 + le16(h[20:])
	for i := range le16(h[6:]) {
		s := field(b, first+40*i, 40)
		if s == nil {
			return nil
		}
		virtual, raw := uint64(le32(s[8:])), uint64(le32(s[16:]))
		p := part{name: cstring(s[:8]), addr: e.imageBase + uint64(le32(s[12:])), off: uint64(le32(s[20:])), size: min(raw, virtual), mem: virtual}
		const discardable = 0x02000000
		switch {
		case p.mem == 0:
		case le32(s[36:])&discardable != 0:
			p.name = longName(b, h, p.name)
			e.others = append(e.others, p)
		case p.name == ".pdata":
			e.tables = append(e.tables, p)
			fallthrough
		default:
			e.sections = append(e.sections, p)
		}
	}
	return e
}

// longName looks a name like /4 up in the string table, which is behind the symbol table.
func longName(b, header []byte, name string) string {
	at, err := strconv.ParseUint(strings.TrimPrefix(name, "/"), 10, 32)
	if err != nil {
		return name
	}
	at += uint64(le32(header[12:])) + 18*uint64(le32(header[16:]))
	if at > uint64(len(b)) {
		return name
	}
	return cstring(b[at:min(at+64, uint64(len(b)))])
}

func parseMachO(b []byte) *executable {
	e := &executable{arch: map[uint32]uint64{0x01000007: archAMD64, 0x0100000c: archARM64}[le32(b[4:])]}
	at := uint64(32)
	for range le32(b[16:]) {
		h := field(b, at, 8)
		if h == nil {
			return nil
		}
		c := field(b, at, uint64(le32(h[4:])))
		const symtab, segment64, codeSignature = 0x2, 0x19, 0x1d
		switch {
		case len(c) < 16:
			return nil
		case le32(h) == segment64 && len(c) >= 72:
			for i := range uint64(le32(c[64:])) {
				s := field(c, 72+80*i, 80)
				if s == nil {
					return nil
				}
				e.addMachO(s)
			}
		case le32(h) == symtab && len(c) >= 24:
			e.others = append(e.others, part{name: "symbols", off: uint64(le32(c[8:])), size: 16 * uint64(le32(c[12:]))},
				part{name: "strtab", off: uint64(le32(c[16:])), size: uint64(le32(c[20:]))})
		case le32(h) == codeSignature:
			e.signature = pageHashes(b, uint64(le32(c[8:])), uint64(le32(c[12:])))
		}
		at += uint64(len(c))
	}
	return e
}

func (e *executable) addMachO(s []byte) {
	p := part{name: cstring(s[:16]), addr: le64(s[32:]), off: uint64(le32(s[48:])), size: le64(s[40:]), mem: le64(s[40:])}
	const zerofill = 1
	if le32(s[64:])&0xff == zerofill {
		p.off, p.size = 0, 0
	}
	if cstring(s[16:32]) == "__DWARF" {
		e.others = append(e.others, p)
	} else if p.mem > 0 {
		e.sections = append(e.sections, p)
	}
}

// pageHashes finds the hashes in a code signature (xnu, osfmk/kern/cs_blobs.h) that has only a code
// directory with SHA-256 of pages of 4096 bytes, as Go's linker writes it.
func pageHashes(b []byte, off, size uint64) *generated {
	sig := field(b, off, size)
	be := binary.BigEndian.Uint32
	if len(sig) < 20 || be(sig) != 0xfade0cc0 || be(sig[8:]) != 1 {
		return nil
	}
	dir := field(sig, uint64(be(sig[16:])), 44)
	const sha256Type, pageShift = 2, 12
	if dir == nil || be(dir) != 0xfade0c02 || dir[36] != 32 || dir[37] != sha256Type || dir[39] != pageShift {
		return nil
	}
	g := &generated{kind: generatedHashes, off: off + uint64(be(sig[16:])) + uint64(be(dir[16:])), size: 32 * uint64(be(dir[28:])),
		from: uint64(be(dir[32:]))}
	if g.off > uint64(len(b)) || g.size > uint64(len(b))-g.off || g.from != off {
		return nil
	}
	return g
}
