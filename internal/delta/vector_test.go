package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew: only together with a new version of the format")

// golden compares with a file in testdata. A difference means that published deltas break.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != nil && !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was: this breaks every published delta", name)
	}
	return want
}

// Where the parts of a synthetic image are. Its addresses begin at imageStart.
const (
	imageStart  = 0x400000
	imageSize   = 0x20000
	atText      = 0x1000
	textSize    = 0x8000
	atFunctab   = 0xa000
	nFunctions  = 64
	atPctab     = 0x10000
	pctabSize   = 0x2000
	atOffsets   = 0x13000
	atPointers  = 0x14000
	atTypes     = 0x18000
	typesLength = 0x2000
	atNames     = 0x1b000
	atCutab     = 0x1c000
)

// synthetic returns a file with tables of all kinds, and its image.
func synthetic(arch uint64) *image {
	r := rand.New(rand.NewPCG(2026, arch))
	b := make([]byte, imageSize)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	syntheticCode(b[atText:atText+textSize], arch, r)
	for at := 1 << 13; arch == archAMD64 && at <= 1<<14; at += 1 << 13 { // calls across where decoding begins anew, or may not
		copy(b[atText+(nFunctions-1)*200+at-12:], "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\xe8\x11\x22\x00\x00")
	}
	functab := b[atFunctab:]
	at := uint32(8*nFunctions + 4)
	for i := range uint32(nFunctions) {
		put32(functab[8*i:], i*200) // the last one has more than restart
		put32(functab[8*i+4:], at)
		f := functab[at : at+funcSize+4*7]
		for j := range 3 {
			put32(f[funcPcsp+4*j:], uint32(r.IntN(pctabSize/32)*32)+1)
		}
		put32(f[funcNpcdata:], 3)
		put32(f[funcCU:], uint32(r.IntN(64)))
		put32(f[funcLine:], uint32(r.IntN(1000)))
		f[funcNfuncdat] = 4
		for j := range 3 {
			put32(f[funcSize+4*j:], uint32(r.IntN(pctabSize/32)*32)+1)
		}
		for j := range 4 {
			put32(f[funcSize+12+4*j:], uint32(r.IntN(0x400)*16))
		}
		at += funcSize + 4*7
	}
	put32(functab[8*nFunctions:], textSize)
	for i := 1; i+32 <= pctabSize; i += 32 {
		table := b[atPctab+i:][:32]
		for j := range table {
			table[j] = byte(1 + r.IntN(126))
		}
		table[20] = 0
	}
	for i := range 64 {
		put32(b[atCutab+4*i:], uint32(r.IntN(1000)))
	}
	for i := atPointers; i < atPointers+0x1000; i += 16 {
		binary.LittleEndian.PutUint64(b[i:], imageStart+uint64(r.IntN(imageSize)))
	}
	for i := atTypes; i < atTypes+typesLength; i += 128 {
		syntheticType(b[i:], r)
		binary.LittleEndian.PutUint64(b[atPointers+8+(i-atTypes)/8:], uint64(imageStart+i))
	}
	return &image{old: b, lay: syntheticLayout(arch)}
}

// syntheticCode puts instructions with references into noise, every 24 bytes one.
func syntheticCode(code []byte, arch uint64, r *rand.Rand) {
	forms := [][]byte{{0xe8}, {0xe9}, {0x0f, 0x84}, {0x48, 0x8d, 0x05}, {0x90, 0x83, 0x3d}, {0xc5, 0xfa, 0x6f, 0x05}, {0x66, 0xc7, 0x05}}
	for i := 0; i+24 <= len(code); i += 24 {
		c := code[i:]
		if arch == archAMD64 {
			n := copy(c, forms[r.IntN(len(forms))])
			put32(c[n:], uint32(r.IntN(0x8000)))
			continue
		}
		switch r.IntN(3) {
		case 0:
			put32(c, 0x94000000|uint32(r.IntN(0x2000)))
		case 1:
			put32(c, 0x54000000|uint32(r.IntN(0x1000))<<5)
		case 2:
			put32(c, 0x90000003|uint32(r.IntN(4))<<29)
			put32(c[4:], [...]uint32{0x91000063, 0xf9400064, 0x3dc00065}[r.IntN(3)]|uint32(r.IntN(0x100))<<10)
		}
	}
}

