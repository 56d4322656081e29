package delta

import (
	"sort"
)

// A guesser foretells where in the old file copying goes on: where the map says that the place in the
// new file came from, or at one of the last distances between the two.
type guesser struct {
	back     []step // the map backwards: by address in the new file, the shift to subtract
	old      *layout
	segments []segment // of the new file
	parts    []generated
	unpacked uint64   // bytes that compressed sections grow by, all before the hashes
	recent   [4]int64 // distances from the new file's place to the old one's
	hits     []odds
	state    int                             // which of the last jumps went far
	choose   func(at, from, done uint64) int // encoder: closest
}

func newGuesser(p *plan) *guesser {
	g := &guesser{parts: p.generated, hits: newOdds(16 * 8)}
	if p.image == nil {
		return g
	}
	for _, s := range p.packed {
		g.unpacked += s.n - s.size
	}
	g.old, g.segments = &p.image.lay, p.image.newSegments
	moves := p.image.moves
	order := make([]uint64, len(moves)) // new address<<18 | index
	for i, s := range moves {
		order[i] = (s.addr+uint64(s.shift))<<stepBits | uint64(i)
	}
	sortWords(order)
	g.back = make([]step, len(moves)+1) // the first one is 0, 0
	for i, v := range order {
		g.back[i+1] = step{v >> stepBits, moves[v&(maxSteps-1)].shift}
	}
	return g
}

const (
	nMapped  = 3 // guesses of the map
	nGuesses = nMapped + 5
)

// guess returns the k-th place in the old file for one in the residual's output, after copying ended at from: three by the
// map, four by recent distances, and where that was.
func (g *guesser) guess(k int, done, from uint64) uint64 {
	switch {
	case k == nGuesses-1:
		return from
	case k >= nMapped:
		return done + uint64(g.recent[k-nMapped])
	case g.back == nil:
		return 0
	}
	off := done
	for _, p := range g.parts {
		if p.kind == generatedHashes {
			p.off += g.unpacked
		}
		if p.off <= off {
			off += p.size
		}
	}
	for _, s := range g.segments {
		if off-s.off < s.size {
			return g.mapped(k, s.addr+off-s.off)
		}
	}
	return 0
}

// mapped returns the place that the k-th last step before an address of the new file gives for it.
func (g *guesser) mapped(k int, addr uint64) uint64 {
	i := sort.Search(len(g.back), func(i int) bool { return g.back[i].addr > addr }) - 1 - k
	if i < 0 {
		return 0
	}
	off, _ := g.old.offset(addr - uint64(g.back[i].shift))
	return off
}

// closest returns which guess is closest to a place.
func (g *guesser) closest(at, from, done uint64) int {
	best, least := nGuesses-1, distance(from, at)
	for k := range nGuesses - 1 {
		if d := distance(g.guess(k, done, from), at); d < least {
			best, least = k, d
		}
	}
	return best
}

// code codes the place at: what it is close to, and how far from that.
func (g *guesser) code(c *coder, at, from, done uint64, far *intModel) uint64 {
	best := 0
	if g.choose != nil {
		best = g.choose(at, from, done)
	}
	best = c.tree(best, 3, g.hits[g.state<<3:])
	near := g.guess(best, done, from)
	at = near + uint64(c.int(int64(at-near), far, best))
	g.state = g.state << 1 & 15
	if distance(at, from) > nearby {
		g.state |= 1
	}
	g.note(int64(at - done))
	return at
}

func distance(a, b uint64) uint64 {
	if a > b {
		return a - b
	}
	return b - a
}

// note puts a distance first.
func (g *guesser) note(d int64) {
	i := 0
	for i < len(g.recent)-1 && g.recent[i] != d {
		i++
	}
	copy(g.recent[1:], g.recent[:i])
	g.recent[0] = d
}
