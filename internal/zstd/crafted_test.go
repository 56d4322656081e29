package zstd

import (
	"bytes"
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// aFrame is a frame with a window descriptor and no size.
func aFrame(window byte, blocks ...byte) []byte {
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, window}, blocks...)
}

// single is a frame of one segment of size bytes, less than 256.
func single(size byte, blocks ...byte) []byte {
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 1 << 5, size}, blocks...)
}

func header(last bool, kind, size int) []byte {
	v := kind<<1 | size<<3
	if last {
		v |= 1
	}
	return []byte{byte(v), byte(v >> 8), byte(v >> 16)}
}

func raw(last bool, data string) []byte { return append(header(last, rawBlock, len(data)), data...) }

func rle(last bool, n int, value byte) []byte { return append(header(last, rleBlock, n), value) }

func compressed(last bool, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return append(header(last, compressedBlock, len(body)), body...)
}

// plainLiterals are less than 32.
func plainLiterals(s string) []byte { return append([]byte{byte(len(s)) << 3}, s...) }

// A bit field of a stream, in the order in which it is read.
type field struct{ value, n uint }

// backwards makes a stream that is read from its end.
func backwards(fields ...field) []byte {
	var all []bool // from the start of the stream
	slices.Reverse(fields)
	for _, f := range fields {
		for i := range f.n {
			all = append(all, f.value>>i&1 == 1)
		}
	}
	all = append(all, true)
	out := make([]byte, (len(all)+7)/8)
	for i, set := range all {
		if set {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return out
}

// sameCodes are n sequences with these codes, whose extra bits are in fields.
func sameCodes(n, literal, offset, match byte, fields ...field) []byte {
	return append([]byte{n, rleMode<<6 | rleMode<<4 | rleMode<<2, literal, offset, match}, backwards(fields...)...)
}

type craft struct {
	name string
	data []byte
	want string
	err  error // if it is refused
}

func crafted() []craft {
	letters := raw(false, "abcdefghij")
	after := func(blocks ...[]byte) []byte {
		return aFrame(0, append(slices.Clone(letters), slices.Concat(blocks...)...)...)
	}
	none := plainLiterals("")
	zero := []byte{0} // sequences
	huff := []byte{128, 0x10}
	return []craft{
		{name: "nothing"},
		{name: "an empty block", data: aFrame(0, raw(true, "")...)},
		{name: "a raw block", data: aFrame(0, raw(true, "abc")...), want: "abc"},
		{name: "an RLE block", data: aFrame(0, rle(true, 5, 'a')...), want: "aaaaa"},
		{name: "two frames", data: slices.Concat(single(2, raw(true, "ab")...), aFrame(0, raw(true, "c")...)), want: "abc"},
		{name: "frames to skip", data: slices.Concat([]byte{0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2}, single(1, raw(true, "a")...), []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}), want: "a"},
		{name: "a frame to skip, cut short", data: []byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1}, err: ErrFormat},
		{name: "a frame to skip, cut shorter", data: []byte{0x50, 0x2a, 0x4d, 0x18, 2}, err: ErrFormat},
		{name: "a checksum, which nobody compares", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 1 << 2, 0}, raw(true, "a"), []byte{1, 2, 3, 4}), want: "a"},
		{name: "a checksum cut short", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 1 << 2, 0}, raw(true, "a"), []byte{1, 2, 3}), err: ErrFormat},
		{name: "a size of two bytes", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 1 << 6, 0, 44, 0}, rle(true, 300, 'a')), want: string(bytes.Repeat([]byte("a"), 300))},
		{name: "a size of eight bytes", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 3 << 6, 0, 1, 0, 0, 0, 0, 0, 0, 0}, raw(true, "a")), want: "a"},
		{name: "a single segment larger than all", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 3<<6 | 1<<5, 1, 0, 0, 0, 0, 0, 0, 0x80}, raw(true, "a")), err: ErrUnsupported},
		{name: "a window larger than all", data: aFrame(0xff, raw(true, "a")...), err: ErrUnsupported},
		{name: "a dictionary", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 1, 0, 9}, raw(true, "a")), err: ErrUnsupported},
		{name: "dictionary 0, which is none", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 2, 0, 0, 0}, raw(true, "a")), want: "a"},
		{name: "garbage", data: []byte("garbage"), err: ErrFormat},
		{name: "trailing garbage", data: append(aFrame(0, raw(true, "a")...), 1, 2, 3, 4), want: "a", err: ErrFormat},
		{name: "trailing zero", data: append(aFrame(0, raw(true, "a")...), 0), want: "a", err: ErrFormat},
		{name: "a reserved bit", data: slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 1 << 3, 0}, raw(true, "a")), err: ErrFormat},
		{name: "a reserved block", data: aFrame(0, header(true, 3, 0)...), err: ErrFormat},
		{name: "longer than it says", data: single(2, raw(true, "abc")...), err: ErrFormat},
		{name: "longer than it says, repeated", data: single(2, rle(true, 3, 'a')...), err: ErrFormat},
		{name: "longer than it says, compressed", data: single(2, compressed(true, plainLiterals("abc"), zero)...), err: ErrFormat},
		{name: "shorter than it says", data: single(2, raw(true, "a")...), want: "a", err: ErrFormat},
		{name: "a block larger than the window", data: aFrame(0, rle(true, 1025, 'a')...), err: ErrFormat},
		{name: "a block of the window", data: aFrame(0, rle(true, 1024, 'a')...), want: string(bytes.Repeat([]byte("a"), 1024))},
		{name: "a raw block larger than the window", data: aFrame(0, raw(true, string(make([]byte, 1500)))...), err: ErrFormat},
		{name: "a compressed block larger than the window", data: aFrame(0, compressed(true, make([]byte, 1500))...), err: ErrFormat},
		{name: "an empty compressed block", data: aFrame(0, compressed(true)...), err: ErrFormat},
		{name: "no number of sequences", data: aFrame(0, compressed(true, plainLiterals("abc"))...), err: ErrFormat},
		{name: "literals alone", data: aFrame(0, compressed(true, plainLiterals("abc"), zero)...), want: "abc"},
		{name: "something after literals alone", data: aFrame(0, compressed(true, plainLiterals("abc"), zero, zero)...), err: ErrFormat},
		{name: "literals cut short", data: aFrame(0, compressed(true, []byte{4 << 3, 'a'})...), err: ErrFormat},
		{name: "many literals cut short", data: aFrame(0, compressed(true, []byte{rawLiterals | 1<<2, 64, 'a'})...), err: ErrFormat},
		{name: "RLE literals", data: aFrame(0, compressed(true, []byte{rleLiterals | 9<<3, 'a'}, zero)...), want: "aaaaaaaaa"},
		{name: "RLE literals, size of 12 bits", data: aFrame(0, compressed(true, []byte{rleLiterals | 1<<2 | 4<<4, 0, 'a'}, zero)...), want: "aaaa"},
		{name: "RLE literals, size of 20 bits", data: aFrame(0, compressed(true, []byte{rleLiterals | 3<<2 | 4<<4, 0, 0, 'a'}, zero)...), want: "aaaa"},
		{name: "RLE literals, more than a block", data: aFrame(0, compressed(true, []byte{rleLiterals | 3<<2 | 0xf0, 0xff, 0xff, 'a'}, zero)...), err: ErrFormat},
		{name: "treeless literals without a tree", data: aFrame(0, compressed(true, []byte{treelessLiterals | 1<<4, 0x40, 0, 1}, zero)...), err: ErrFormat},
		{name: "literals in one stream", data: aFrame(0, compressed(true, coded(codedLiterals, 4, huff, backwards(field{0, 1}, field{1, 1}, field{1, 1}, field{0, 1})), zero)...), want: "\x00\x01\x01\x00"},
		{name: "and treeless ones after them", data: aFrame(0, slices.Concat(compressed(false, coded(codedLiterals, 1, huff, backwards(field{0, 1})), zero),
			compressed(true, coded(treelessLiterals, 2, nil, backwards(field{1, 1}, field{0, 1})), zero))...), want: "\x00\x01\x00"},
		{name: "a tree is good for its frame", data: slices.Concat(aFrame(0, compressed(true, coded(codedLiterals, 1, huff, backwards(field{0, 1})), zero)...),
			aFrame(0, compressed(true, coded(treelessLiterals, 1, nil, backwards(field{1, 1})), zero)...)), want: "\x00", err: ErrFormat},
		{name: "codes left over", data: aFrame(0, compressed(true, coded(codedLiterals, 1, huff, backwards(field{0, 1}, field{0, 1})), zero)...), err: ErrFormat},
		{name: "codes cut short", data: aFrame(0, compressed(true, coded(codedLiterals, 2, huff, backwards(field{0, 1})), zero)...), err: ErrFormat},
		{name: "a stream without an end", data: aFrame(0, compressed(true, coded(codedLiterals, 1, huff, []byte{0}), zero)...), err: ErrFormat},
		{name: "four streams cut short", data: aFrame(0, compressed(true, []byte{codedLiterals | 1<<2 | 8<<4, 0, 1, 128, 0x10, 1, 0}, zero)...), err: ErrFormat},
		{name: "weights that are not whole", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{130, 0x33, 0x10}, backwards(field{0, 1})), zero)...), err: ErrFormat},
		{name: "weights that are no power of two", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{133, 0x11, 0x11, 0x13}, backwards(field{0, 4})), zero)...), err: ErrFormat},
		{name: "eight literals in four streams", data: aFrame(0, compressed(true, inFour(8, huff, backwards(field{1, 1}, field{0, 1})), zero)...), want: "\x01\x00\x01\x00\x01\x00\x01\x00"},
		{name: "five literals in four streams", data: aFrame(0, compressed(true, inFour(5, huff, backwards(field{1, 1}, field{0, 1})), zero)...), err: ErrFormat},
		{name: "no weights", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{128, 0}, backwards(field{0, 1})), zero)...), err: ErrFormat},
		{name: "a weight too large", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{128, 0xc0}, backwards(field{0, 1})), zero)...), err: ErrFormat},
		{name: "no table", data: aFrame(0, compressed(true, coded(codedLiterals, 1, nil, nil), zero)...), err: ErrFormat},
		{name: "a table cut short", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{129}, nil), zero)...), err: ErrFormat},
		{name: "coded weights cut short", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{3, 0xf0, 3, 1}, nil), zero)...), err: ErrFormat},
		{name: "coded weights without end", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{4, 0xf0, 3}, backwards(field{0, 10})), zero)...), err: ErrFormat},
		{name: "no longest code", data: aFrame(0, compressed(true, coded(codedLiterals, 1, []byte{128, 0x20}, backwards(field{0, 1})), zero)...), err: ErrFormat},

		{name: "the last offset", data: after(compressed(true, plainLiterals("X"), sameCodes(1, 1, 0, 0))), want: "abcdefghijXXXX"},
		{name: "the one before", data: after(compressed(true, plainLiterals("X"), sameCodes(1, 1, 1, 0, field{0, 1}))), want: "abcdefghijXhij"},
		{name: "the third", data: after(compressed(true, plainLiterals("X"), sameCodes(1, 1, 1, 0, field{1, 1}))), want: "abcdefghijXdef"},
		{name: "without literals, the one before", data: after(compressed(true, none, sameCodes(1, 0, 0, 0))), want: "abcdefghijghi"},
		{name: "without literals, the third", data: after(compressed(true, none, sameCodes(1, 0, 1, 0, field{0, 1}))), want: "abcdefghijcde"},
		{name: "without literals, the last less 1, which is 0", data: after(compressed(true, none, sameCodes(1, 0, 1, 0, field{1, 1}))), want: "abcdefghij", err: ErrFormat},
		{name: "turned twice", data: after(compressed(true, none, sameCodes(2, 0, 0, 0))), want: "abcdefghijghiiii"},
		{name: "kept for the next block", data: after(compressed(false, none, sameCodes(1, 0, 0, 0)), compressed(true, plainLiterals("X"), sameCodes(1, 1, 0, 0))), want: "abcdefghijghiXghi"},
		{name: "the last less 1", data: after(compressed(false, none, sameCodes(1, 0, 2, 0, field{3, 2})), compressed(true, none, sameCodes(1, 0, 1, 0, field{1, 1}))), want: "abcdefghijghighi"},
		{name: "an offset of all there is", data: after(compressed(true, none, sameCodes(1, 0, 3, 0, field{5, 3}))), want: "abcdefghijabc"},
		{name: "an offset of more", data: after(compressed(true, none, sameCodes(1, 0, 3, 0, field{6, 3}))), want: "abcdefghij", err: ErrFormat},
		{name: "an offset of more than was in the frame", data: append(aFrame(0, raw(true, "abc")...), after(compressed(true, none, sameCodes(1, 0, 3, 0, field{6, 3})))...), want: "abcabcdefghij", err: ErrFormat},
		{name: "a far offset of more than was in the frame", data: append(aFrame(0, rle(true, 100, 'a')...), aFrame(0, slices.Concat(rle(false, 20, 'b'), compressed(true, none, sameCodes(1, 0, 4, 0, field{8, 4})))...)...),
			want: string(bytes.Repeat([]byte("a"), 100)) + string(bytes.Repeat([]byte("b"), 20)), err: ErrFormat},
		{name: "offset of the window", data: aFrame(0, slices.Concat(rle(false, 1024, 'a'), raw(false, "b"), compressed(true, none, sameCodes(1, 0, 10, 0, field{3, 10})))...), want: string(bytes.Repeat([]byte("a"), 1024)) + "baaa"},
		{name: "offset of more than the window", data: aFrame(0, slices.Concat(rle(false, 1024, 'a'), raw(false, "b"), compressed(true, none, sameCodes(1, 0, 10, 0, field{4, 10})))...), want: string(bytes.Repeat([]byte("a"), 1024)) + "b", err: ErrFormat},
		{name: "offset beyond the largest window", data: after(compressed(true, none, sameCodes(1, 0, 31, 0, field{0, 31}))), want: "abcdefghij", err: ErrFormat},
		{name: "a long match", data: after(compressed(true, none, sameCodes(1, 0, 0, 40, field{5, 4}))), want: "abcdefghij" + string(bytes.Repeat([]byte("ghij"), 18))[:72]},
		{name: "a match longer than a block", data: after(compressed(true, none, sameCodes(1, 0, 0, 52, field{0, 16}))), want: "abcdefghij", err: ErrFormat},
		{name: "literals that are not there", data: after(compressed(true, plainLiterals("X"), sameCodes(1, 2, 0, 0))), want: "abcdefghij", err: ErrFormat},
		{name: "literals left over", data: after(compressed(true, plainLiterals("XY"), sameCodes(1, 1, 0, 0))), want: "abcdefghijXXXXY"},
		{name: "literals left over, more than the frame has", data: single(5, compressed(true, plainLiterals("XYZ"), sameCodes(1, 1, 0, 0))...), err: ErrFormat},
		{name: "a match after the frame", data: single(3, compressed(true, plainLiterals("X"), sameCodes(1, 1, 0, 0))...), err: ErrFormat},
		{name: "bits left over", data: after(compressed(true, plainLiterals("X"), sameCodes(1, 1, 0, 0, field{0, 3}))), want: "abcdefghij", err: ErrFormat},
		{name: "bits that are not there", data: after(compressed(true, none, sameCodes(1, 0, 3, 0, field{5, 2}))), want: "abcdefghij", err: ErrFormat},
		{name: "a code that is not there", data: after(compressed(true, none, sameCodes(1, 36, 0, 0))), want: "abcdefghij", err: ErrFormat},
		{name: "a table of no earlier block", data: after(compressed(true, none, []byte{1, repeatMode << 6, 1})), want: "abcdefghij", err: ErrFormat},
		{name: "tables of the block before", data: after(compressed(false, plainLiterals("X"), sameCodes(1, 1, 0, 0)), compressed(true, plainLiterals("Y"), []byte{1, repeatMode<<6 | repeatMode<<4 | repeatMode<<2, 1})), want: "abcdefghijXXXXYYYY"},
		{name: "reserved bits of sequences", data: after(compressed(true, plainLiterals("X"), []byte{1, rleMode<<6 | rleMode<<4 | rleMode<<2 | 1, 1, 0, 0, 1})), want: "abcdefghij", err: ErrFormat},
		{name: "no sequences, in two bytes", data: aFrame(0, compressed(true, plainLiterals("abc"), []byte{128, 0})...), want: "abc"},
		{name: "one sequence, in two bytes", data: after(compressed(true, plainLiterals("X"), append([]byte{128}, sameCodes(1, 1, 0, 0)...))), want: "abcdefghijXXXX"},
		{name: "a number of sequences cut short", data: aFrame(0, compressed(true, none, []byte{255, 1})...), err: ErrFormat},
		{name: "sequences cut short", data: aFrame(0, compressed(true, none, []byte{1})...), err: ErrFormat},
		{name: "the states cut short", data: aFrame(0, compressed(true, none, []byte{1, 0, 1})...), err: ErrFormat},
		{name: "more sequences than there are", data: after(compressed(true, plainLiterals("X"), sameCodes(255, 1, 0, 0))), want: "abcdefghij", err: ErrFormat},
		{name: "an FSE table with too many states", data: after(compressed(true, none, []byte{1, describedMode << 6, 15, 0, 0, 0, 1})), want: "abcdefghij", err: ErrFormat},
		{name: "an FSE table with twice as many states as there may be", data: after(compressed(true, none, []byte{1, describedMode << 6, 0xf5, 0xff, 0, 0, 0, 1})), want: "abcdefghij", err: ErrFormat},
		{name: "an FSE table with too many symbols", data: after(compressed(true, none, []byte{1, describedMode << 6, 0x10, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 1})), want: "abcdefghij", err: ErrFormat},
		{name: "an FSE table cut short", data: after(compressed(true, none, []byte{1, describedMode << 6, 0})), want: "abcdefghij", err: ErrFormat},
	}
}

