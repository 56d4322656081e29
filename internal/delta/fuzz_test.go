package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// checkApply applies, and holds the decoder to its promises. It runs without the net that Apply has.
func checkApply(t *testing.T, old, patch []byte) {
	t.Helper()
	const limit = 1 << 20
	out := &counter{}
	_, err := apply(out, old, patch, alone(limit))
	if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrBase) && !errors.Is(err, ErrLimit) {
		t.Fatalf("an error of no type: %v", err)
	}
	if out.n > limit {
		t.Fatalf("%d bytes written", out.n)
	}
}

func headed(old []byte, newSize uint64, body []byte) []byte {
	h := newHeader(old, nil)
	h.newSize = newSize
	return append(h.bytes(), body...)
}

func FuzzApply(f *testing.F) {
	olds := [][]byte{synthetic(archAMD64).old, nil}
	olds[1], _ = syntheticDebug()
	for _, name := range []string{"data", "amd64", "arm64", "dwarf", "dense"} {
		patch := golden(&testing.T{}, "patch-"+name, nil)
		f.Add(patch[headerSize(patch):], uint32(imageSize/4), name == "dwarf")
	}
	f.Add([]byte{0, 1, 2, 3, 4, 5}, uint32(100), false)
	f.Fuzz(func(t *testing.T, body []byte, size uint32, debug bool) {
		old := olds[0]
		if debug {
			old = olds[1]
		}
		checkApply(t, old, headed(old, uint64(size%(1<<16)), body))
	})
}

// numbers takes numbers from fuzz input: whole ones, or offsets from what is plausible.
type numbers struct{ b []byte }

func (n *numbers) next() uint64 {
	v, k := binary.Uvarint(n.b)
	if k <= 0 {
		n.b = nil
		return 0
	}
	n.b = n.b[k:]
	return v
}

// near adds a number, as often as not zero, to v.
func (n *numbers) near(v *uint64) {
	if d := n.next(); d&1 != 0 {
		*v += d>>2 ^ -(d >> 1 & 1)
	}
}

// FuzzPlan encodes plans that differ from a plausible one in a few numbers, and decodes them.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{1}, uint8(0))
	f.Add(bytes.Repeat([]byte{0x83, 0x7f, 2, 1}, 40), uint8(1))
	f.Add([]byte{0}, uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		im, n := synthetic([...]uint64{archAMD64, archARM64, archAMD64}[kind%3]), &numbers{b}
		old := im.old
		if kind%3 == 2 {
			old, im = syntheticDebug()
			for i := range im.packed {
				s := &im.packed[i]
				n.near(&s.off)
				n.near(&s.size)
				n.near(&s.marks[0])
			}
		}
		p := moved(im)
		if kind%3 == 2 {
			s := packed{n: 100, size: 100}
			n.near(&s.off)
			n.near(&s.size)
			n.near(&s.n)
			p.packed = append(p.packed, s)
		}
		l := &im.lay
		for _, v := range []*uint64{&l.arch, &l.lo, &l.hi, &l.pctabEnd, &l.abbrevs, &l.etypes, &l.nfunc} {
			n.near(v)
		}
		for i := range l.zones {
			n.near(&l.zones[i].off)
			n.near(&l.zones[i].size)
			n.near(&l.zones[i].kind)
			n.near(&l.zones[i].base)
		}
		for i := range l.segments {
			n.near(&l.segments[i].addr)
			n.near(&l.segments[i].off)
			n.near(&l.segments[i].size)
		}
		for i := range l.base {
			n.near(&l.base[i])
			n.near(&im.newBase[i])
		}
		for range n.next() % 4 {
			p.generated = append(p.generated, generated{n.next(), n.next(), n.next(), n.next(), n.next()})
		}
		p.repeats = n.next()&1 != 0
		c := newEncoder()
		if _, err := codePlan(c, old, p, imageSize/4); err != nil {
			c.uint(1, newIntModel(1), 0) // what an honest encoder would not send
		}
		for range 200 {
			c.uint(n.next(), newIntModel(1), 0)
		}
		checkApply(t, old, headed(old, imageSize/4, c.finish(nil)))
	})
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte("the old one"), []byte("the new one"))
	f.Add(bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{0, 1}, 100))
	f.Fuzz(func(t *testing.T, old, fresh []byte) {
		if len(old)+len(fresh) > 1<<12 {
			return
		}
		patch, _, err := Diff(old, fresh, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := applied(old, patch, len(fresh))
		if err != nil || !bytes.Equal(got, fresh) {
			t.Fatalf("not reproduced: %v", err)
		}
	})
}

// FuzzExecutable damages the headers of real programs.
func FuzzExecutable(f *testing.F) {
	var programs [][]byte
	for _, p := range []platform{platforms[0], platforms[2], platforms[5]} {
		programs = append(programs, build(f, p, 0, stripped...))
	}
	f.Add([]byte{}, uint32(0), uint8(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint32(0x28), uint8(0))
	f.Fuzz(func(t *testing.T, with []byte, at uint32, which uint8) {
		b := bytes.Clone(programs[int(which)%len(programs)])
		copy(b[int(at)%len(b):], with)
		if g := parseGo(b, false); g != nil {
			g.image.scan(0, min(g.image.size(), 1<<16), func(ref) {})
		}
	})
}
