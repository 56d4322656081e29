package updater

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/choria-io/go-updater/internal/bzip2"
	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/internal/zstd"
)

const (
	// MaxWindow is the largest zstd window in bytes that is decoded. It bounds
	// the memory of an update; what needs more is refused.
	MaxWindow = 8 << 20

	copyBuffer = 256 << 10
)

// decode writes what the archive holds, at most limit bytes. An archive that is
// malformed, or holds more, is rejected; an error of out is handed on as it is.
func decode(ctx context.Context, out sink, sp *spool, encoding string, limit int64) error {
	archive, err := sp.reader()
	if err != nil {
		return err
	}
	decoder, err := decoderFor(archive, encoding)
	if err != nil {
		return err
	}
	for total := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece, err := decoder.Next()
		if total += int64(len(piece)); total > limit {
			return cause.Errorf("the binary is %w: it has more than %d bytes", ErrRejected, limit)
		}
		if len(piece) > 0 {
			if _, werr := out.Write(piece); werr != nil {
				return onDisk(werr)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case sp.failed != nil:
			return onDisk(sp.failed)
		case err != nil:
			return cause.Errorf("the archive is %w: decoding %s: %w", ErrRejected, encoding, err)
		}
	}
}

// A decoder makes pieces of a binary. One stays as it is until the next call.
type decoder interface {
	Next() ([]byte, error)
}

func decoderFor(archive io.Reader, encoding string) (decoder, error) {
	switch encoding {
	case Bzip2:
		return newPieces(bzip2.NewReader(archive)), nil
	case None:
		return newPieces(archive), nil
	case Zstd:
		return zstd.NewReader(archive, MaxWindow), nil
	}
	return nil, cause.Errorf("unknown encoding %q", encoding)
}

// pieces are what a reader reads.
type pieces struct {
	r   io.Reader
	buf []byte
}

func newPieces(r io.Reader) *pieces { return &pieces{r, make([]byte, copyBuffer)} }

func (p *pieces) Next() ([]byte, error) {
	n, err := p.r.Read(p.buf)
	return p.buf[:n], err
}

// fileSink is a sink that is not staged beside a target.
type fileSink struct {
	file disk.File
	hash hash.Hash
}

func (s *fileSink) Reset() error {
	s.hash = sha256.New()
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return err
}

func (s *fileSink) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.hash.Write(p[:n])
	return n, err
}

func (s *fileSink) check(sum string) error {
	return rejectHash(swap.Hex(s.hash), sum)
}

// rejectHash compares checksums of a binary. Wrong ones are rejected, so that
// caches and mirrors are tried, and tell what v0.1.0 told.
func rejectHash(got, want string) error {
	if got == want {
		return nil
	}
	return cause.Errorf("downloaded file had an invalid checksum: %w: %w: sha256 is %s, not %s", ErrRejected, ErrHash, got, want)
}
