package delta

import (
	"crypto/sha256"
	"hash"
	"io"
)

// A generated part of the new file is computed from the rest of it.
type generated struct {
	kind, off, size uint64
	from, count     uint64 // generatedFind: place of functab, number of functions
}

const (
	generatedFind   = iota // runtime.findfunctab, from functab
	generatedHashes        // SHA-256 of each page before it: a Mach-O code signature
	nGenerated
)

const (
	maxGenerated = 4
	pageSize     = 4096
)

func (p *plan) codeGenerated(c *coder, newSize uint64) error {
	m := newIntModel(1)
	n := c.uint(uint64(len(p.generated)), m, 0)
	if n > maxGenerated {
		return formatError("too many generated parts")
	}
	if !c.encoding {
		p.generated = make([]generated, n)
	}
	past := uint64(0)
	p.size = newSize
	for i := range p.generated {
		g := &p.generated[i]
		c.uints(m, &g.kind, &g.off, &g.size, &g.from, &g.count)
		if err := g.check(past, newSize); err != nil {
			return err
		}
		if err := c.room.take(g.holds()); err != nil {
			return err
		}
		past = g.off + g.size
		if g.kind == generatedFind {
			past = max(past, g.source())
		}
		p.size -= g.size
	}
	return nil
}

func (g *generated) check(past, newSize uint64) error {
	bad := g.off < past || g.off > newSize || g.size > newSize-g.off || g.kind >= nGenerated
	switch g.kind {
	case generatedFind:
		bad = bad || g.count == 0 || g.count > maxFuncs || g.from > newSize || 8*g.count+4 > newSize-g.from
		if g.from < g.off {
			bad = bad || g.source() > g.off || g.from < past
		} else {
			bad = bad || g.from < g.off+g.size
		}
	case generatedHashes:
		bad = bad || g.size%sha256.Size != 0 || g.size/sha256.Size > (g.off+pageSize-1)/pageSize
	}
	if bad {
		return formatError("a generated part outside the file")
	}
	return nil
}

// holds is how many bytes are kept for it: functab, or all from the part to where functab ends.
func (g *generated) holds() uint64 {
	if g.kind == generatedFind {
		return max(g.size, g.source()-min(g.source(), g.off)) + 8*g.count + 4
	}
	return g.size + sha256.Size
}

// source returns where functab ends.
func (g *generated) source() uint64 { return g.from + 8*g.count + 4 }

// outputSize is how much is written at a time: where much changed, what is copied and what is inserted come by the dozen bytes.
const outputSize = 1 << 16

// An output puts generated parts where they belong, and hashes all.
type output struct {
	w     io.Writer
	ready []byte // to be hashed and written
	sum   hash.Hash
	parts []generated
	at    uint64 // in the new file
	size  uint64
	held  []byte // from parts[0] on, which is of generatedFind and not yet known
	table []byte // functab, where it comes before
	pages *pages
}

func newOutput(w io.Writer, parts []generated, size uint64) *output {
	o := &output{w: w, ready: make([]byte, 0, outputSize), sum: sha256.New(), parts: parts, size: size}
	for _, g := range parts {
		if g.kind == generatedHashes {
			o.pages = &pages{sum: sha256.New(), left: pageSize, limit: g.from, out: make([]byte, 0, g.size+sha256.Size)}
		}
	}
	return o
}

