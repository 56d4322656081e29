package delta

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A parser cuts what is inserted into the tokens that cost least, by dynamic programming over stretches of it. Prices come from
// a repeater that learns from what was chosen so far.
type parser struct {
	all    []byte
	model  *repeater
	starts []uint32 // by hash of 4 bytes, where its places begin
	known  []uint32 // how many of them are known
	places []uint32 // those of one hash next to each other, in order: the place, and below it more of the hash
	tag    int      // bits of that
	short  []int32  // last place of 3 bytes, plus 1
	nodes  []parseNode
	prices [4096]float32 // of a chance in 1/4096
	long   [8][longest + 1]float32
}

// A parseNode is the cheapest way to a place.
type parseNode struct {
	cost  float32
	token token
	from  int32
	state uint32
	last  [4]uint32
}

const (
	parseStretch = 1 << 13
	longest      = 512 // of a match
	nice         = 128 // a match as long is taken at once
	parseChain   = 8
	parseBits    = 20
)

// tokens returns what all is coded as.
func tokensOf(all []byte) (out []token) {
	p := &parser{all: all, model: newRepeater(&coder{encoding: true, training: true}), short: make([]int32, 1<<16),
		nodes: make([]parseNode, parseStretch+1)}
	p.index()
	for i := range p.prices {
		p.prices[i] = float32(-math.Log2((float64(i) + 0.5) / 4096))
	}
	for at := 0; at < len(all); at += parseStretch {
		found := p.stretch(at, min(parseStretch, len(all)-at))
		p.model.tokens = found
		for len(p.model.tokens) > 0 {
			p.model.token()
			p.model.repeat(int(p.model.left))
			p.model.left = 0
		}
		out = append(out, found...)
	}
	return out
}

func (p *parser) price(bit int, o odds) float32 {
	v := o >> 4
	if bit == 0 {
		v = 4095 - v
	}
	return p.prices[v]
}

func (p *parser) tree(v, n int, odds []odds) (cost float32) {
	for node := 1<<n | v; node > 1; node >>= 1 {
		cost += p.price(node&1, odds[node>>1])
	}
	return cost
}

func (p *parser) uint(v uint64, m *intModel, context int) (cost float32) {
	n, length := bits.Len64(v), m.length[context*lengthOdds:][:lengthOdds]
	if cost = p.tree(min(n, longInt), 5, length); n >= longInt {
		cost += p.tree(n-longInt, 6, length[32:])
	}
	if n < 2 {
		return cost
	}
	k := min(n-1, 3)
	rest := n - 1 - k
	return cost + p.tree(int(v>>rest)&(1<<k-1), k, m.upper[(context*64+n-1)*8:][:8]) + float32(rest)
}

func (p *parser) literal(at int, n *parseNode) (cost float32) {
	hint, before := uint32(0), byte(0)
	if int(n.last[0]) <= at {
		hint = uint32(p.all[at-int(n.last[0])])
	}
	if at > 0 {
		before = p.all[at-1]
	}
	trees, v, agree, node := p.model.literals[int(before>>4)*3*256:][:3*256], uint32(p.all[at]), n.state&3 != 0, uint32(1)
	for i := 7; i >= 0; i-- {
		bit, tree := v>>i&1, uint32(0)
		if agree {
			tree = 256 + hint>>i&1<<8
		}
		cost += p.price(int(bit), trees[tree+node])
		agree = agree && bit == hint>>i&1
		node = node<<1 | bit
	}
	return cost
}

func (p *parser) distance(d, n uint32) float32 {
	context := int(min(n-shortest, 3))
	v := d - 1
	low := p.model.low[(context*8+width(uint64(v>>4)))*16:][:16]
	return p.uint(uint64(v>>4), p.model.distances, context) + p.tree(int(v&15), 4, low)
}

// stretch finds the tokens of n bytes from at on.
func (p *parser) stretch(at, n int) (out []token) {
	for context := range p.long {
		for length := range p.long[context] {
			p.long[context][length] = p.uint(uint64(length), p.model.lengths, context)
		}
	}
	for i := range p.nodes[:n+1] {
		p.nodes[i].cost = math.MaxFloat32
	}
	p.nodes[0] = parseNode{state: p.model.state, last: p.model.last}
	for i, skip := 0, 0; i < n; i++ {
		if skip > 0 {
			skip--
			p.note(at + i)
			continue
		}
		skip = p.relax(at+i, i, n)
	}
	for i := n; i > 0; i = int(p.nodes[i].from) {
		out = append(out, p.nodes[i].token)
	}
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out
}

