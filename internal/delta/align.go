package delta

import (
	"runtime"
	"sync"
)

// A stretch is a copy with changes.
type stretch struct{ old, fresh, n int }

// Costs are what an alignment is chosen by, in bytes.
type costs struct {
	gain int // by how much another place must be better than going on
	far  int // what it costs to copy from elsewhere
}

// An alignment goes through a part of the new file.
type alignment struct {
	*matcher
	costs
	fresh  []byte              // all up to the end of the part
	expect func(fresh int) int // where the map says that a place comes from; nil if there is none
	from   int                 // what goes on begins there in the new file,
	pos    int                 // and there in the old one
	out    []stretch
	ahead  outlook
}

// alignedPart is how much of the new file is aligned at a time: what comes out does not depend on how many processors there are.
const alignedPart = 1 << 23

// stretches aligns fresh with old, its parts beside each other.
func (m *matcher) stretches(fresh []byte, c costs, expect func(int) int) (out []stretch) {
	parts := make([]alignment, (len(fresh)+alignedPart-1)/alignedPart)
	var wait sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range parts {
		from := i * alignedPart
		parts[i] = alignment{matcher: m, costs: c, fresh: fresh[:min(from+alignedPart, len(fresh))], expect: expect, from: from, pos: from}
		wait.Add(1)
		go func() {
			defer wait.Done()
			free <- struct{}{}
			parts[i].run()
			<-free
		}()
	}
	wait.Wait()
	for _, a := range parts {
		out = append(out, a.out...)
	}
	return out
}

// run finds one place after the other where another alignment begins.
func (a *alignment) run() {
	for scan, n := a.from, 0; scan < len(a.fresh); {
		var pos, score int
		scan, pos, n, score = a.leave(scan + n)
		if n != score || scan == len(a.fresh) {
			a.close(scan, pos)
		}
	}
}

// leave goes on from scan to where the match of n bytes at pos is clearly better than the alignment, which has score of them, or
// where that is it.
func (a *alignment) leave(scan int) (_, pos, n, score int) {
	shift := a.pos - a.from
	for done := scan; scan < len(a.fresh); scan++ {
		worth, expected := 0, -1
		if a.expect != nil {
			expected = a.expect(scan)
		}
		pos, n, worth = a.longest(scan, scan+shift, expected)
		if pos == scan+shift && done < scan+n { // what is between done and scan does not agree
			score, done = score+scan+n-max(done, scan), scan+n
		}
		for ; done < scan+n; done++ {
			score += one(a.agrees(done, shift))
		}
		if n == score && n != 0 || worth > score+a.gain || worth+seedLength > score+a.gain && worth+a.earlier(scan, pos) > score+a.gain {
			return scan, pos, n, score
		}
		score -= one(a.agrees(scan, shift))
	}
	return scan, pos, n, score
}

// longest returns the place in old with the match of the new file from scan on that is worth most: length less what it
// costs to say where. Places at hints come first and cost nothing.
func (a *alignment) longest(scan, hint, expected int) (at, n, worth int) {
	rest := a.fresh[scan:]
	for _, h := range [...]int{hint, expected} {
		if h >= 0 && h < len(a.old) {
			if l := common(a.old[h:], rest); l > n {
				at, n, worth = h, l, l
			}
		}
	}
	if scan == 0 || len(rest) < seedLength {
		return at, n, worth
	}
	if scan-a.ahead.from >= a.ahead.n {
		a.look(&a.ahead, a.fresh, scan)
	}
	s, mask, looked := &a.ahead.spans[scan-a.ahead.from], uint32(1)<<a.tag-1, 0
	for k := s.to; k > s.from && looked < maxChain; k-- {
		place := a.places[k-1]
		if place&mask != s.more {
			continue
		}
		looked++
		i, cost := int(place>>a.tag), a.far
		if near(i, hint) || near(i, expected) {
			cost = 1
		}
		need := worth + cost
		if need >= len(rest) || i+need >= len(a.old) || a.old[i+need] != rest[need] {
			continue
		}
		if l := common(a.old[i:], rest); l-cost > worth {
			at, n, worth = i, l, l-cost
		}
	}
	return at, n, worth
}

