package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"runtime/debug"

	"github.com/klauspost/compress/zstd"
)

// Magic begins every delta. Its last byte is the version of the format.
const Magic = "GoDELTA\x01"

// A header is what stands before the range coded body.
type header struct {
	oldSize, newSize uint64
	oldHash, newHash [sha256.Size]byte
}

const headerSize = len(Magic) + 8 + 8 + 2*sha256.Size

func (h *header) bytes() []byte {
	b := append([]byte(nil), Magic...)
	b = binary.LittleEndian.AppendUint64(b, h.oldSize)
	b = binary.LittleEndian.AppendUint64(b, h.newSize)
	b = append(b, h.oldHash[:]...)
	return append(b, h.newHash[:]...)
}

func parseHeader(patch []byte) (h header, body []byte, err error) {
	if len(patch) < headerSize || !bytes.HasPrefix(patch, []byte(Magic)) {
		return h, nil, formatError("it does not begin as one of this version")
	}
	b := patch[len(Magic):]
	h.oldSize, h.newSize = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	copy(h.oldHash[:], b[16:])
	copy(h.newHash[:], b[16+sha256.Size:])
	if h.oldSize > maxFile || h.newSize > maxFile {
		return h, nil, limitError("files of more than %d bytes", int64(maxFile))
	}
	return h, patch[headerSize:], nil
}

// A Header is what a patch says of the files, unverified.
type Header struct {
	OldSize, NewSize int64 // bytes
	OldHash, NewHash [sha256.Size]byte
}

// ReadHeader returns what a patch applies to and what it makes, as it claims.
//
// Errors: ErrFormat, ErrLimit.
func ReadHeader(patch []byte) (Header, error) {
	h, _, err := parseHeader(patch)
	return Header{int64(h.oldSize), int64(h.newSize), h.oldHash, h.newHash}, err
}

// Apply writes the new file that patch makes of old to w, at most limit bytes. Old may be a mapped
// file: it is only read, and a fault while reading is an error. When Apply returns nil, what was
// written has the hash that the patch names; on an error, what was written is worthless.
//
// Beyond old and patch it needs 27 MB of memory for a program of 15 MB and 35 MB for one of 58 MB, and
// no more than 100 MB if the patch is hostile.
//
// Errors: ErrBase if old is not the patch's base, ErrFormat, ErrLimit, and those of w.
func Apply(w io.Writer, old, patch []byte, limit int64) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = formatError("%v", r) // no input is known that leads here
		}
	}()
	return apply(w, old, patch, limit)
}

func apply(w io.Writer, old, patch []byte, limit int64) error {
	h, body, err := parseHeader(patch)
	if err != nil {
		return err
	}
	if h.oldSize != uint64(len(old)) || h.oldHash != sha256.Sum256(old) {
		return ErrBase
	}
	if limit < 0 || h.newSize > uint64(limit) {
		return limitError("the new file has %d bytes, more than %d", h.newSize, limit)
	}
	c, err := newDecoder(body)
	if err != nil {
		return err
	}
	p, err := codePlan(c, old, &plan{}, h.newSize)
	if err != nil {
		return err
	}
	r := newResidual(c, p.source(old), newGuesser(p), budget(h.newSize))
	if p.stored > 0 {
		z, err := openStored(c, p.stored)
		if err != nil {
			return err
		}
		defer z.Close()
		r.stored = z
	}
	out := newOutput(w, p.generated, h.newSize)
	if err := r.decode(p.size, out.Write); err != nil {
		return err
	}
	if n, _ := atEnd(r.stored); n > 0 {
		return formatError("more insertions than places for them")
	}
	if err := c.end(); err != nil {
		return err
	}
	return out.end(h.newHash)
}

// maxWindow bounds the memory of the zstd decoder.
const maxWindow = 8 << 20

// openStored takes the zstd stream of the insertions, n bytes, from the end of the decoder's input.
func openStored(c *coder, n uint64) (*zstd.Decoder, error) {
	if n > uint64(len(c.in)) {
		return nil, formatError("insertions longer than the patch")
	}
	cut := uint64(len(c.in)) - n
	stream := c.in[cut:]
	c.in = c.in[:cut]
	z, err := zstd.NewReader(bytes.NewReader(stream), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, formatError("the insertions: %v", err)
	}
	return z, nil
}

// atEnd tells how much more there is to read, at most 1.
func atEnd(r io.Reader) (int, error) {
	if r == nil {
		return 0, nil
	}
	var b [1]byte
	return io.ReadFull(r, b[:])
}
