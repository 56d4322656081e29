package delta

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
)

// repeated codes b, given to the repeater in pieces of n bytes.
func repeated(t testing.TB, b []byte, n int) []byte {
	t.Helper()
	z := newRepeater(newEncoder(), ringSize)
	z.more = newParser(z, b, []op{{inserted: len(b)}}).next
	if err := z.take(len(b), n, func([]byte) {}); err != nil || len(z.tokens) > 0 {
		t.Fatalf("%v, or %d tokens too many", err, len(z.tokens))
	}
	return z.c.finish(nil)
}

func (z *repeater) take(size, n int, got func([]byte)) error {
	buf := make([]byte, n)
	for size > 0 {
		k := min(n, size)
		if err := z.read(buf[:k]); err != nil {
			return err
		}
		got(buf[:k])
		size -= k
	}
	return nil
}

func TestRepeats(t *testing.T) {
	for name, b := range deflateInputs() {
		coded := repeated(t, b, 777)
		var out bytes.Buffer
		z := newRepeater(newDecoder(coded), ringSize)
		if err := z.take(len(b), 1000, func(b []byte) { out.Write(b) }); err != nil || !bytes.Equal(out.Bytes(), b) || z.left != 0 {
			t.Errorf("%s: other bytes, or %v", name, err)
		}
		if z.c.end() != nil {
			t.Errorf("%s: the body does not end with the bytes", name)
		}
		if n := len(linked(t, b)); len(coded) > n+n/30+60 {
			t.Errorf("%s: %d bytes, and %d deflated", name, len(coded), n)
		}
	}
}

// What was coded by this version, and what it says.
func TestRepeatsAreFrozen(t *testing.T) {
	b := append(append(text(60, 3), random(8, 300)...), text(90, 4)...)
	var coded []byte
	if *update {
		coded = repeated(t, b, len(b))
	}
	z := newRepeater(newDecoder(golden(t, "repeats", coded)), ringSize)
	sum := sha256.New()
	if err := z.take(len(b), 100, func(b []byte) { sum.Write(b) }); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(b); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("other bytes than they were: this breaks every published delta")
	}
}

// A ring of history goes round.
func TestRepeatsOfLongInsertions(t *testing.T) {
	if testing.Short() {
		return
	}
	part := random(6, 200_000)
	b := append(bytes.Repeat([]byte("0123456789abcdef"), ringSize/16), part...)
	b = append(append(b, make([]byte, 300_000)...), part...)
	coded := repeated(t, b, 1<<16)
	if len(coded) > 215_000 {
		t.Errorf("%d bytes: what came before was not found", len(coded))
	}
	z, at := newRepeater(newDecoder(coded), ringSize), 0
	err := z.take(len(b), 1<<16, func(got []byte) {
		if !bytes.Equal(got, b[at:at+len(got)]) {
			t.Fatalf("other bytes at %d", at)
		}
		at += len(got)
	})
	if err != nil {
		t.Error(err)
	}
}

// What was before may be in the old file, and in what was copied.
func TestRepeatsOfOldFile(t *testing.T) {
	old, part := random(7, 50_000), random(8, 20_000)
	fresh := slices.Concat(part, old[30_000:40_000], []byte("between"), part[5000:15_000], old[100:3000], old[49_000:])
	rounds := []op{{copied: 10_000, inserted: 0}, {inserted: len(fresh) - 10_000}}
	coding := newRepeater(newEncoder(), ringSize)
	decoding := func(coded []byte) *repeater { return newRepeater(newDecoder(coded), ringSize) }
	run := func(z *repeater) []byte {
		z.whole, z.old = true, old
		if z.c.encoding {
			z.more = newParser(z, fresh, rounds).next
		}
		var out bytes.Buffer
		for _, v := range fresh[:10_000] {
			z.push(v)
		}
		out.Write(fresh[:10_000])
		if err := z.take(len(fresh)-10_000, 700, func(b []byte) { out.Write(b) }); err != nil {
			t.Fatal(err)
		}
		if z.c.encoding {
			return z.c.finish(nil)
		}
		return out.Bytes()
	}
	coded := run(coding)
	if n := 11_200; len(coded) > n { // half of part is said, and no model foretells noise
		t.Errorf("%d bytes, more than %d", len(coded), n)
	}
	if !bytes.Equal(run(decoding(coded)), fresh) {
		t.Error("other bytes")
	}
}

// A distance leads into the old file, the last 8 MB of the new one, or nowhere.
func TestDistances(t *testing.T) {
	z := newRepeater(newDecoder(nil), ringSize)
	z.whole, z.old = true, []byte("old")
	for range ringSize + 10 {
		z.push('n')
	}
	for distance, want := range map[uint32]byte{1: 'n', ringSize: 'n', ringSize + 1: 0, ringSize + 10: 0, ringSize + 11: 'd', ringSize + 13: 'o',
		ringSize + 14: 0, 1<<32 - 1: 0, 0: 0} {
		if distance == 0 {
			continue
		}
		z.last[0] = distance
		got := z.back(distance)
		if i := z.before(distance); i >= 0 {
			got = z.old[i]
		}
		if distance <= ringSize || distance > ringSize+10 { // others are refused before they are followed
			if got != want {
				t.Errorf("a distance of %d leads to %q, and not %q", distance, got, want)
			}
		}
		if z.before(distance) >= 0 != (want == 'o' || want == 'd') {
			t.Errorf("a distance of %d leads into the old file, or not", distance)
		}
	}
}

func FuzzRepeats(f *testing.F) {
	f.Add(repeated(f, text(50, 3), 1000), uint16(2000))
	f.Add([]byte("nothing"), uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		for _, old := range [][]byte{nil, []byte("what was before")} {
			z := newRepeater(newDecoder(b), ringSize)
			z.whole, z.old = old != nil, old
			if err := z.take(int(n), 100, func([]byte) {}); err != nil && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
		}
	})
}
