package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// A debugWriter writes debugging information of pseudo-random content.
type debugWriter struct {
	*rand.Rand
	b []byte
}

func (w *debugWriter) bytes(b ...byte) { w.b = append(w.b, b...) }
func (w *debugWriter) u32(v int)       { w.b = binary.LittleEndian.AppendUint32(w.b, uint32(v)) }
func (w *debugWriter) u64(v int)       { w.b = binary.LittleEndian.AppendUint64(w.b, uint64(v)) }
func (w *debugWriter) uleb(v int)      { w.b = binary.AppendUvarint(w.b, uint64(v)) }
func (w *debugWriter) address() int    { return imageStart + atText + w.IntN(textSize) }

// index is padded as the linker does.
func (w *debugWriter) index(v int) { w.bytes(byte(v)|0x80, byte(v>>7)) }

// unit writes one with its length in front.
func (w *debugWriter) unit(content func()) {
	at := len(w.b)
	w.u32(0)
	content()
	put32(w.b[at:], uint32(len(w.b)-at-4))
}

// syntheticSections are those of debugging information, in the order in which they are in the file.
var syntheticSections = [...]string{"abbrev", "line", "frame", "info", "loclists", "rnglists", "addr"}

const syntheticUnits = 12

func syntheticSection(name string, r *rand.Rand) []byte {
	w := &debugWriter{Rand: r}
	switch name {
	case "abbrev":
		w.bytes(1, 0x11, 1, 3, 8, 0x10, 0x17, 0x11, 1, 0x55, 0x17, 0x73, 0x17, 0, 0)
		w.bytes(2, 0x2e, 1, 3, 8, 0x11, 0x1b, 0x12, 0x0f, 0x40, 0x0a, 0x3a, 6, 0x3b, 0x0f, 0x3f, 0x0c, 0, 0)
		w.bytes(3, 0x34, 0, 3, 8, 0x3b, 0x0f, 0x49, 0x10, 2, 0x17, 0, 0)
		w.bytes(4, 0x1d, 1, 0x31, 0x10, 0x55, 0x17, 0x58, 6, 0x59, 0x0f, 0, 0)
		w.bytes(5, 0x34, 0, 3, 8, 2, 0x0a, 0x49, 0x10, 0, 0, 0)
	case "line":
		for range syntheticUnits {
			w.unit(w.lines)
		}
	case "frame":
		w.u32(16)
		w.b = append(w.b, make([]byte, 16)...)
		for range 200 {
			w.u32(20 + 8)
			w.u32(0)
			w.u64(w.address())
			w.u64(w.IntN(200))
			w.u64(w.IntN(1 << 30))
		}
	case "info":
		for range syntheticUnits {
			w.unit(w.entries)
		}
	case "addr":
		for range syntheticUnits {
			w.unit(func() {
				w.u32(5 | 8<<16)
				for range 30 {
					w.u64(w.address())
				}
			})
		}
	default:
		for range 600 {
			w.bytes(1)
			w.index(w.IntN(30))
			for range w.IntN(4) {
				w.bytes(4)
				w.uleb(w.IntN(300))
				w.uleb(w.IntN(600))
				if name == "loclists" {
					w.bytes(1, byte(0x50+w.IntN(16)))
				}
			}
			w.bytes(0)
		}
	}
	return w.b
}

// lines writes a line number program (DWARF 5, 6.2.4).
func (w *debugWriter) lines() {
	w.bytes(5, 0, 8, 0)
	header := []byte{1, 1, 1, 0xfc, 10, 11, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0}
	w.u32(len(header))
	w.bytes(header...)
	for range 20 {
		w.bytes(0, 9, 2)
		w.u64(w.address())
		for range w.IntN(20) {
			switch w.IntN(4) {
			case 0:
				w.bytes(3)
				w.uleb(w.IntN(500))
			case 1:
				w.bytes(4)
				w.uleb(w.IntN(3))
			case 2:
				w.bytes(6 + byte(w.IntN(2)))
			}
			w.bytes(byte(11 + w.IntN(240)))
		}
		w.bytes(0, 1, 1)
	}
}

