package swap

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/choria-io/go-updater/internal/disk"
)

// sum hashes on another core what is decoded and written on this one: a piece
// while the next is on its way. It touches no disk.
type sum struct {
	hash  hash.Hash
	piece []byte        // what is being hashed
	done  chan struct{} // closed when it is
}

func newSum() sum {
	s := sum{hash: sha256.New(), done: make(chan struct{})}
	close(s.done)
	return s
}

// write takes a copy of p, which its owner may change at once.
func (s *sum) write(p []byte) {
	<-s.done
	s.piece = append(s.piece[:0], p...)
	piece, done := s.piece, make(chan struct{})
	s.done = done
	go func() {
		s.hash.Write(piece)
		close(done)
	}()
}

func (s *sum) reset() {
	<-s.done
	s.hash.Reset()
}

// text is the sum of all that was written, in lower case hex.
func (s *sum) text() string {
	<-s.done
	return hex.EncodeToString(s.hash.Sum(nil))
}

func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(h, r, make([]byte, 128<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// HashFile is the SHA-256 of a file, in lower case hex.
func HashFile(fsys disk.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hashOf(f)
}
