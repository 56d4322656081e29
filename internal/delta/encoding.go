package delta

// An encoding makes patches of alignments.
type encoding struct {
	old, fresh []byte // fresh is without the generated parts
	plan       *plan
	sections   []part // of fresh, for the tally
	compress   func([]byte) ([]byte, error)
}

// How many inserted bytes are modelled, which makes them small and slow to decode; more go into a zstd
// stream, and the changes beside them are modelled less. Deltas for executables are to take no more time than unpacking the full file would.
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
	var stored []byte
	e.plan.stored = 0
	if e.compress != nil && stats.Inserted > e.modelled() {
		var err error
		if stored, err = e.compress(insertions(rounds, e.fresh)); err != nil {
			return nil, nil, err
		}
		e.plan.stored = uint64(len(stored))
		stats.Stored = int64(len(stored))
	}
	body, err := e.body(rounds, h.newSize, stats)
	if err != nil {
		return nil, nil, err
	}
	return append(append(h.bytes(), body...), stored...), stats, nil
}

// body codes plan and residual.
func (e *encoding) body(rounds []op, newSize uint64, stats *Stats) ([]byte, error) {
	c := newEncoder()
	c.tally = &tally{section: len(e.sections), spent: map[[2]int]float64{}}
	if _, err := codePlan(c, e.old, e.plan, newSize); err != nil {
		return nil, err
	}
	r := newResidual(c, e.plan.source(e.old), newGuesser(e.plan), budget(e.plan.size))
	r.sections = e.sections
	if e.plan.stored > 0 {
		c.trimmed = 0
		r.stored = &inserted{rounds: rounds, fresh: e.fresh}
	}
	if err := r.encode(rounds, e.fresh); err != nil {
		return nil, err
	}
	stats.Spent = c.tally.list(e.sections)
	if im := e.plan.image; im != nil {
		stats.Steps = len(im.moves) + len(im.lines.m)
	}
	return c.finish(), nil
}

// insertions is all that is inserted.
func insertions(rounds []op, fresh []byte) []byte {
	all := make([]byte, 0, len(fresh))
	at := 0
	for _, o := range rounds {
		at += o.copied
		all = append(all, fresh[at:at+o.inserted]...)
		at += o.inserted
	}
	return all
}

// inserted reads what the rounds insert.
type inserted struct {
	rounds []op
	fresh  []byte
	left   int
}

func (r *inserted) Read(b []byte) (int, error) {
	for r.left == 0 {
		r.fresh = r.fresh[r.rounds[0].copied:]
		r.left, r.rounds = r.rounds[0].inserted, r.rounds[1:]
	}
	n := copy(b, r.fresh[:r.left])
	r.fresh, r.left = r.fresh[n:], r.left-n
	return n, nil
}

// without returns b without the generated parts.
func without(b []byte, parts []generated) []byte {
	if len(parts) == 0 {
		return b
	}
	out, at := make([]byte, 0, len(b)), uint64(0)
	for _, g := range parts {
		out = append(out, b[at:g.off]...)
		at = g.off + g.size
	}
	return append(out, b[at:]...)
}