// offer takes a way to a place if it is the cheapest so far.
func (p *parser) offer(from, to int, cost float32, t token, state uint32, index int) {
	n, f := &p.nodes[to], &p.nodes[from]
	if cost >= n.cost {
		return
	}
	*n = parseNode{cost: cost, token: t, from: int32(from), state: state, last: f.last}
	switch {
	case t.n == 0 || index == 0:
	case index < 4:
		copy(n.last[1:index+1], f.last[:index])
		n.last[0] = t.value
	default:
		copy(n.last[1:], f.last[:3])
		n.last[0] = t.value
	}
}

// relax goes on from node i, which is at place at, and returns how many places to skip.
func (p *parser) relax(at, i, n int) (skip int) {
	f, m := p.nodes[i], p.model
	rest := p.all[at : at+min(n-i, longest)]
	p.offer(i, i+1, f.cost+p.price(0, m.match[f.state])+p.literal(at, &f), token{value: uint32(p.all[at])}, f.state<<2&63, 0)
	cost := f.cost + p.price(1, m.match[f.state])
	again := cost + p.price(1, m.again[f.state])
	for index, d := range f.last {
		if int(d) > at || int(d) > ringSize {
			continue
		}
		length := common(p.all[at-int(d):], rest)
		high := index >> 1
		base := again + p.price(high, m.which[0]) + p.price(index&1, m.which[1+high])
		for k := 1; k <= length; k++ {
			kind := uint32(kindAgain)
			if k == 1 {
				kind = kindSingle
			} else if length >= nice {
				k = length
			}
			p.offer(i, i+k, base+p.long[4+min(index, 1)][k-1], token{uint32(k), d}, (f.state<<2|kind)&63, index)
		}
		if length >= nice {
			p.note(at)
			return length - 1
		}
	}
	return p.fresh(at, i, rest, cost+p.price(0, m.again[f.state]), &f)
}

// fresh offers matches at new distances.
func (p *parser) fresh(at, i int, rest []byte, cost float32, f *parseNode) (skip int) {
	best := shortest - 1
	try := func(from int) {
		d := at - from
		if d > ringSize-longest || best >= len(rest) || p.all[from+best] != rest[best] {
			return
		}
		length := common(p.all[from:], rest)
		first := best + 1
		if length >= nice {
			first = length
		}
		far := float32(0)
		for k := first; k <= length; k++ {
			if k == first || k-shortest <= 3 { // longer ones say distances alike
				far = cost + p.distance(uint32(d), uint32(k))
			}
			p.offer(i, i+k, far+p.long[f.state&3][k-shortest], token{uint32(k), uint32(d)}, (f.state<<2|kindNew)&63, 4)
		}
		best = max(best, length)
	}
	if len(rest) >= 4 && at+8 <= len(p.all) {
		h, more, s := p.hashes(at)
		if c := p.short[s]; c > 0 {
			try(int(c) - 1)
		}
		places, mask, looked := p.places[p.starts[h]:][:p.known[h]], uint32(1)<<p.tag-1, 0
		for k := len(places) - 1; k >= 0 && looked < parseChain && best < nice; k-- {
			if places[k]&mask == more {
				try(int(places[k] >> p.tag))
				looked++
			}
		}
	}
	p.note(at)
	if best >= nice {
		return best - 1
	}
	return 0
}

// index makes room for the places of each hash.
func (p *parser) index() {
	p.tag = 32 - bits.Len(uint(len(p.all)))
	p.starts, p.known, p.places = make([]uint32, 1<<parseBits+1), make([]uint32, 1<<parseBits), make([]uint32, len(p.all))
	for at := 0; at+8 <= len(p.all); at++ {
		h, _, _ := p.hashes(at)
		p.starts[h+1]++
	}
	for h := range p.known {
		p.starts[h+1] += p.starts[h]
	}
}

// hashes returns those of 4 bytes and of 3, and between them more bits of the first.
func (p *parser) hashes(at int) (four, more, three uint32) {
	v := binary.LittleEndian.Uint32(p.all[at:])
	h := v * 0x9e3779b1
	return h >> (32 - parseBits), h << parseBits >> (32 - p.tag), v << 8 * 0x85ebca6b >> 16
}

// note makes a place known.
func (p *parser) note(at int) {
	if at+8 > len(p.all) {
		return
	}
	h, more, s := p.hashes(at)
	p.places[p.starts[h]+p.known[h]] = uint32(at)<<p.tag | more
	p.known[h]++
	p.short[s] = int32(at) + 1
}
