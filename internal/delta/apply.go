package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"runtime/debug"
	"strconv"
)

// Magic begins every delta. Its last byte is the version of the format.
const Magic = "GD\x01"

// checkSize is how much of a file's SHA-256 is in a patch: enough to notice a mistake, not to stop somebody.
const checkSize = 4

// A header is what stands before the range coded body.
type header struct {
	newSize          uint64
	oldHash, newHash [checkSize]byte
}

func newHeader(old, fresh []byte) *header {
	a, b := sha256.Sum256(old), sha256.Sum256(fresh)
	return &header{uint64(len(fresh)), [checkSize]byte(a[:]), [checkSize]byte(b[:])}
}

func (h *header) bytes() []byte {
	b := binary.AppendUvarint([]byte(Magic), h.newSize)
	b = append(b, h.oldHash[:]...)
	return append(b, h.newHash[:]...)
}

func parseHeader(patch []byte) (h header, body []byte, err error) {
	b, ok := bytes.CutPrefix(patch, []byte(Magic))
	if !ok {
		return h, nil, formatError("it does not begin as one of this version")
	}
	var n int
	if h.newSize, n = uvarint(b); n <= 0 || len(b) < n+2*checkSize || n > 1 && b[n-1] == 0 {
		return h, nil, formatError("the header makes no sense")
	}
	copy(h.oldHash[:], b[n:])
	copy(h.newHash[:], b[n+checkSize:])
	if h.newSize > maxFile {
		return h, nil, limitError("a file of more than %d bytes", int64(maxFile))
	}
	return h, b[n+2*checkSize:], nil
}

// Files names a delta's two files, as somebody says who is trusted, such as a signed release.
type Files struct {
	Old, New [sha256.Size]byte // SHA-256
	Size     int64             // of the new file, in bytes
}

// NewFiles takes the SHA-256 in hex. What is none names no file.
func NewFiles(old, fresh string, size int64) Files {
	return Files{hashOf(old), hashOf(fresh), size}
}

func hashOf(digits string) (sum [sha256.Size]byte) {
	if len(digits) != 2*len(sum) {
		return sum
	}
	for i := range sum {
		b, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		if err != nil {
			return [sha256.Size]byte{}
		}
		sum[i] = byte(b)
	}
	return sum
}

// Fits tells whether a patch claims to be for these files.
//
// Errors: ErrFormat, ErrBase and ErrLimit.
func (f Files) Fits(patch []byte) error {
	h, _, err := parseHeader(patch)
	if err != nil {
		return err
	}
	return f.fits(h)
}

func (f Files) fits(h header) error {
	if h.oldHash != [checkSize]byte(f.Old[:]) {
		return ErrBase
	}
	if h.newHash != [checkSize]byte(f.New[:]) || int64(h.newSize) != f.Size {
		return formatError("it is for another new file")
	}
	return nil
}

// Apply writes the new file that patch makes of old to w, at most files.Size bytes. Old and patch may be
// mapped files: they are only read, and a fault while reading is an error. When Apply returns nil,
// what was written is the new file that was named; on an error, it is worthless.
//
// Beyond old and patch it needs no more than 64 MB of memory, whatever the patch holds.
//
// Errors: ErrBase if old is not the file that was named, or the patch is for another, ErrFormat, ErrLimit, and those of w.
func Apply(w io.Writer, old, patch []byte, files Files) error {
	made, err := guarded(w, old, patch, func(h header, sum [sha256.Size]byte) error {
		if sum != files.Old {
			return ErrBase
		}
		return files.fits(h)
	})
	if err == nil && made.New != files.New {
		err = errResult
	}
	return err
}

// ApplyAlone is Apply for a patch that nobody vouches for. It goes by the first 4 bytes of the files' hashes, which the
// patch holds: that finds damage and mix-ups, but anybody can make a patch that makes anything. It writes at
// most limit bytes, and returns what the files are.
//
// Errors: as those of Apply.
func ApplyAlone(w io.Writer, old, patch []byte, limit int64) (Files, error) {
	return guarded(w, old, patch, alone(limit))
}

// A check says whether a patch is for an old file, before anything else is read of either.
type check func(h header, old [sha256.Size]byte) error

func alone(limit int64) check {
	return func(h header, old [sha256.Size]byte) error {
		if h.oldHash != [checkSize]byte(old[:]) {
			return ErrBase
		}
		if limit < 0 || h.newSize > uint64(limit) {
			return limitError("the new file has %d bytes, more than %d", h.newSize, limit)
		}
		return nil
	}
}

func guarded(w io.Writer, old, patch []byte, fits check) (files Files, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = formatError("%v", r) // no input is known that leads here
		}
	}()
	return apply(w, old, patch, fits)
}

func apply(w io.Writer, old, patch []byte, fits check) (files Files, err error) {
	h, body, err := parseHeader(patch)
	if err != nil {
		return files, err
	}
	files = Files{Old: sha256.Sum256(old), Size: int64(h.newSize)}
	if err := fits(h, files.Old); err != nil {
		return files, err
	}
	out, err := decode(w, old, body, h.newSize)
	if err != nil {
		return files, err
	}
	files.New = out.hash()
	if h.newHash != [checkSize]byte(files.New[:]) {
		return files, errResult
	}
	return files, nil
}

var errResult = formatError("the result is not the new file")

// decode writes what body makes of old.
func decode(w io.Writer, old, body []byte, size uint64) (*output, error) {
	c := newDecoder(body)
	p, err := codePlan(c, old, &plan{}, size)
	if err != nil {
		return nil, err
	}
	r := newResidual(c, p, old)
	out := newOutput(w, p.generated, size)
	pack := &packer{sections: p.packed, out: out}
	if err := r.decode(p.size, pack); err != nil {
		return nil, err
	}
	if r.repeats != nil && r.repeats.left > 0 {
		return nil, formatError("more insertions than places for them")
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return out, out.end()
}
