package zstd

import "encoding/binary"

const (
	rawLiterals = iota
	rleLiterals
	codedLiterals
	treelessLiterals // coded, by the table of an earlier block
)

// readLiterals reads the literals (RFC 8878, 3.1.1.3.1) in in[at:end], and returns where they end. There are
// at most most of them.
func (b *block) readLiterals(at, end, most int) (int, error) {
	if at >= end {
		return 0, formatError("an empty block")
	}
	kind, format := b.in[at]&3, b.in[at]>>2&3
	v := binary.LittleEndian.Uint64(b.in[at:])
	var n, size int
	if kind == rawLiterals || kind == rleLiterals {
		head := [4]uint8{1, 2, 1, 3}[format]
		v &= 1<<(8*head) - 1
		n = int(v >> [4]uint8{3, 4, 3, 4}[format])
		at += int(head)
		if size = n; kind == rleLiterals {
			size = 1
		}
	} else {
		width := [4]uint8{10, 10, 14, 18}[format]
		n = int(v >> 4 & (1<<width - 1))
		size = int(v >> (4 + width) & (1<<width - 1))
		at += int([4]uint8{3, 3, 4, 5}[format])
	}
	if n > most || at+size > end {
		return 0, formatError("%d literals in %d bytes, of a block of %d", n, size, most)
	}
	if kind == rawLiterals {
		b.literals = b.in[at : at+n+margin]
		return at + n, nil
	}
	b.literals = b.spare[:n+margin]
	if kind == rleLiterals {
		fill(b.literals[:n], b.in[at])
		return at + 1, nil
	}
	return at + size, b.decodeLiterals(n, kind, format != 0, at, at+size)
}

func (b *block) decodeLiterals(n int, kind uint8, four bool, at, end int) (err error) {
	if kind == codedLiterals {
		if at, err = b.huffman.read(b.in, at, end); err != nil {
			return err
		}
	}
	if !b.huffman.known {
		return formatError("literals in a Huffman code of no earlier block")
	}
	if four {
		return b.huffman.decode4(b.literals[:n], b.in, at, end)
	}
	return b.huffman.decode(b.literals[:n], b.in, at, end)
}