func syntheticType(t []byte, r *rand.Rand) {
	put64(t, 64)
	put64(t[8:], 8)
	t[20], t[21], t[22], t[23] = 1, 8, 8, 25 // a named struct
	put32(t[typeName:], uint32(r.IntN(64)*128)+120)
	t[120], t[121] = 0, 5
	put32(t[80+4:], 1) // one method
	put32(t[80+8:], 16)
}

func syntheticLayout(arch uint64) layout {
	const funcs = atFunctab + 8*nFunctions + 4
	return layout{
		arch: arch, lo: imageStart, hi: imageStart + imageSize, nfunc: nFunctions,
		pctabEnd: imageStart + atPctab + pctabSize, etypes: imageStart + atTypes + typesLength,
		segments: []segment{{imageStart, 0, imageSize}},
		zones: []zone{{atText, textSize, zoneText, 0}, {atFunctab, 8*nFunctions + 4, zoneFunctab, 0},
			{funcs, nFunctions * (funcSize + 28), zoneFuncs, 0}, {atOffsets, 0x1000, zoneOffsets, baseTypes}, {atPointers, 0x2000, zonePointers, 0}},
		base: [nBases]uint64{imageStart + atText, imageStart + atTypes, imageStart + atOffsets, imageStart + atNames, imageStart + atCutab,
			imageStart + atNames, imageStart + atPctab, imageStart + atFunctab, imageStart + atTypes, imageStart},
	}
}

// moved gives the image maps.
func moved(im *image) *plan {
	im.newBase, im.newSegments = im.lay.base, im.lay.segments
	im.newBase[baseTypes] += 0x40
	r := rand.New(rand.NewPCG(1, 2))
	var m, lines addressMap
	for a := uint64(imageStart); a < imageStart+imageSize; a += 1 + uint64(r.IntN(0x1000)) {
		m = append(m, step{a, int64(r.IntN(0x200)) - 0x100})
	}
	for file := range uint64(1000) {
		lines = append(lines, step{lineKey(file, int32(r.IntN(50))), int64(r.IntN(40)) - 20})
	}
	im.move(m, lines)
	return &plan{image: im}
}

// The references that the scanners find, in pseudo-random code and tables.
func TestScannersAreFrozen(t *testing.T) {
	_, debug := syntheticDebug()
	for name, im := range map[string]*image{"amd64": synthetic(archAMD64), "arm64": synthetic(archARM64), "dwarf": debug} {
		if err := im.prepare(newRoom()); err != nil {
			t.Fatal(err)
		}
		sum, n, kinds := sha256.New(), 0, [nRefs]int{}
		im.scan(0, im.total(), func(r ref) {
			fmt.Fprintln(sum, r)
			n++
			kinds[r.kind]++
		})
		golden(t, "scan-"+name, fmt.Appendf(nil, "%d references %v\n%x\n", n, kinds, sum.Sum(nil)))
	}
}

// The prediction does not depend on where blocks begin.
func TestPredictionByParts(t *testing.T) {
	_, debug := syntheticDebug()
	for _, im := range []*image{synthetic(archAMD64), synthetic(archARM64), debug} {
		imageSize := int(im.total())
		p := moved(im)
		if err := p.image.prepare(newRoom()); err != nil {
			t.Fatal(err)
		}
		whole, class := make([]byte, imageSize), make([]byte, imageSize)
		im.predict(whole, class, 0)
		if bytes.Equal(whole, im.old) {
			t.Fatal("nothing was rewritten")
		}
		r := rand.New(rand.NewPCG(9, 9))
		for i := range 500 {
			from := r.IntN(imageSize)
			if i%2 == 0 { // where it is known how instructions lie
				from &^= startUnit - 1
			}
			n := min(1+r.IntN(3000), imageSize-from)
			part, classes := make([]byte, n), make([]byte, n)
			im.predict(part, classes, uint64(from))
			if !bytes.Equal(part, whole[from:from+n]) || !bytes.Equal(classes, class[from:from+n]) {
				t.Fatalf("%d bytes from %#x differ", n, from)
			}
		}
	}
}