// agrees tells whether what is at a place of the new file is in the old one.
func (a *alignment) agrees(at, shift int) bool {
	o := at + shift
	return o >= 0 && o < len(a.old) && a.old[o] == a.fresh[at]
}

// earlier counts the bytes before scan that match those before pos, and not those of the alignment: not each place is looked up.
func (a *alignment) earlier(scan, pos int) (n int) {
	for k := 1; k <= seedLength && scan-k > a.from && pos >= k && a.old[pos-k] == a.fresh[scan-k]; k++ {
		n += one(!a.agrees(scan-k, a.pos-a.from))
	}
	return n
}

// close ends the alignment where another one begins, each going as far as it is better.
func (a *alignment) close(scan, pos int) {
	forward, back := a.forward(scan), 0
	if scan < len(a.fresh) {
		back = a.backward(scan, pos)
	}
	if over := a.from + forward - (scan - back); over > 0 {
		keep := a.split(a.from+forward-over, a.pos+forward-over, scan-back, pos-back, over)
		forward += keep - over
		back -= keep
	}
	if forward > 0 {
		a.out = append(a.out, stretch{a.pos, a.from, forward})
	}
	a.from, a.pos = scan-back, pos-back
}

// hopeless is by how many bytes an alignment may do more harm than good without being given up.
const hopeless = 1 << 10

// forward extends the alignment as far as it does more good than harm.
func (a *alignment) forward(end int) int {
	fresh := a.fresh[a.from:end]
	old := a.old[min(max(a.pos, 0), len(a.old)):]
	fresh = fresh[:min(len(fresh), len(old))]
	sum, best, n := 0, 0, 0
	for i := 0; i < len(fresh) && sum*2-i > best*2-n-hopeless; i++ {
		if old[i] != fresh[i] {
			continue
		}
		k := common(old[i:], fresh[i:])
		sum, i = sum+k, i+k
		if sum*2-i > best*2-n {
			best, n = sum, i
		}
	}
	return n
}

// backward tells how far before scan the alignment that begins there with pos does so.
func (a *alignment) backward(scan, pos int) int {
	n := min(scan-a.from, pos)
	fresh, old := a.fresh[scan-n:scan], a.old[pos-n:pos]
	sum, best, back := 0, 0, 0
	for i := 0; i < n && sum*2-i > best*2-back-hopeless; i++ {
		if old[n-i-1] != fresh[n-i-1] {
			continue
		}
		k := commonEnd(old[:n-i], fresh[:n-i])
		sum, i = sum+k, i+k
		if sum*2-i > best*2-back {
			best, back = sum, i
		}
	}
	return back
}

// split tells how many of the bytes that both alignments claim the first keeps.
func (a *alignment) split(scanA, posA, scanB, posB, over int) int {
	sum, best, keep := 0, 0, 0
	for i := range over {
		if a.fresh[scanA+i] == a.old[posA+i] {
			sum++
		}
		if a.fresh[scanB+i] == a.old[posB+i] {
			sum--
		}
		if sum > best {
			best, keep = sum, i+1
		}
	}
	return keep
}

// copied is how much of the new file stretches make.
func copied(s []stretch) (n int) {
	for _, c := range s {
		n += c.n
	}
	return n
}

// ops turns stretches into what the residual codes. The first op may be empty.
func ops(s []stretch, size int) []op {
	out := []op{{}}
	pos, done := 0, 0
	for _, st := range s {
		if st.fresh > done || st.old != pos {
			last := &out[len(out)-1]
			last.inserted, last.seek = st.fresh-done, st.old-pos
			out = append(out, op{})
		}
		out[len(out)-1].copied += st.n
		pos, done = st.old+st.n, st.fresh+st.n
	}
	out[len(out)-1].inserted = size - done
	return out
}
