package zstd

const (
	predefinedMode = iota
	rleMode
	describedMode
	repeatMode
)

// readSequences reads the sequences (RFC 8878, 3.1.1.3.2) in in[at:end] and does what they say. It
// returns how many bytes came out.
func (b *block) readSequences(at, end int, h *history, f *frame) (int, error) {
	n, at, err := b.sequenceCount(at, end)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		literals := b.literals[:len(b.literals)-margin]
		if at != end {
			return 0, formatError("%d bytes after a block's literals", end-at)
		}
		if len(literals) > f.room() {
			return 0, formatError("a frame is longer than it says")
		}
		return copy(h.buf[h.end:], literals), nil
	}
	if at >= end {
		return 0, formatError("sequences cut short")
	}
	modes := b.in[at]
	if modes&3 != 0 {
		return 0, formatError("reserved bits of a block's sequences are set")
	}
	rest := b.in[at+1 : end]
	k := codes()
	if rest, err = b.literalLengths.read(rest, modes>>6, &k.literal); err != nil {
		return 0, err
	}
	if rest, err = b.offsets.read(rest, modes>>4&3, &k.offset); err != nil {
		return 0, err
	}
	if rest, err = b.matchLengths.read(rest, modes>>2&3, &k.match); err != nil {
		return 0, err
	}
	stream, err := backwardAt(b.in, end-len(rest), end)
	if err != nil {
		return 0, err
	}
	return b.execute(n, stream, h, f)
}

func (b *block) sequenceCount(at, end int) (n, next int, err error) {
	if at >= end {
		return 0, 0, formatError("no number of sequences")
	}
	first, second, third := int(b.in[at]), int(b.in[at+1]), int(b.in[at+2])
	switch {
	case first < 128:
		n, at = first, at+1
	case first < 255:
		n, at = (first-128)<<8+second, at+2
	default:
		n, at = second+third<<8+0x7f00, at+3
	}
	if at > end {
		return 0, 0, formatError("the number of sequences is cut short")
	}
	return n, at, nil
}

// read reads which table codes the next block's sequences, and returns what follows.
func (c *coding) read(in []byte, mode uint8, k *kind) ([]byte, error) {
	switch mode {
	case predefinedMode:
		c.log, c.known = k.predefined.log, true
		copy(c.cells[:], k.predefined.cells[:1<<c.log])
		return in, nil
	case repeatMode:
		if !c.known {
			return nil, formatError("sequences in a table of no earlier block")
		}
		return in, nil
	case rleMode:
		if len(in) == 0 || int(in[0]) >= len(k.values) {
			return nil, formatError("sequences of no known code")
		}
		c.only(k.values[in[0]])
		c.known = true
		return in[1:], nil
	}
	var d distribution
	rest, err := d.read(in, len(k.values), k.maxLog)
	if err != nil {
		return nil, err
	}
	c.build(&d, k.values)
	c.known = true
	return rest, nil
}
