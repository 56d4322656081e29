package delta

import "runtime/debug"

// An encoding makes patches of alignments.
type encoding struct {
	old, fresh []byte // fresh is without the generated parts
	plan       *plan
	sections   []part // of fresh, for the tally
	repeats    bool   // whether insertions are coded as literals and matches, few as they may be
}

// How many inserted bytes are modelled, which makes them small and slow to decode; more are coded as literals and
// matches, and the changes beside them are modelled less. Deltas for executables are to take no more time than unpacking the full file would.
const (
	modelledData  = 1 << 20
	modelledLeast = 1 << 16
	modelledShare = 64
)

func (e *encoding) modelled() int64 {
	if e.plan.image == nil {
		return modelledData
	}
	return modelledLeast + int64(len(e.fresh)/modelledShare)
}

// encode makes the patch for the alignment s of the new file.
func (e *encoding) encode(whole []byte, s []stretch) ([]byte, *Stats, error) {
	h := newHeader(e.old, whole)
	rounds := ops(s, len(e.fresh))
	stats := &Stats{Transformed: e.plan.image != nil, Ops: len(rounds)}
	for _, o := range rounds {
		stats.Copied += int64(o.copied)
		stats.Inserted += int64(o.inserted)
	}
	e.plan.repeats = e.repeats || stats.Inserted > e.modelled()
	stats.Repeats = e.plan.repeats
	c := newEncoder()
	if err := e.body(c, rounds, h.newSize, stats); err != nil {
		return nil, nil, err
	}
	debug.FreeOSMemory() // what the models took
	return c.finish(h.bytes()), stats, nil
}

// body codes plan and residual.
func (e *encoding) body(c *coder, rounds []op, newSize uint64, stats *Stats) error {
	c.tally = newTally(len(e.sections))
	if _, err := codePlan(c, e.old, e.plan, newSize); err != nil {
		return err
	}
	r := newResidual(c, e.plan, e.old)
	r.guess.choose, r.most = r.guess.closest, uint64(stats.Inserted)
	r.notes = func(p int, done uint64) { c.tally.note(e.sections, p, done) }
	if e.plan.repeats {
		if z := r.repeats; z.whole {
			z.more = newParser(z, e.fresh, rounds).next
		} else {
			all := insertions(rounds, e.fresh)
			z.more = newParser(z, all, []op{{inserted: len(all)}}).next
		}
	}
	if err := r.encode(rounds, e.fresh); err != nil {
		return err
	}
	stats.Spent = c.tally.list(e.sections)
	if im := e.plan.image; im != nil {
		stats.Steps = len(im.moves) + len(im.lines.m)
	}
	return nil
}

// changed counts the bytes that copying changes.
func changed(old, fresh []byte, s []stretch) (n int) {
	for _, c := range s {
		for i, v := range fresh[c.fresh:][:c.n] {
			n += one(v != old[c.old+i])
		}
	}
	return n
}

// insertions is all that is inserted.
func insertions(rounds []op, fresh []byte) []byte {
	n, at := 0, 0
	for _, o := range rounds {
		n += o.inserted
	}
	all := make([]byte, 0, n)
	for _, o := range rounds {
		at += o.copied
		all = append(all, fresh[at:at+o.inserted]...)
		at += o.inserted
	}
	return all
}

// without returns b without the generated parts; in b itself, if it is ours.
func without(b []byte, parts []generated, ours bool) []byte {
	if len(parts) == 0 {
		return b
	}
	out, at := b[:0], uint64(0)
	if !ours {
		out = make([]byte, 0, len(b))
	}
	for _, g := range parts {
		out = append(out, b[at:g.off]...)
		at = g.off + g.size
	}
	return append(out, b[at:]...)
}
