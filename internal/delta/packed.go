package delta

// A packed is a section that the linker compressed: a zlib stream (RFC 1950).
//
// Those of the old file are unpacked behind it: what the residual copies from is the file, and then the
// contents of each. Those of the new file are what the residual makes, and are compressed on the way out.
type packed struct {
	off   uint64   // of the stream: in the old file, or of its contents in the residual's output
	size  uint64   // of the stream
	n     uint64   // bytes that it unpacks to
	marks []uint64 // old: where in the stream, in bits, each chunk of contents begins
}

const (
	maxPacked = 32
	// maxUnpacked bounds the time that unpacking takes, and memory: a window is kept for each chunk.
	maxUnpacked = 1 << 28
	windowSize  = 1 << 15
	// chunkBlocks are unpacked together, so many such chunks are kept at a time.
	chunkBlocks  = 8
	chunkSize    = chunkBlocks * blockLimit
	cachedChunks = 8
	markSize     = 8 + 24 // and that of the window's slice
	// packedRoom is for the cached chunks, and for what unpacks and packs.
	packedRoom = 6 << 20
)

// codePacked codes sections. Those of the old file lie within size bytes of it.
func codePacked(c *coder, p []packed, size uint64, old bool) ([]packed, error) {
	m := newIntModel(1)
	n := c.uint(uint64(len(p)), m, 0)
	if n > maxPacked {
		return nil, formatError("too many compressed sections")
	}
	if !c.encoding {
		p = make([]packed, n)
	}
	if n > 0 && old {
		if err := c.room.take(packedRoom); err != nil {
			return nil, err
		}
	}
	past, all := uint64(0), uint64(0)
	for i := range p {
		s := &p[i]
		s.off = past + c.uint(s.off-past, m, 0)
		c.uints(m, &s.size, &s.n)
		all += s.n
		if past = s.off + s.n; old {
			past = s.off + s.size
		}
		if s.n == 0 || s.n > maxUnpacked || s.size > maxFile || s.off > maxFile || all > maxUnpacked || old && past > size {
			return nil, limitError("compressed sections too large, or outside the file")
		}
		if old {
			if err := c.room.take((s.n + chunkSize - 1) / chunkSize * (windowSize + markSize)); err != nil {
				return nil, err
			}
			s.codeMarks(c)
		}
	}
	return p, nil
}

func (s *packed) codeMarks(c *coder) {
	m := newIntModel(1)
	if !c.encoding {
		s.marks = make([]uint64, (s.n+chunkSize-1)/chunkSize)
	}
	last := uint64(0)
	for i := range s.marks {
		last += c.uint(s.marks[i]-last, m, 0)
		s.marks[i] = last
	}
}

// An unpacker gives out the contents of the old file's compressed sections, chunk by chunk.
type unpacker struct {
	old      []byte
	sections []packed
	windows  [][][]byte // of each section, what comes before each chunk
	chunks   [cachedChunks]chunkOf
	next     int // to be replaced
	inflater *inflater
	size     uint64 // of all
	budget   int64  // of bytes to be unpacked
	err      error
}

// A chunkOf is a chunk of a section, after the window before it.
type chunkOf struct {
	section, number int
	room            *[windowSize + chunkSize]byte
	content         []byte // nil: none yet
}

func newUnpacker(old []byte, sections []packed) *unpacker {
	u := &unpacker{old: old, sections: sections, windows: make([][][]byte, len(sections)), inflater: &inflater{}}
	for i := range sections {
		u.size += sections[i].n
		u.windows[i] = make([][]byte, 1, len(sections[i].marks)+1)
	}
	u.budget = 16*int64(u.size) + 1<<26
	return u
}

// view returns what the sections contain at off, counted from the beginning of the first, to the end of a chunk or up to n
// bytes. After an error there are none.
func (u *unpacker) view(off, n uint64) []byte {
	for i := range u.sections {
		s := &u.sections[i]
		if off < s.n {
			number := int(off / chunkSize)
			b := u.chunk(i, number)
			b = b[min(off%chunkSize, uint64(len(b))):]
			return b[:min(n, uint64(len(b)))]
		}
		off -= s.n
	}
	return nil
}

// chunk returns chunk k of section i.
func (u *unpacker) chunk(i, k int) []byte {
	for j := range u.chunks {
		if c := &u.chunks[j]; c.content != nil && c.section == i && c.number == k {
			return c.content
		}
	}
	for n := len(u.windows[i]) - 1; n < k && u.err == nil; n++ {
		u.unpack(i, n)
	}
	if u.err != nil {
		return nil
	}
	return u.unpack(i, k)
}

// unpack unpacks a chunk whose window is known.
func (u *unpacker) unpack(i, k int) []byte {
	s, c := &u.sections[i], &u.chunks[u.next]
	u.next = (u.next + 1) % cachedChunks
	if c.room == nil {
		c.room = new([windowSize + chunkSize]byte)
	}
	f, n := u.inflater, int(min(chunkSize, s.n-uint64(k)*chunkSize))
	window := copy(c.room[:], u.windows[i][k])
	f.in, f.at, f.out = u.old[s.off:s.off+s.size], s.marks[k], c.room[:window:window+n]
	c.section, c.number, c.content = i, k, c.room[window:window+n]
	if u.budget -= int64(n); u.budget < 0 {
		u.err = limitError("too many jumps in compressed sections")
	} else if !f.decode() {
		u.err = formatError("a section of the old file is not compressed as it should be")
	} else if k+1 == len(u.windows[i]) && k+1 < len(s.marks) {
		next := make([]byte, windowSize)
		copy(next, f.out[len(f.out)-windowSize:])
		u.windows[i] = append(u.windows[i], next)
	}
	return c.content
}

// A packer compresses sections on their way out.
type packer struct {
	sections []packed
	at       uint64 // in the residual's output
	deflater *deflater
	left     uint64 // bytes that the stream being written may still have
	out      *output
}

// Write takes the next bytes of the residual's output.
func (p *packer) Write(b []byte) error {
	for len(b) > 0 {
		n, within := uint64(len(b)), false
		if len(p.sections) > 0 {
			s := &p.sections[0]
			if within = p.at >= s.off; within {
				n = min(n, s.off+s.n-p.at)
			} else {
				n = min(n, s.off-p.at)
			}
		}
		if err := p.put(b[:n], within); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// put takes bytes that are all within a section, or all outside.
func (p *packer) put(b []byte, within bool) error {
	p.at += uint64(len(b))
	if !within {
		return p.out.Write(b)
	}
	s := &p.sections[0]
	if p.deflater == nil {
		p.deflater, p.left = newDeflater(), s.size
	}
	d, last := p.deflater, p.at == s.off+s.n
	if d.write(b); last {
		d.close()
		p.deflater, p.sections = nil, p.sections[1:]
	}
	n := uint64(len(d.out))
	if n > p.left || last && n < p.left {
		return formatError("a section that compresses to more or less than it should")
	}
	p.left -= n
	b, d.out = d.out, d.out[:0]
	return p.out.Write(b)
}
