package zstd

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	frameMagic     = 0xFD2FB528
	skippableMagic = 0x184D2A50 // and the 15 after it

	largestBlock  = 128 << 10
	smallestFrame = 1 << 10 // bytes, of a window
	largestWindow = 16 << 20
)

// A frame is what its header says, and how far it was decoded.
type frame struct {
	open     bool
	window   int // bytes that a match may lie back
	most     int // bytes of a block
	decoded  int64
	sized    bool
	left     uint64 // bytes to decode, if sized
	checksum bool
	next     blockHeader
}

// room is how many bytes the next block may have.
func (f *frame) room() int {
	if f.sized && f.left < uint64(f.most) {
		return int(f.left)
	}
	return f.most
}

// beginFrame reads up to the header of the first block.
func (r *Reader) beginFrame() error {
	var b [18]byte
	if _, err := io.ReadFull(r.src, b[:4]); err == io.EOF {
		return err
	} else if err == io.ErrUnexpectedEOF {
		return formatError("%w", err)
	} else if err != nil {
		return err
	}
	magic := binary.LittleEndian.Uint32(b[:])
	if magic&^15 == skippableMagic {
		return r.skipFrame()
	}
	if magic != frameMagic {
		return formatError("no frame begins with %08x", magic)
	}
	if err := r.fill(b[:1]); err != nil {
		return err
	}
	described := b[0]
	if described&(1<<3) != 0 {
		return formatError("a reserved bit of a frame is set")
	}
	single := described >> 5 & 1
	idSize := int([4]uint8{0, 1, 2, 4}[described&3])
	sizeSize := int([4]uint8{single, 2, 4, 8}[described>>6])
	n := 1 - int(single) + idSize + sizeSize
	if err := r.fill(b[:n+blockHeaderSize]); err != nil {
		return err
	}
	f := frame{open: true, checksum: described&(1<<2) != 0, sized: sizeSize > 0, next: parseBlockHeader(b[n:])}
	header := b[:n]
	var window uint64
	if single == 0 {
		window = 1 << (10 + header[0]>>3)
		window += window / 8 * uint64(header[0]&7)
		header = header[1:]
	}
	if number(header[:idSize]) != 0 {
		return fmt.Errorf("%w: a dictionary is needed", ErrUnsupported)
	}
	if f.sized {
		f.left = number(header[idSize:])
		if sizeSize == 2 {
			f.left += 256
		}
	}
	if single == 1 {
		window = f.left
	}
	return r.openFrame(f, max(window, smallestFrame))
}

// number is a little-endian number of up to 8 bytes.
func number(b []byte) uint64 {
	var all [8]byte
	copy(all[:], b)
	return binary.LittleEndian.Uint64(all[:])
}

// openFrame makes what the frame needs to be decoded.
func (r *Reader) openFrame(f frame, window uint64) error {
	if window > uint64(r.max) {
		return fmt.Errorf("%w: a window of %d bytes, more than %d", ErrUnsupported, window, r.max)
	}
	f.window = int(window)
	f.most = min(f.window, largestBlock)
	keep := f.window
	if f.sized && f.left < window {
		keep = int(f.left)
	}
	r.frame = f
	r.block.prepare(f.most)
	r.past.prepare(keep, f.most)
	return nil
}

func (r *Reader) skipFrame() error {
	var b [4]byte
	if err := r.fill(b[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, r.src, int64(binary.LittleEndian.Uint32(b[:])))
	if err == io.EOF {
		return formatError("%w", io.ErrUnexpectedEOF)
	}
	return err
}