// Write takes the next bytes of the residual's output.
func (o *output) Write(b []byte) error {
	for len(b) > 0 {
		if err := o.generate(); err != nil {
			return err
		}
		n := uint64(len(b))
		if len(o.parts) > 0 {
			n = min(n, o.next()-o.at)
		}
		if err := o.put(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return o.generate()
}

// next returns where the first part is to be attended to: where it is, where functab begins and
// ends before it, or where functab ends after it.
func (o *output) next() uint64 {
	g := &o.parts[0]
	switch {
	case g.kind == generatedHashes:
	case g.from < g.off && o.table == nil:
		return g.from
	case g.from < g.off && o.at < g.source():
		return g.source()
	case o.held != nil:
		return g.source()
	}
	return g.off
}

// generate makes the parts that are due.
func (o *output) generate() error {
	for len(o.parts) > 0 && o.next() == o.at {
		g := o.parts[0]
		switch {
		case g.kind == generatedHashes:
			o.parts = o.parts[1:]
			if err := o.put(o.pages.hashes(int(g.size))); err != nil {
				return err
			}
		case o.at == g.from && g.from < g.off && o.table == nil:
			o.table = make([]byte, 0, 8*g.count+4)
		case o.at == g.off && o.held == nil:
			o.held = make([]byte, g.size, max(g.size, g.source()-min(g.source(), g.off)))
			o.at += g.size
			if o.table != nil {
				if err := o.release(g, o.table); err != nil {
					return err
				}
			}
		default:
			if err := o.release(g, o.held[g.from-g.off:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// release makes findfunctab, and writes it and what was held back after it.
func (o *output) release(g generated, functab []byte) error {
	held := o.held
	findTable(held[:g.size], functab, int(g.count))
	o.held, o.table, o.parts = nil, nil, o.parts[1:]
	o.at = g.off
	return o.put(held)
}

func (o *output) put(b []byte) error {
	if o.table != nil && o.at < o.parts[0].source() {
		o.table = append(o.table, b...)
	}
	o.at += uint64(len(b))
	if o.held != nil {
		o.held = append(o.held, b...)
		return nil
	}
	if o.pages != nil {
		o.pages.write(b)
	}
	for len(b) > 0 {
		n := min(len(b), outputSize-len(o.ready))
		o.ready, b = append(o.ready, b[:n]...), b[n:]
		if len(o.ready) == outputSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *output) flush() error {
	b := o.ready
	o.ready = b[:0]
	o.sum.Write(b)
	_, err := o.w.Write(b)
	return err
}

// end checks that all is there, and writes the last of it.
func (o *output) end() error {
	if o.held != nil || o.at != o.size {
		return errResult
	}
	return o.flush()
}

func (o *output) hash() [sha256.Size]byte { return [sha256.Size]byte(o.sum.Sum(nil)) }

// findTable makes runtime.findfunctab (cmd/link/internal/ld/pcln.go) of functab: for every 4096
// bytes of code the first function, and for each 256 of them a byte more.
func findTable(dst, functab []byte, count int) {
	first, at := le32(functab), uint64(0)
	bucket := uint32(0) // the first function of the bucket
	for i := range count {
		p, q := uint64(le32(functab[8*i:])-first), uint64(le32(functab[8*i+8:])-first)
		if q < p {
			return // not in order: not a function table
		}
		for ; q > p && at <= (q-1)/256; at++ {
			head := at / 16 * 20
			if head+4+at%16 >= uint64(len(dst)) {
				return
			}
			if at%16 == 0 {
				bucket = uint32(i)
				put32(dst[head:], bucket)
			}
			dst[head+4+at%16] = byte(uint32(i) - bucket)
		}
	}
}

// pages hashes each page of what is written to it, up to a limit.
type pages struct {
	sum   hash.Hash
	left  int    // to the end of the page
	limit uint64 // bytes still to be hashed
	out   []byte // as long as all hashes, and one more
}

func (p *pages) write(b []byte) {
	b = b[:min(uint64(len(b)), p.limit)]
	p.limit -= uint64(len(b))
	for len(b) > 0 && len(p.out)+sha256.Size < cap(p.out) {
		n := min(len(b), p.left)
		p.sum.Write(b[:n])
		b = b[n:]
		if p.left -= n; p.left == 0 {
			p.flush()
		}
	}
}

func (p *pages) flush() {
	p.out = p.sum.Sum(p.out)
	p.sum.Reset()
	p.left = pageSize
}

// hashes returns size bytes of them; the last page may be short.
func (p *pages) hashes(size int) []byte {
	if len(p.out) < size {
		p.flush()
	}
	return p.out[:size]
}
