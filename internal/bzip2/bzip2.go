// Package bzip2 decodes bzip2, as compress/bzip2 does, in a third of the bytes that the
// latter adds to a program, most of which are two sorts.
//
// A file is one stream or several, one after the other, as parallel compressors write them:
//
//	"BZh" and a digit: blocks hold at most that many 100,000 bytes
//	blocks: 48 bits blockMagic, 32 bits checksum, content
//	48 bits endMagic, 32 bits checksum of all blocks' checksums, zeros to the next whole byte
//
// A block's content is, as the decoder meets it: Huffman codes, of numbers that say how far
// in front a byte was last (move to front) or how often the first is repeated, of the last
// column of the sorted rotations (Burrows and Wheeler), of bytes in which a count follows four equal ones.
package bzip2

import (
	"errors"
	"io"
)

// ErrCorrupt: the data is not bzip2, damaged, or goes on after its end.
var ErrCorrupt = errors.New("corrupt bzip2 data")

const (
	blockMagic = 0x314159265359
	endMagic   = 0x177245385090
	levelBytes = 100_000
)

// Reader decodes. It needs 4 bytes of memory for each of a block.
type Reader struct {
	bits    bitReader
	streams int // that have begun
	inside  bool
	block   block
	sum     uint32 // of the stream's blocks
	err     error
}

// NewReader returns a reader of what r holds. It reads r ahead, in pieces of 4 KB.
//
// Its errors: ErrCorrupt, io.ErrUnexpectedEOF, and r's.
func NewReader(r io.Reader) *Reader { return &Reader{bits: bitReader{r: r}} }

func (r *Reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && r.err == nil {
		done := r.block.read(p[n:])
		n += done
		if done == 0 {
			r.err = r.next()
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// next goes on to the next block, over the end of a stream where there is one. io.EOF says that there is none.
func (r *Reader) next() error {
	if r.inside && !r.block.intact() {
		return ErrCorrupt
	}
	if !r.inside {
		if err := r.begin(); err != nil {
			return err
		}
	}
	magic, sum := r.bits.read(24)<<24|r.bits.read(24), uint32(r.bits.read(32))
	switch {
	case r.bits.err != nil:
		return r.bits.err
	case magic == blockMagic:
		r.sum = (r.sum<<1 | r.sum>>31) ^ sum
		return r.block.begin(&r.bits, sum)
	case magic == endMagic && sum == r.sum:
		r.bits.align()
		r.inside = false
		return nil
	}
	return ErrCorrupt
}

// begin reads the head of a stream. After the first, the file may also end.
func (r *Reader) begin() error {
	if r.streams > 0 && r.bits.atEnd() {
		return io.EOF
	}
	magic, level := r.bits.read(24), r.bits.read(8)
	if r.bits.err != nil {
		return r.bits.err
	}
	if magic != 'B'<<16|'Z'<<8|'h' || level < '1' || level > '9' {
		return ErrCorrupt
	}
	r.streams, r.inside, r.sum = r.streams+1, true, 0
	r.block = block{column: make([]uint32, 0, int(level-'0')*levelBytes)}
	return nil
}
