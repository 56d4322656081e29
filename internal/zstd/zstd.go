// Package zstd decodes Zstandard, RFC 8878, from untrusted sources and in little memory.
//
// It knows no dictionaries, refuses windows larger than it is told, and skips checksums: everything that an
// update decodes is compared with a signed or published SHA-256, of which XXH64 would only be a
// weaker copy. All else is decoded as the format says, and nothing is repaired: what the format calls corrupted
// is refused.
package zstd

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrFormat is wrapped by the error for anything that is not a whole, well-formed sequence of frames.
	ErrFormat = errors.New("malformed zstd")

	// ErrUnsupported is wrapped by the error for a window larger than is allowed, and for a dictionary.
	ErrUnsupported = errors.New("unsupported zstd")
)

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

// A Reader decodes frames. Its memory is the window of the frame and at most 1 MiB more.
type Reader struct {
	src io.Reader
	max int // largest window, bytes
	err error

	frame frame
	block block
	past  history
	piece []byte // what Read has not handed on
}

// NewReader decodes what src holds up to its end: frames one after another, none at all for an empty src.
// A frame is refused if its window has more than max bytes, or more than 16 MiB.
//
// Src is asked for exactly what is needed next, in pieces of up to 128 KiB.
func NewReader(src io.Reader, max int) *Reader {
	return &Reader{src: src, max: min(max, largestWindow)}
}

// Next returns the bytes that follow, up to 256 KiB and at least one. They stay as they are until the next call. The error is io.EOF at the end,
// one of src as it is, or wraps ErrFormat or ErrUnsupported.
func (r *Reader) Next() (piece []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.err = formatError("%v", p) // no input is known that leads here
			piece, err = nil, r.err
		}
	}()
	return r.next()
}

// next decodes blocks until there is enough to hand on. An error is told when what came before it is gone.
func (r *Reader) next() ([]byte, error) {
	for r.err == nil && r.past.made() <= r.frame.most {
		ended := !r.frame.open || !r.past.fits(r.frame.room())
		if ended && r.past.made() > 0 {
			break
		}
		if !r.frame.open {
			r.err = r.beginFrame()
			continue
		}
		if ended {
			r.past.wrap()
		}
		r.err = r.decodeBlock()
	}
	if piece := r.past.handOn(); len(piece) > 0 {
		return piece, nil
	}
	return nil, r.err
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (n int, err error) {
	if len(r.piece) == 0 {
		if r.piece, err = r.Next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// fill reads all of p, which the format says is there.
func (r *Reader) fill(p []byte) error {
	_, err := io.ReadFull(r.src, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return formatError("%w", io.ErrUnexpectedEOF)
	}
	return err
}