func (w *debugWriter) entries() {
	w.bytes(5, 0, 1, 8)
	w.u32(0)
	w.bytes(1)
	w.b = append(w.b, "unit\x00"...)
	w.u32(w.IntN(0x800))
	w.u64(w.address())
	w.u32(w.IntN(0x800))
	w.u32(8 + w.IntN(4)*248)
	for range 30 {
		w.bytes(2)
		w.b = fmt.Appendf(w.b, "function%d\x00", w.IntN(1000))
		w.index(w.IntN(30))
		w.uleb(w.IntN(1000))
		w.bytes(1, 0x9c)
		w.u32(2)
		w.uleb(w.IntN(1000))
		w.bytes(1)
		for range w.IntN(4) {
			w.bytes(3, 'v', 0)
			w.uleb(w.IntN(1000))
			w.u32(w.IntN(0x2000))
			w.u32(w.IntN(0x1000))
		}
		w.bytes(4)
		w.u32(w.IntN(0x2000))
		w.u32(w.IntN(0x800))
		w.u32(1)
		w.uleb(w.IntN(1000))
		w.bytes(0, 0)
	}
	w.bytes(5, 'g', 0, 9, 3)
	w.u64(w.address())
	w.u32(w.IntN(0x2000))
	w.bytes(0)
}

// syntheticDebug is a synthetic file with symbols and compressed debugging information, and its image as an encoder
// has it.
func syntheticDebug() (file []byte, im *image) {
	im = synthetic(archAMD64)
	r := rand.New(rand.NewPCG(7, 2026))
	file = im.old
	w := &debugWriter{Rand: r}
	for range 100 {
		w.u32(w.IntN(400))
		w.u32(0)
		w.u64(w.address())
		w.u64(w.IntN(300))
	}
	lay := &im.lay
	lay.zones = append(lay.zones, zone{uint64(len(file)), uint64(len(w.b)), zoneSymbols, 0})
	lay.base[baseStrings] = spaceAddress
	lay.segments = append(lay.segments, segment{spaceAddress, uint64(len(file) + len(w.b)), 400})
	file = append(append(file, w.b...), text(10, 0)[:400]...)
	var contents []byte
	at := map[string]uint64{}
	for _, name := range syntheticSections {
		b := syntheticSection(name, r)
		stream, marks := marked(b)
		im.packed = append(im.packed, packed{off: uint64(len(file)), size: uint64(len(stream)), n: uint64(len(b)), marks: marks})
		at[name] = uint64(len(contents))
		contents = append(contents, b...)
		file = append(file, stream...)
	}
	im.old = append(bytes.Clone(file), contents...)
	for i, name := range syntheticSections {
		off, size := uint64(len(file))+at[name], im.packed[i].n
		if base := map[string]int{"info": baseInfo, "line": baseLines, "loclists": baseLocations, "rnglists": baseRanges, "addr": baseAddrs}[name]; base != 0 {
			lay.base[base] = spaceAddress + uint64(i+1)*spaceSize
			lay.segments = append(lay.segments, segment{lay.base[base], off, size})
		}
		switch name {
		case "abbrev":
			lay.abbrevs = off
		case "frame":
			lay.zones = append(lay.zones, zone{off + 4, size - 4, zoneWords, 1})
		case "addr":
			lay.zones = append(lay.zones, zone{off, size, zoneWords, 0})
		case "info":
			lay.zones = append(lay.zones, zone{off, size, zoneInfo, 0})
		case "line":
			lay.zones = append(lay.zones, zone{off, size, zoneLines, 0})
		}
	}
	return file, im
}