// Functions that begin where others do are empty: else each would be decoded to the end of all, and a patch could make that take for ever.
func TestEmptyFunctions(t *testing.T) {
	im := synthetic(archAMD64)
	for i := 2; i < nFunctions; i += 2 {
		copy(im.old[atFunctab+8*i:], im.old[atFunctab+8*(i+1):][:4])
	}
	if err := im.prepare(newRoom()); err != nil {
		t.Fatal(err)
	}
	found := map[uint64]int{}
	s := scan{im: im, zone: &im.lay.zones[0], lo: atText, hi: atText + textSize, each: func(r ref) { found[r.off]++ }}
	s.references()
	for off, n := range found {
		if n > 1 {
			t.Fatalf("the reference at %#x was found %d times", off, n)
		}
	}
	if len(found) == 0 {
		t.Error("nothing was found")
	}
}

// Patches of this version, as they were published.
func TestPatchesStayReadable(t *testing.T) {
	for _, name := range []string{"data", "amd64", "arm64", "dwarf", "dense", "packed"} {
		old, fresh, p := example(t, name)
		e := &encoding{old: old, fresh: fresh, plan: p, repeats: name == "packed"}
		predicted := old
		if p.image != nil {
			predicted = (&transform{a: &goFile{image: p.image}}).predict()
		}
		whole := compressed(t, fresh, p.packed)
		patch, _, err := e.encode(whole, newMatcher(predicted).stretches(fresh, fewCosts, nil))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := apply(&out, old, golden(t, "patch-"+name, patch), alone(1<<20)); err != nil || !bytes.Equal(out.Bytes(), whole) {
			t.Errorf("%s: %v", name, err)
		}
		sum := sha256.Sum256(out.Bytes())
		golden(t, "sum-"+name, []byte(hex.EncodeToString(sum[:])+"\n"))
	}
}

// example returns a pair, and its plan.
func example(t testing.TB, name string) (old, fresh []byte, p *plan) {
	arch := map[string]uint64{"amd64": archAMD64, "dense": archAMD64, "arm64": archARM64}[name]
	im := synthetic(arch)
	old = im.old
	if name == "dwarf" {
		old, im = syntheticDebug()
	}
	if name == "data" {
		fresh = append(bytes.Clone(im.old[0x8000:0x9000]), im.old[:0x4000]...)
		fresh[100]++
		return im.old[:0xa000], append(fresh, "inserted, inserted again, and inserted"...), &plan{}
	}
	if name == "packed" { // copies too, and matches with them
		fresh = slices.Concat(im.old[:0x1000], pieces(3000, 1), im.old[0x4000:0x4800])
		return append(pieces(3000, 0), im.old[:0x6000]...), fresh, &plan{}
	}
	p = moved(im)
	if err := im.prepare(newRoom()); err != nil {
		t.Fatal(err)
	}
	fresh = make([]byte, im.total())
	im.predict(fresh, make([]byte, len(fresh)), 0)
	fresh = append(fresh[:0x3000], append([]byte("some new code"), fresh[0x3000:]...)...)
	fresh = append(fresh[:0x1234], fresh[0x1271:]...) // after which chunks and blocks begin elsewhere
	for i := 0; i < len(fresh); i += 1999 {
		fresh[i] ^= 0x10
	}
	if name == "dense" {
		for i := 0; i < len(fresh); i += 97 {
			fresh[i] += 3
		}
		fresh = append(fresh, bytes.Repeat([]byte("inserted, and inserted again. "), 3000)...)
	}
	if name == "dwarf" {
		stream, _ := marked(fresh[imageSize : imageSize+0x4000])
		p.packed = []packed{{off: imageSize, size: uint64(len(stream)), n: 0x4000}}
	}
	return old, fresh, p
}

func newRoom() *room {
	r := room(tableRoom)
	return &r
}
