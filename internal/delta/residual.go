package delta

// The residual says how the new file follows from the prediction: alternately copy a stretch of it,
// changing bytes, and insert bytes, then go elsewhere in it. One procedure codes it in
// both directions.
type residual struct {
	c       *coder
	src     *source
	guess   *guesser
	copies  *intModel
	inserts *intModel
	seeks   *intModel
	last    uint32 // the last four bytes
	change  changeModel
	insert  insertModel
	dense   *denseModel              // where much is inserted, instead of change
	repeats *repeater                // what is inserted, where that is too much to be modelled
	budget  int64                    // of modelled bytes: a decoder's time is bounded
	notes   func(p int, done uint64) // encoder, for the tally: what is coded next, and where in the new file
}

// An op is one round.
type op struct {
	copied, inserted int
	seek             int // from where copying ended
}

// budget returns how many bytes may be modelled one by one for a new file of a size. It is
// much more than any good delta has.
func budget(size uint64) int64 { return 1<<22 + int64(size)/2 }

func newResidual(c *coder, p *plan, old []byte) *residual {
	r := &residual{c: c, budget: budget(p.size), src: p.source(old), guess: newGuesser(p), copies: newIntModel(1), inserts: newIntModel(8),
		seeks: newIntModel(8)}
	if p.repeats {
		r.repeats, r.dense = newRepeater(c), newDenseModel()
		if p.image == nil {
			r.repeats.whole, r.repeats.old = true, old
		}
	} else {
		r.change = newChangeModel()
	}
	return r
}

// decode writes size bytes.
func (r *residual) decode(size uint64, write func([]byte) error) error {
	return r.run(size, nil, nil, write)
}

// encode codes what makes fresh of the prediction.
func (r *residual) encode(ops []op, fresh []byte) error {
	return r.run(uint64(len(fresh)), ops, fresh, func([]byte) error { return nil })
}

// run codes rounds until size bytes are done. An encoder has ops and what they make, a decoder nil.
func (r *residual) run(size uint64, ops []op, fresh []byte, write func([]byte) error) error {
	at, done := uint64(0), uint64(0)
	buf := make([]byte, blockSize)
	for first := true; done < size; first = false {
		var o op
		if len(ops) > 0 {
			o, ops = ops[0], ops[1:]
		}
		r.note(partCopies, done)
		copied := r.c.uint(uint64(o.copied), r.copies, 0)
		if copied > size-done || copied > r.src.size()-at || r.c.bad {
			return r.broken("a copy beyond the end")
		}
		if err := r.copyAll(at, copied, done, buf, fresh, write); err != nil {
			return err
		}
		at, done = at+copied, done+copied
		r.note(partInserts, done)
		inserted := r.c.uint(uint64(o.inserted), r.inserts, width(copied))
		if inserted > size-done || copied+inserted == 0 && !first || r.c.bad {
			return r.broken("an insertion beyond the end")
		}
		if err := r.insertAll(at, inserted, done, buf, fresh, write); err != nil {
			return err
		}
		if done += inserted; done == size {
			break
		}
		r.note(partSeeks, done)
		at = r.guess.code(r.c, at+uint64(o.seek), at, done, r.seeks)
		if at > r.src.size() {
			return r.broken("a jump beyond the end")
		}
	}
	return nil
}

func (r *residual) broken(what string) error {
	switch {
	case r.c.bad:
		what = "the body ends early"
	case r.budget < 0:
		return limitError("more changes than any good delta has")
	}
	return formatError("%s", what)
}

// copyAll codes n bytes that resemble the prediction at a place, block by block.
func (r *residual) copyAll(at, n, done uint64, buf, fresh []byte, write func([]byte) error) error {
	for end := at + n; at < end; {
		data, class, err := r.src.at(at)
		if err != nil {
			return err
		}
		k := min(uint64(len(data)), end-at)
		r.note(partChunks, done)
		r.copy(buf[:k], data[:k], class[:k], rest(fresh, done))
		if r.c.bad || r.budget < 0 {
			return r.broken("")
		}
		if z := r.repeats; z != nil && z.whole {
			for _, v := range buf[:k] {
				z.push(v)
			}
		}
		if err := write(buf[:k]); err != nil {
			return err
		}
		at, done = at+k, done+k
	}
	return nil
}

// insertAll codes n bytes that take the place of what the prediction has at a place.
func (r *residual) insertAll(at, n, done uint64, buf, fresh []byte, write func([]byte) error) error {
	if r.repeats == nil && r.insert.mixer == nil {
		r.insert = newInsertModel()
	}
	if n >= 2 {
		if err := r.train(at); err != nil {
			return err
		}
	}
	for end := done + n; done < end; {
		k := min(end-done, blockSize)
		r.note(partInserted, done)
		if err := r.insertBlock(buf[:k], at, rest(fresh, done)); err != nil {
			return err
		}
		if r.c.bad || r.budget < 0 {
			return r.broken("")
		}
		if err := write(buf[:k]); err != nil {
			return err
		}
		at, done = at+k, done+k
	}
	return nil
}

func rest(fresh []byte, done uint64) []byte {
	if fresh == nil {
		return nil
	}
	return fresh[done:]
}

// width is a context of 8 that tells lengths apart.
func width(n uint64) int {
	switch {
	case n < 4:
		return int(n)
	case n < 16:
		return 4
	case n < 64:
		return 5
	case n < 1024:
		return 6
	}
	return 7
}

// part tells the tally, if there is one, what is coded next.
func (r *residual) part(p int) {
	if r.c.tally != nil {
		r.c.tally.part = p
	}
}

// note tells the tally where in the new file that is, too.
func (r *residual) note(p int, done uint64) {
	if r.notes != nil {
		r.notes(p, done)
	}
}
