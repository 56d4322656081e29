package bzip2

import (
	"bytes"
	stdlib "compress/bzip2"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

// samples are what the C program wrote: nothing, one byte, runs of all lengths that matter, all
// bytes, several blocks, several streams, words.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.bz2")
	if err != nil || len(files) != 7 {
		t.Fatal(files, err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestAsTheStandardLibrary(t *testing.T) {
	for name, archive := range samples(t) {
		want, err := io.ReadAll(stdlib.NewReader(bytes.NewReader(archive)))
		if err != nil {
			t.Fatal(err)
		}
		for how, r := range map[string]io.Reader{
			"whole":       bytes.NewReader(archive),
			"bytes":       iotest.OneByteReader(bytes.NewReader(archive)),
			"EOF at once": iotest.DataErrReader(bytes.NewReader(archive)),
		} {
			got, err := io.ReadAll(NewReader(r))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes, %v, not the %d", name, how, len(got), err, len(want))
			}
		}
		if err := iotest.TestReader(NewReader(bytes.NewReader(archive)), want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bits of each file are flipped, each file is cut, and bytes follow it. Nothing wrong comes out
// as whole, and what is refused is what the standard library refuses, but for codes
// that no encoder writes: levels that all codes share, which it leaves out and the C program does not, and too many codes.
func TestDamaged(t *testing.T) {
	tries, differ := 0, 0
	for name, archive := range samples(t) {
		whole, _ := io.ReadAll(NewReader(bytes.NewReader(archive)))
		step := 1 + len(archive)*8/150
		for i := 0; i < len(archive)*8; i += step {
			damaged := bytes.Clone(archive)
			damaged[i/8] ^= 1 << (i % 8)
			got, ours, theirs := both(t, damaged)
			if ours && !bytes.Equal(got, whole) {
				t.Fatalf("%s: bit %d is flipped, and %d other bytes come out", name, i, len(got))
			}
			if tries++; ours != theirs {
				differ++
			}
		}
		for i := 0; i < len(archive); i += step {
			if _, ours, theirs := both(t, archive[:i]); ours != theirs || ours && name != "streams.bz2" {
				t.Errorf("%s, cut at %d: ours %v, theirs %v", name, i, ours, theirs)
			}
		}
		for _, more := range []string{"\x00", "BZh", "BZh9", "garbage at the end"} {
			if _, ours, _ := both(t, append(bytes.Clone(archive), more...)); ours {
				t.Errorf("%s and %q is taken for one file", name, more)
			}
		}
	}
	t.Logf("%d bits flipped, %d differences", tries, differ)
	if differ*30 > tries {
		t.Errorf("%d differences to the standard library", differ)
	}
}

// both have an archive decoded, and tell whether they take it. If both do, they agree.
func both(t *testing.T, archive []byte) (got []byte, ours, theirs bool) {
	t.Helper()
	want, werr := io.ReadAll(stdlib.NewReader(bytes.NewReader(archive)))
	got, err := io.ReadAll(NewReader(bytes.NewReader(archive)))
	if err == nil && werr == nil && !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, the standard library: %d bytes; %q", len(got), len(want), archive)
	}
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%v is not typed", err)
	}
	return got, err == nil, werr == nil
}

var errDisk = errors.New("the disk fails")

// An error of the source is handed on, wherever it comes.
func TestSourceFails(t *testing.T) {
	archive := samples(t)["words.bz2"]
	for i := range len(archive) {
		r := io.MultiReader(bytes.NewReader(archive[:i]), iotest.ErrReader(errDisk))
		if _, err := io.ReadAll(NewReader(r)); !errors.Is(err, errDisk) {
			t.Fatalf("after %d bytes: %v", i, err)
		}
	}
	if _, err := io.ReadAll(NewReader(idle{})); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// Reading stays at its error.
func TestErrorStays(t *testing.T) {
	archive := samples(t)["words.bz2"]
	archive[len(archive)/2] ^= 1
	r := NewReader(bytes.NewReader(archive))
	_, first := io.ReadAll(r)
	for range 3 {
		if n, err := r.Read(make([]byte, 10)); n != 0 || err == nil || err != first {
			t.Errorf("%d, %v, after %v", n, err, first)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, archive := range samples(f) {
		if len(archive) < 1000 {
			f.Add(archive)
		}
	}
	f.Fuzz(func(t *testing.T, archive []byte) { both(t, archive) })
}

func BenchmarkRead(b *testing.B) {
	archive := samples(b)["blocks.bz2"]
	for name, open := range map[string]func(io.Reader) io.Reader{
		"ours":   func(r io.Reader) io.Reader { return NewReader(r) },
		"stdlib": stdlib.NewReader,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n, err := io.Copy(io.Discard, open(bytes.NewReader(archive)))
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}

// bitsOf makes bytes of zeros and ones.
func bitsOf(text string) *bitReader {
	var data []byte
	n := 0
	for _, c := range text {
		if c == ' ' {
			continue
		}
		if n%8 == 0 {
			data = append(data, 0)
		}
		data[n/8] |= byte(c-'0') << (7 - n%8)
		n++
	}
	return &bitReader{r: bytes.NewReader(append(data, 0, 0, 0, 0))}
}

// Codes for three symbols: the count of codes, that of selectors, these, and the lengths.
func TestMalformedCodes(t *testing.T) {
	const same, up, down = "0", "100", "110" // a length: as the last, one more, one less
	one := "00010" + same + same + same
	for name, c := range map[string]struct {
		bits string
		good bool
	}{
		"good":                {"010 000000000000001 0" + one + one, true},
		"two codes too few":   {"001 000000000000001 0" + one, false},
		"seven codes":         {"111 000000000000001 0" + one + one + one + one + one + one + one, false},
		"selector of no code": {"010 000000000000001 110" + one + one, false},
		"length 0":            {"010 000000000000001 0" + "00000" + same + same + same + one, false},
		"length 0, then 1":    {"010 000000000000001 0" + "00000" + up + same + same + one, false},
		"length 21":           {"010 000000000000001 0" + "10100" + up + same + same + one, false},
		"length 21, then 20":  {"010 000000000000001 0" + "10100" + "10" + down + same + same + one, false},
	} {
		_, _, err := readCodes(bitsOf(c.bits), 3)
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := readCodes(bitsOf("010 000000000000001 0"+one+one), 2); !errors.Is(err, ErrCorrupt) {
		t.Errorf("two symbols, of which none is a byte: %v", err)
	}
}

// A block that is larger than its stream's head says, wherever the room ends.
func TestBlockTooLarge(t *testing.T) {
	archive := samples(t)["words.bz2"]
	decode := func(room int) (int, error) {
		in := &bitReader{r: bytes.NewReader(archive[4+6+4:])} // behind the heads of stream and block
		in.read(1 + 24)
		b := block{column: make([]uint32, 0, room)}
		err := b.decode(in)
		return len(b.column), err
	}
	size, err := decode(levelBytes)
	if err != nil {
		t.Fatal(err)
	}
	for room := range size {
		if n, err := decode(room); !errors.Is(err, ErrCorrupt) || n > room {
			t.Fatalf("%d bytes, room for %d, %v", n, room, err)
		}
	}
	if _, err := decode(size); err != nil {
		t.Errorf("it fits: %v", err)
	}
}
