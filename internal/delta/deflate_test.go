package delta

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// deflated is what the deflater makes of b, given to it in pieces of n bytes.
func deflated(t testing.TB, b []byte, n int) []byte {
	t.Helper()
	d := newDeflater()
	for len(b) > 0 {
		k := min(n, len(b))
		d.write(b[:k])
		b = b[k:]
	}
	d.close()
	return d.out
}

// linked is what the linker makes of it.
func linked(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zlib.NewWriterLevel(&out, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// deflateInputs are of all kinds that lead to other blocks: stored, without matches, with many, short ends.
func deflateInputs() map[string][]byte {
	r := rand.New(rand.NewPCG(5, 5))
	few := make([]byte, 300_000)
	for i := range few {
		few[i] = byte(min(r.ExpFloat64()*20, 255))
	}
	skewed := make([]byte, 0, 200_000) // frequencies as of Fibonacci, so that codes reach their limit
	for a, b, v := 1, 1, byte(0); len(skewed) < 190_000; a, b, v = b, a+b, v+1 {
		skewed = append(skewed, bytes.Repeat([]byte{v}, min(a, 190_000-len(skewed)))...)
	}
	r.Shuffle(len(skewed), func(i, j int) { skewed[i], skewed[j] = skewed[j], skewed[i] })
	mixed := append(append(text(3000, 7), random(3, 150_000)...), text(3000, 11)...)
	inputs := map[string][]byte{"text": text(6000, 3), "random": random(9, 200_000), "few": few, "skewed": skewed, "mixed": mixed,
		"zeros": make([]byte, 300_000), "no matches": few[:100]}
	for _, n := range []int{0, 1, 16, 17, 127, 128, 129, 65534, 65535, 65536, 131070, 131071 + 16} {
		inputs[fmt.Sprint("text of ", n)] = text(3000, 5)[:n]
		inputs[fmt.Sprint("random of ", n)] = random(uint64(n), n)
	}
	return inputs
}

// The standard library is the oracle as long as it does what the linker does.
func TestDeflatesAsTheLinker(t *testing.T) {
	for name, b := range deflateInputs() {
		if !bytes.Equal(deflated(t, b, len(b)), linked(t, b)) {
			t.Errorf("%s: another stream than compress/zlib's", name)
		}
		if !bytes.Equal(deflated(t, b, 1000), linked(t, b)) {
			t.Errorf("%s: another stream than compress/zlib's, in pieces", name)
		}
	}
}

// The streams of this version. If compress/zlib changes, this stays.
func TestDeflaterIsFrozen(t *testing.T) {
	inputs := deflateInputs()
	var out []byte
	for _, name := range []string{"text", "random", "few", "skewed", "mixed", "zeros", "text of 17", "text of 128", "text of 131070"} {
		b := deflated(t, inputs[name], 4096)
		out = fmt.Appendf(out, "%s %d %x\n", name, len(b), sha256.Sum256(b))
	}
	golden(t, "deflate", out)
}

func FuzzDeflate(f *testing.F) {
	f.Add([]byte("the linker, the linker"), uint16(9))
	f.Add(bytes.Repeat([]byte{1, 2, 3, 4, 5}, 40), uint16(4000))
	f.Fuzz(func(t *testing.T, b []byte, times uint16) {
		if len(b) > 0 {
			b = bytes.Repeat(b, 1+int(times)%(1+300_000/len(b)))
		}
		for i := 0; i < len(b); i += 1 + int(times)%997 {
			b[i] ^= byte(i >> 8)
		}
		if !bytes.Equal(deflated(t, b, 5000), linked(t, b)) {
			t.Error("another stream than compress/zlib's")
		}
	})
}

// inflated decodes a zlib stream of n bytes.
func inflated(b []byte, n int) ([]byte, bool) {
	f := &inflater{in: b, at: 16, out: make([]byte, 0, n)}
	ok := f.decode()
	return f.out, ok
}

func TestInflates(t *testing.T) {
	for name, b := range deflateInputs() {
		z := deflated(t, b, len(b))
		if got, ok := inflated(z, len(b)); !ok || !bytes.Equal(got, b) {
			t.Errorf("%s: other bytes, or %v", name, ok)
		}
		if _, ok := inflated(z, len(b)+1); ok {
			t.Errorf("%s: more than there is", name)
		}
	}
}

func FuzzInflate(f *testing.F) {
	f.Add(linked(f, text(300, 2)), uint32(4000))
	f.Add(linked(f, []byte{1, 2, 3}), uint32(3))
	f.Fuzz(func(t *testing.T, b []byte, n uint32) {
		n %= 1 << 20
		got, ok := inflated(b, int(n))
		if !ok || len(b) < 2 {
			return
		}
		want := make([]byte, n)
		if k, _ := io.ReadFull(flate.NewReader(bytes.NewReader(b[2:])), want); k == int(n) && !bytes.Equal(want, got) {
			t.Error("other bytes than compress/flate's")
		}
	})
}
