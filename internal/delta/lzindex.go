package delta

import (
	"encoding/binary"
	"math/bits"
	"runtime/debug"
)

// A parseIndex tells where bytes were before: in what is inserted, or, if the files are data, in the old file and the new one, whose
// places follow the old one's. It is most of the memory that data takes: what no later place could look at has none.
type parseIndex struct {
	old, fresh []byte
	kept       []uint64 // a bit for each place: whether a later one may look at it
	ends       []uint32 // by hash of 4 bytes, where the last known of its places ends
	places     []uint32 // those of one hash next to each other, in order: the place, and below it more of the hash
	bits       int      // of the hash
	tag        int      // of what is below a place: the last of those bits, which tells places of the hash from those before, and more
	short      []uint32 // last place of 3 bytes, plus 1
	ahead      parseOutlook
}

// A parseOutlook is what places ahead hash to.
type parseOutlook struct {
	from, n           int
	four, more, three [32]uint32
	touched           uint32
}

const (
	parseBits   = 20 // of the hash, at the most, and one more where there is no old file
	parseFactor = 0x9e3779b1
	// mostIndexed is how long files may be, together, for the old one to be indexed.
	mostIndexed = 1 << 30
)

// wholly is how long files may be together for each place of the old one to be indexed, and not half of them, which take less memory and reach
// farther back: text is a little smaller by them, what is packed larger.
const wholly = 1 << 24

// newParseIndex makes room for the places of each hash. None is known yet.
func newParseIndex(old, fresh []byte) parseIndex {
	if len(old)+len(fresh) > mostIndexed {
		old = nil
	}
	all := len(old) + len(fresh)
	size := bits.Len(uint(all))
	p := parseIndex{old: old, fresh: fresh, bits: min(max(size-4, 10), parseBits), short: make([]uint32, 1<<16)}
	if len(old) == 0 { // what is inserted alone is less than the file, so that more of the hash is looked up
		p.bits = min(max(size+1, 10), parseBits+1)
	}
	p.tag = min(32-size, 33-p.bits)
	p.keep()
	debug.FreeOSMemory() // what that took
	p.makeRoom()
	return p
}

// makeRoom makes it for the places that are kept. Until it is taken only the bit that tells hashes apart is there.
func (p *parseIndex) makeRoom() {
	p.ends = make([]uint32, 1<<p.bits)
	n := uint32(0)
	for at := range len(p.old) + len(p.fresh) {
		if p.keeps(at) {
			h, _, _ := p.hashes(at)
			p.ends[h]++
			n++
		}
	}
	p.places = make([]uint32, n)
	n = 0
	for h, k := range p.ends {
		p.ends[h] = n
		for i := range p.places[n:][:k] {
			p.places[n+uint32(i)] = uint32(h) & 1 << (p.tag - 1)
		}
		n += k
	}
}

// keep finds the places that a later one may look at: those of the new file whose bytes come again, and the last ones of the old file whose
// bytes are in the new one.
func (p *parseIndex) keep() {
	const inFresh = 1 << 7
	size := bits.Len(uint(max(len(p.old), len(p.fresh)))) + 1
	seen := make([]uint8, 1<<size)
	all := len(p.old) + len(p.fresh)
	p.kept = make([]uint64, (all+63)/64)
	for at := all - 1; at >= 0; at-- {
		if !p.indexed(at) {
			continue
		}
		s := &seen[le32(p.from(at))*parseFactor>>(32-size)]
		if at >= len(p.old) {
			if *s == inFresh {
				p.kept[at/64] |= 1 << (at % 64)
			}
			*s = inFresh
		} else if *s >= inFresh && *s < inFresh+parseChain {
			p.kept[at/64] |= 1 << (at % 64)
			*s++
		}
	}
}

// keeps tells whether that found a place.
func (p *parseIndex) keeps(at int) bool { return p.kept[at/64]>>(at%64)&1 != 0 }

// indexed tells whether enough follows a place for it to be looked up, and, in a long old file, whether it is one of those whose hash is
// less than that of the place before.
func (p *parseIndex) indexed(at int) bool {
	if p.room(at) <= 0 {
		return false
	}
	if at >= len(p.old) || at == 0 || len(p.old)+len(p.fresh) <= wholly {
		return true
	}
	const below = parseFactor << parseBits & (1<<32 - 1)
	return le32(p.old[at:])*below < le32(p.old[at-1:])*below
}

// room is how many places may be looked up from one on, before the file ends.
func (p *parseIndex) room(at int) int { return len(p.from(at)) - 7 }

// from returns what begins at a place: no match goes beyond the end of the old file.
func (p *parseIndex) from(at int) []byte {
	if k := at - len(p.old); k >= 0 {
		return p.fresh[k:]
	} else if at >= 0 {
		return p.old[at:]
	}
	return nil
}

// common tells how far rest, at place at, is the same as what is at an earlier place that a match may begin at.
func (p *parseIndex) common(from, at int, rest []byte) int {
	if from >= len(p.old) && at-from > ringSize {
		return 0
	}
	return common(p.from(from), rest)
}

// hashes returns those of 4 bytes and of 3, and between them what is below a place of the first.
func (p *parseIndex) hashes(at int) (four, more, three uint32) {
	v := binary.LittleEndian.Uint32(p.from(at))
	h := v * parseFactor
	return h >> (32 - p.bits), h << (p.bits - 1) >> (32 - p.tag), v << 8 * 0x85ebca6b >> 16
}

// look returns the hashes of a place. It asks memory for what is known of several places at a time, since each answer takes long.
func (p *parseIndex) look(at int) (four, more, three uint32) {
	o := &p.ahead
	if at-o.from >= o.n {
		o.from, o.n = at, min(len(o.four), p.room(at))
		for i := range o.n {
			o.four[i], o.more[i], o.three[i] = p.hashes(at + i)
		}
		var last [len(o.four)]uint32
		for i, h := range o.four[:o.n] {
			last[i] = p.ends[h]
			o.touched += p.short[o.three[i]]
		}
		for i, k := range last[:o.n] {
			if last[i] = 0; k > 0 {
				last[i] = p.places[k-1] >> p.tag
			}
		}
		for _, k := range last[:o.n] {
			o.touched += uint32(p.from(int(k))[0])
		}
	}
	i := at - o.from
	return o.four[i], o.more[i], o.three[i]
}

// note makes a place known, if it is kept.
func (p *parseIndex) note(at int) {
	if !p.indexed(at) {
		return
	}
	h, more, s := p.look(at)
	if p.keeps(at) {
		p.places[p.ends[h]] = uint32(at)<<p.tag | more
		p.ends[h]++
	}
	p.short[s] = uint32(at) + 1
}
