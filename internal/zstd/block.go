package zstd

const blockHeaderSize = 3

const (
	rawBlock = iota
	rleBlock
	compressedBlock
)

type blockHeader struct {
	last bool
	kind int
	size int // of the body; of what an RLE block's byte becomes
}

func parseBlockHeader(b []byte) blockHeader {
	v := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	return blockHeader{v&1 == 1, v >> 1 & 3, v >> 3}
}

// A block decodes blocks, and keeps what later ones of the frame refer to.
type block struct {
	in       []byte // margin bytes, the body, and margin bytes
	spare    []byte // for literals that are coded
	literals []byte // margin bytes more than there are
	huffman  huffman
	repeats  repeats

	literalLengths, offsets, matchLengths coding

	execution execution
}

// A coding is one of the three things that a sequence consists of.
type coding struct {
	table
	known bool // in this frame
}

// prepare forgets what was in earlier frames.
func (b *block) prepare(most int) {
	if size := most + 2*margin; size > len(b.in) {
		b.in, b.spare = make([]byte, size), make([]byte, size)
	}
	b.execution = execution{} // and with it what keeps the window of the frame before
	for n := range 64 {
		b.execution.masks[n] = 1<<n - 1
	}
	b.repeats = repeats{1, 4, 8}
	b.huffman.known = false
	b.literalLengths.known, b.offsets.known, b.matchLengths.known = false, false, false
}

// decodeBlock decodes the next block, and reads the header of the one after it.
func (r *Reader) decodeBlock() error {
	f, b := &r.frame, &r.block
	head := f.next
	if head.size > f.most {
		return formatError("a block of %d bytes, more than %d", head.size, f.most)
	}
	size, more := head.size, blockHeaderSize
	if head.kind == rleBlock {
		size = 1
	}
	if head.last {
		more = 0
		if f.checksum {
			more = 4
		}
	}
	end := margin + size
	if err := r.fill(b.in[margin : end+more]); err != nil {
		return err
	}
	n, err := r.decodeBody(head, end)
	if err != nil {
		return err
	}
	r.past.end += n
	f.decoded += int64(n)
	f.left -= uint64(n)
	f.open = !head.last
	if head.last && f.sized && f.left != 0 {
		return formatError("a frame is %d bytes shorter than it says", f.left)
	}
	f.next = parseBlockHeader(b.in[end:])
	return nil
}

// decodeBody decodes what lies before end to the end of the history, and returns how much it is.
func (r *Reader) decodeBody(head blockHeader, end int) (int, error) {
	b, room := &r.block, r.frame.room()
	if head.kind != compressedBlock && head.size > room {
		return 0, formatError("a frame is longer than it says")
	}
	out := r.past.buf[r.past.end:]
	switch head.kind {
	case rawBlock:
		return copy(out, b.in[margin:end]), nil
	case rleBlock:
		fill(out[:head.size], b.in[margin])
		return head.size, nil
	case compressedBlock:
		at, err := b.readLiterals(margin, end, r.frame.most)
		if err != nil {
			return 0, err
		}
		return b.readSequences(at, end, &r.past, &r.frame)
	}
	return 0, formatError("a block of the reserved kind")
}

func fill(b []byte, value byte) {
	for i := range b {
		b[i] = value
	}
}