// compressed puts what the plan says is compressed into a residual's output.
func compressed(t testing.TB, fresh []byte, sections []packed) []byte {
	t.Helper()
	var out bytes.Buffer
	to := newOutput(&out, nil, 0)
	p := &packer{sections: sections, out: to}
	if err := errors.Join(p.Write(fresh), to.flush()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What a decoder unpacks bit by bit is what an encoder has in memory.
func TestUnpacking(t *testing.T) {
	contents := [][]byte{text(100_000, 3), random(4, 5000), text(300, 1)}
	var old, want []byte
	var sections []packed
	for _, b := range contents {
		stream, marks := marked(b)
		sections = append(sections, packed{off: uint64(len(old)), size: uint64(len(stream)), n: uint64(len(b)), marks: marks})
		old, want = append(old, stream...), append(want, b...)
	}
	if n := len(sections[0].marks); n <= cachedChunks {
		t.Fatalf("%d chunks only", n)
	}
	u := newUnpacker(old, sections)
	r := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		from := r.IntN(len(want))
		got := u.view(uint64(from), uint64(1+r.IntN(20_000)))
		if u.err != nil || len(got) == 0 || !bytes.HasPrefix(want[from:], got) {
			t.Fatalf("%d bytes from %d on, or %v", len(got), from, u.err)
		}
	}
	if u.view(uint64(len(want)), 1) != nil {
		t.Error("bytes behind the end")
	}
	for range 1000 {
		u.view(uint64(r.IntN(len(want))), 1)
	}
	if !errors.Is(u.err, ErrLimit) {
		t.Errorf("jumps without end: %v", u.err)
	}
}

// A packer refuses to write more or less than what the plan says.
func TestPacking(t *testing.T) {
	b := text(9000, 3)
	stream := deflated(t, b, len(b))
	fresh := append(append([]byte("before"), b...), "after"...)
	section := packed{off: 6, size: uint64(len(stream)), n: uint64(len(b))}
	want := append(append([]byte("before"), stream...), "after"...)
	if got := compressed(t, fresh, []packed{section}); !bytes.Equal(got, want) {
		t.Error("another file")
	}
	for _, d := range []int{-1, 1} {
		section.size = uint64(len(stream) + d)
		to := newOutput(io.Discard, nil, 0)
		p := &packer{sections: []packed{section}, out: to}
		if err := p.Write(fresh); !errors.Is(err, ErrFormat) || to.at > 6+section.size {
			t.Errorf("%d bytes too many: %v after %d", -d, err, to.at)
		}
	}
}

// Sections are read entry by entry to the end: most of what a linker writes is understood.
func TestDebugSections(t *testing.T) {
	_, im := syntheticDebug()
	if err := im.prepare(newRoom()); err != nil {
		t.Fatal(err)
	}
	kinds := map[uint64]int{}
	im.scan(0, im.total(), func(r ref) {
		for _, z := range im.lay.zones {
			if r.off-z.off < z.size {
				kinds[z.kind]++
			}
		}
	})
	for kind, least := range map[uint64]int{zoneInfo: 12 * 30 * 2, zoneLines: 12 * 20, zoneWords: 200, zoneSymbols: 200} {
		if kinds[kind] < least {
			t.Errorf("%d references in zones of kind %d, less than %d", kinds[kind], kind, least)
		}
	}
}

// again takes the end of the last zone away, for one of a kind.
func again(l *layout, kind uint64) zone {
	last := &l.zones[len(l.zones)-1]
	last.size -= 8
	return zone{last.off + last.size, 8, kind, 0}
}

// A layout is refused that is outside the file, or that would make scanning begin anew again and again.
func TestLayouts(t *testing.T) {
	for name, spoil := range map[string]func(l *layout){
		"as it is":                       func(l *layout) {},
		"two zones of .debug_info":       func(l *layout) { l.zones = append(l.zones, again(l, zoneInfo)) },
		"two zones of .debug_line":       func(l *layout) { l.zones = append(l.zones, again(l, zoneLines)) },
		"a kind that there is not":       func(l *layout) { l.zones[0].kind = nZones },
		"a base that there is not":       func(l *layout) { l.zones[0].base = nBases },
		"a zone behind the end":          func(l *layout) { l.zones[0].off = maxFile },
		"a zone beyond the end":          func(l *layout) { l.zones[len(l.zones)-1].size = maxFile },
		"zones that overlap":             func(l *layout) { l.zones[1].off = l.zones[0].off },
		"a segment beyond the end":       func(l *layout) { l.segments[0].size = maxFile },
		"segments that overlap":          func(l *layout) { l.segments = append(l.segments, l.segments[0]) },
		"a base beyond all addresses":    func(l *layout) { l.base[baseTypes] = maxAddress + 1 },
		"abbreviations outside the file": func(l *layout) { l.abbrevs = maxFile },
	} {
		_, im := syntheticDebug()
		spoil(&im.lay)
		if err := im.lay.check(im.total(), im.total()); errors.Is(err, ErrFormat) != (name != "as it is") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