// coded are less than 1024 literals in one stream.
func coded(kind, n int, table, stream []byte) []byte {
	body := append(slices.Clone(table), stream...)
	v := kind | n<<4 | len(body)<<14
	return append([]byte{byte(v), byte(v >> 8), byte(v >> 16)}, body...)
}

// inFour are n literals in four streams that are alike.
func inFour(n int, table, stream []byte) []byte {
	size := byte(len(stream))
	jump := []byte{size, 0, size, 0, size, 0}
	out := coded(codedLiterals, n, append(slices.Clone(table), jump...), bytes.Repeat(stream, 4))
	out[0] |= 1 << 2
	return out
}

// Matches reach back a whole window, lap after lap of the buffer.
func TestLaps(t *testing.T) {
	for _, code := range []byte{10, 13, 17, 20} {
		window := 1 << code
		data, want := aFrame((code-10)<<3), []byte(nil)
		random := rand.New(rand.NewPCG(1, uint64(code)))
		for i := 0; len(want) < min(40*window, 7<<20); i++ {
			part := make([]byte, 1+random.IntN(min(window, 3000)))
			for j := range part {
				part[j] = byte(random.Uint32())
			}
			data, want = append(data, raw(false, string(part))...), append(want, part...)
			if len(want) < window {
				continue
			}
			data = append(data, compressed(false, plainLiterals(""), sameCodes(1, 0, code, byte(i%32), field{3, uint(code)}))...)
			for range 3 + i%32 {
				want = append(want, want[len(want)-window])
			}
		}
		got, err := decoded(bytes.NewReader(append(data, raw(true, "")...)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("window %d: %d bytes of %d, %v", window, len(got), len(want), err)
		}
	}
}

// Matches of all lengths that may overlap themselves or the copies' pieces.
func TestOverlaps(t *testing.T) {
	for offset := range 70 {
		offset++
		want := make([]byte, offset)
		for i := range want {
			want[i] = byte(i)
		}
		code := bits.Len(uint(offset+3)) - 1
		back := field{uint(offset + 3 - 1<<code), uint(code)}
		for match := range byte(32) {
			long := 3 + int(match)
			want, data := slices.Clone(want), aFrame(0, raw(false, string(want))...)
			for range long + 67 {
				want = append(want, want[len(want)-offset])
			}
			data = append(data, compressed(false, plainLiterals(""), sameCodes(1, 0, byte(code), match, back))...)
			data = append(data, compressed(true, plainLiterals(""), sameCodes(1, 0, byte(code), 40, back, field{0, 4}))...)
			if got, err := decoded(bytes.NewReader(data)); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes back, %d long: %v, %v; want %v", offset, long, got, err, want)
			}
		}
	}
}

