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
	_ uncomparable

	hash hash.Hash
	done chan struct{} // closed when the last piece is hashed
}

func newSum() sum {
	s := sum{hash: sha256.New(), done: make(chan struct{})}
	close(s.done)
	return s
}

// take hashes p, which has to stay as it is until the next call of any method returns.
func (s *sum) take(p []byte) {
	<-s.done
	done := make(chan struct{})
	s.done = done
	go func() {
		s.hash.Write(p)
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
	return Hex(s.hash)
}

func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(h, r, make([]byte, 128<<10)); err != nil {
		return "", err
	}
	return Hex(h), nil
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

// Hex is a hash's sum in lower case.
//
//go:noinline
func Hex(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
