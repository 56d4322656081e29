package delta

import (
	"math"
	"math/bits"
	"slices"
)

// A parser cuts what is inserted into the tokens that cost least, by dynamic programming over stretches of it. Prices come from
// the repeater that codes them, and has learned from those chosen so far.
type parser struct {
	model  *repeater
	rounds []op // to come
	at     int  // the next place,
	left   int  // and how much is inserted there
	parseIndex
	nodes  []parseNode
	found  []token       // of the last stretch
	prices [4096]float32 // of a chance in 1/4096
	long   [8][longest + 1]float32
	high   [4][priceSteps]float32 // of distances, but for their lowest 4 bits, by length of the match
	low    [4][8][16]float32
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
	parseChain   = 16
)

// newParser makes one for what rounds insert into fresh.
func newParser(z *repeater, fresh []byte, rounds []op) *parser {
	p := &parser{model: z, parseIndex: newParseIndex(z.old, fresh), rounds: rounds, nodes: make([]parseNode, parseStretch+1)}
	for i := range p.prices {
		p.prices[i] = float32(-math.Log2((float64(i) + 0.5) / 4096))
	}
	for p.at < len(p.old) {
		p.note(p.at)
		p.at++
	}
	return p
}

// next returns what the next stretch of what is inserted is coded as.
func (p *parser) next() []token {
	for p.left == 0 {
		o := p.rounds[0]
		for range o.copied {
			p.note(p.at)
			p.at++
		}
		p.left, p.rounds = o.inserted, p.rounds[1:]
	}
	n := min(parseStretch, p.left)
	found := p.stretch(p.at, n)
	p.at, p.left = p.at+n, p.left-n
	return found
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
	if rest := p.from(at - int(n.last[0])); len(rest) > 0 {
		hint = uint32(rest[0])
	}
	if at > len(p.old) {
		before = p.fresh[at-len(p.old)-1]
	}
	trees, v, agree, node := p.model.literals[int(before>>4)*3*256:][:3*256], uint32(p.fresh[at-len(p.old)]), n.state&3 != 0, uint32(1)
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
	context, v := min(n-shortest, 3), d-1
	return p.high[context][stepOf(uint64(v>>4))] + p.low[context][width(uint64(v>>4))][v&15]
}

// Whole numbers that cost the same are one step: those that have as many bits, and the same three below the first.
const priceSteps = 33 * 8

func stepOf(v uint64) int {
	n := bits.Len64(v)
	return n<<3 | int(v>>max(n-4, 0)&7)
}

// stepPrices prices numbers of less than 32 bits.
func (p *parser) stepPrices(m *intModel, context, upTo int) (out [priceSteps]float32) {
	for n := range upTo + 1 {
		for k := range uint64(8) {
			switch {
			case n > 4:
				out[n<<3|int(k)] = p.uint((8|k)<<(n-4), m, context)
			case n == 4:
				out[n<<3|int(k)] = p.uint(8|k, m, context)
			case bits.Len64(k) == n:
				out[n<<3|int(k)] = p.uint(k, m, context)
			}
		}
	}
	return out
}

// reprice computes what lengths and distances cost by now.
func (p *parser) reprice() {
	for context := range p.long {
		prices := p.stepPrices(p.model.lengths, context, bits.Len(longest))
		for length := range p.long[context] {
			p.long[context][length] = prices[stepOf(uint64(length))]
		}
	}
	for context := range p.high {
		p.high[context] = p.stepPrices(p.model.distances, context, bits.Len(ringSize>>4))
		for k := range p.low[context] {
			tree := p.model.low[(context*8+k)*16:][:16]
			for v := range p.low[context][k] {
				p.low[context][k][v] = p.tree(v, 4, tree)
			}
		}
	}
}

// stretch finds the tokens of n bytes from at on.
func (p *parser) stretch(at, n int) []token {
	p.reprice()
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
	p.found = p.found[:0]
	for i := n; i > 0; i = int(p.nodes[i].from) {
		p.found = append(p.found, p.nodes[i].token)
	}
	slices.Reverse(p.found)
	return p.found
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
	rest := p.from(at)[:min(n-i, longest)]
	p.offer(i, i+1, f.cost+p.price(0, m.match[f.state])+p.literal(at, &f), token{value: uint32(rest[0])}, f.state<<2&63, 0)
	cost := f.cost + p.price(1, m.match[f.state])
	again := cost + p.price(1, m.again[f.state])
	for index, d := range f.last {
		length := p.common(at-int(d), at, rest)
		if length == 0 {
			continue
		}
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
	return p.elsewhere(at, i, rest, cost+p.price(0, m.again[f.state]), &f)
}

// elsewhere offers matches at new distances.
func (p *parser) elsewhere(at, i int, rest []byte, cost float32, f *parseNode) (skip int) {
	best := shortest - 1
	try := func(from int) {
		d := at - from
		if b := p.from(from); from >= len(p.old) && d > ringSize-longest || best >= len(rest) || best >= len(b) || b[best] != rest[best] {
			return
		}
		length := p.common(from, at, rest)
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
	if len(rest) >= 4 && p.indexed(at) {
		h, more, s := p.look(at)
		if c := p.short[s]; c > 0 {
			try(int(c) - 1)
		}
		mask, looked := uint32(1)<<p.tag-1, 0
		for k := p.ends[h]; k > 0 && looked < parseChain && best < nice; k-- {
			place := p.places[k-1]
			if (place^more)>>(p.tag-1)&1 != 0 {
				break
			}
			if place&mask == more {
				try(int(place >> p.tag))
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