func TestCrafted(t *testing.T) {
	for _, c := range crafted() {
		got, err := decoded(bytes.NewReader(c.data))
		if string(got) != c.want || !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, err, c.want, c.err)
		}
		for n := 1; n < len(c.data) && c.err == nil; n++ {
			if _, err := decoded(bytes.NewReader(c.data[:n])); err != nil && !errors.Is(err, ErrFormat) {
				t.Errorf("%s, %d bytes of it: %v", c.name, n, err)
			}
		}
	}
}

// state is the first one of the table that means what code does.
func state(k *kind, code int) uint {
	for i, c := range k.predefined.cells[:1<<k.predefined.log] {
		if c.base() == k.values[code].base() && uint8(c) == uint8(k.values[code]) {
			return uint(i)
		}
	}
	panic("no state has that code")
}

// A sequence can take more bits than are in one load: 20, 16 and 12 for the values, 17 for the states.
func TestLongSequences(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	data, want := aFrame(11<<3), []byte(nil)
	for len(want) < 1_200_000 {
		part := make([]byte, largestBlock)
		for i := range part {
			part[i] = byte(random.Uint32())
		}
		data, want = append(data, raw(false, string(part))...), append(want, part...)
	}
	k := codes()
	const literals, first, match, offset = 5000, 4096 + 5, 65539 + 77, 1<<20 + 1000 - 3
	stream := backwards(
		field{state(&k.literal, 31), 6}, field{state(&k.offset, 20), 5}, field{state(&k.match, 52), 6},
		field{1000, 20}, field{77, 16}, field{5, 12},
		field{state(&k.literal, 1), 6}, field{state(&k.match, 0), 6}, field{state(&k.offset, 2), 5},
		field{3, 2},
	)
	data = append(data, compressed(true, []byte{rleLiterals | 3<<2 | literals&15<<4, literals >> 4 & 0xff, literals >> 12, 'L'}, append([]byte{2, 0}, stream...))...)
	want = append(want, bytes.Repeat([]byte("L"), first)...)
	for range match {
		want = append(want, want[len(want)-offset])
	}
	want = append(want, 'L')
	for range 3 {
		want = append(want, want[len(want)-4])
	}
	want = append(want, bytes.Repeat([]byte("L"), literals-first-1)...)
	if got, err := decoded(bytes.NewReader(data)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}
