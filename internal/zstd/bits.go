package zstd

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// margin is how many bytes stand before and after what a bit stream or a copy works on. They are read and
// written freely, so that inner loops move 8 or 16 bytes at a time and look at bounds once.
const margin = 32

// load returns the bits of a stream before the bit pos, the next one on top; 56 are valid.
// A slice with all three bounds is checked once, and its address comes without detours.
func load(s []byte, pos uint) uint64 {
	i := pos >> 3
	return turned(binary.LittleEndian.Uint64(s[i:i+8:i+8]), pos)
}

// loadAt is load where the caller has made sure that the 8 bytes at pos/8 are there.
func loadAt(s unsafe.Pointer, pos uint) uint64 {
	return turned(binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(s, pos>>3))[:]), pos)
}

func turned(v uint64, pos uint) uint64 { return bits.RotateLeft64(v>>(pos&7), 8) }

// top returns the n upper bits of v, n being less than 64.
func top(v, n uint64) uint64 { return v >> 1 >> (^n & 63) }

// A backward is a bit stream that is read from its end: sequences and all that is coded by Huffman and FSE.
type backward struct {
	data []byte // margin bytes, and the stream
	pos  uint   // of the bit after the next one, from the start of data, less ahead
}

const (
	ahead  = 7 * 8            // bits that lie in the bytes before the one with the next bit, in what is loaded at once
	origin = 8*margin - ahead // pos when all is read
)

// backwardAt is the stream in buf[from:to]. Its last byte marks the end with its highest bit.
func backwardAt(buf []byte, from, to int) (backward, error) {
	if from >= to || buf[to-1] == 0 {
		return backward{}, formatError("a bit stream without an end")
	}
	b := backward{data: buf[from-margin : to]}
	b.pos = uint(8*len(b.data)-9-ahead) + uint(bits.Len8(buf[to-1]))
	return b, nil
}

// take reads n bits, 56 at most. Past the start it fails, and reads whatever is there.
// It is not for inner loops, and inlined it would cost each program a kilobyte.
//
//go:noinline
func (b *backward) take(n uint) (value uint64, ok bool) {
	if b.pos < origin+n {
		return 0, false
	}
	value = top(load(b.data, b.pos), uint64(n))
	b.pos -= n
	return value, true
}

// A forward is a bit stream that is read from its start: the description of an FSE table.
type forward struct {
	data []byte
	pos  uint
}

// peek returns the next n bits, 16 at most, with zeros past the end.
func (f *forward) peek(n uint) uint {
	var b [4]byte
	if at := f.pos >> 3; at < uint(len(f.data)) {
		copy(b[:], f.data[at:])
	}
	return uint(binary.LittleEndian.Uint32(b[:])>>(f.pos&7)) & (1<<n - 1)
}

func (f *forward) take(n uint) uint {
	v := f.peek(n)
	f.pos += n
	return v
}

// bytes is how many bytes were read, the last one in part.
func (f *forward) bytes() int { return int(f.pos+7) >> 3 }
