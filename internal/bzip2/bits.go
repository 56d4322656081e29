package bzip2

import "io"

// bitReader reads bits, the highest of a byte first. After an error it reads zeros.
type bitReader struct {
	r    io.Reader
	buf  [4096]byte
	have []byte // of buf, not yet in word
	word uint64
	n    uint // bits of word that are left, its lowest
	err  error
}

// fill has at least n bits in word, n not above 32.
func (b *bitReader) fill(n uint) {
	for b.n < n {
		if len(b.have) == 0 {
			b.more()
		}
		next := byte(0)
		if len(b.have) > 0 {
			next, b.have = b.have[0], b.have[1:]
		} else if b.err == nil {
			b.err = io.ErrUnexpectedEOF
		}
		b.word, b.n = b.word<<8|uint64(next), b.n+8
	}
}

// more reads the next piece; at the end there is none.
func (b *bitReader) more() {
	for range 100 {
		n, err := b.r.Read(b.buf[:])
		b.have = b.buf[:n]
		if err != nil && err != io.EOF && b.err == nil {
			b.err = err
		}
		if n > 0 || err != nil {
			return
		}
	}
	b.err = io.ErrNoProgress
}

// read reads n bits, at most 32.
// It is not for inner loops, and inlined it would cost each program a kilobyte.
//
//go:noinline
func (b *bitReader) read(n uint) uint64 {
	b.fill(n)
	b.n -= n
	return b.word >> b.n & (1<<n - 1)
}

// align goes on to the next whole byte.
func (b *bitReader) align() { b.n -= b.n % 8 }

// atEnd tells whether nothing is left.
func (b *bitReader) atEnd() bool {
	if b.n == 0 && len(b.have) == 0 && b.err == nil {
		b.more()
	}
	return b.n == 0 && len(b.have) == 0 && b.err == nil
}
