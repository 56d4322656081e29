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
	most    uint64 // that may be inserted
	change  changeModel
	insert  insertModel
	dense   *denseModel              // where much is inserted, instead of change
	repeats *repeater                // what is inserted, where that is too much to be modelled
	budget  int64                    // of modelled bytes: a decoder's time is bounded
	done    uint64                   // bytes of the new file
	block   [blockSize]byte          // the next ones: an encoder's hold them before they are coded, a decoder's after that
	out     *packer                  // decoder: where they go
	fresh   []byte                   // encoder: where they come from
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
	r := &residual{c: c, most: p.size, budget: budget(p.size), src: p.source(old), guess: newGuesser(p), copies: newIntModel(1), inserts: newIntModel(8),
		seeks: newIntModel(8)}
	if p.repeats {
		r.repeats, r.dense = newRepeater(c, p.size), newDenseModel()
		if p.image == nil {
			r.repeats.whole, r.repeats.old = true, old
		}
	} else {
		r.change = newChangeModel()
	}
	return r
}

// decode writes size bytes.
func (r *residual) decode(size uint64, out *packer) error {
	r.out = out
	return r.run(size, nil)
}

// encode codes what makes fresh of the prediction.
func (r *residual) encode(ops []op, fresh []byte) error {
	r.fresh = fresh
	return r.run(uint64(len(fresh)), ops)
}

// run codes rounds until size bytes are done. An encoder has ops, a decoder nil.
func (r *residual) run(size uint64, ops []op) error {
	at := uint64(0)
	for first := true; r.done < size; first = false {
		var o op
		if len(ops) > 0 {
			o, ops = ops[0], ops[1:]
		}
		r.note(partCopies)
		copied := r.c.uint(uint64(o.copied), r.copies, 0)
		if copied > size-r.done || copied > r.src.size()-at || r.c.bad {
			return r.broken("a copy beyond the end")
		}
		if err := r.copyAll(at, copied); err != nil {
			return err
		}
		at += copied
		r.note(partInserts)
		inserted := r.c.uint(uint64(o.inserted), r.inserts, width(copied))
		if inserted > size-r.done || copied+inserted == 0 && !first || r.c.bad {
			return r.broken("an insertion beyond the end")
		}
		if err := r.insertAll(at, inserted); err != nil {
			return err
		}
		if r.done == size {
			break
		}
		r.note(partSeeks)
		at = r.guess.code(r.c, at+uint64(o.seek), at, r.done, r.seeks)
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
func (r *residual) copyAll(at, n uint64) error {
	for n > 0 {
		data, class, err := r.src.at(at)
		if err != nil {
			return err
		}
		k := min(uint64(len(data)), n)
		dst := r.next(k, partChunks)
		r.copy(dst, data[:k], class[:k])
		if z := r.repeats; z != nil && z.whole {
			for _, v := range dst {
				z.push(v)
			}
		}
		if err := r.settle(dst); err != nil {
			return err
		}
		at, n = at+k, n-k
	}
	return nil
}

// insertAll codes n bytes that take the place of what the prediction has at a place.
func (r *residual) insertAll(at, n uint64) error {
	if n > 0 && r.repeats == nil && r.insert.mixer == nil {
		r.insert = newInsertModel(r.most)
	}
	if n >= 2 {
		if err := r.train(at); err != nil {
			return err
		}
	}
	for n > 0 {
		k := min(n, blockSize)
		dst := r.next(k, partInserted)
		if err := r.insertBlock(dst, at); err != nil {
			return err
		}
		if err := r.settle(dst); err != nil {
			return err
		}
		at, n = at+k, n-k
	}
	return nil
}

// next returns the block of the next n bytes, which p says of how they are coded.
func (r *residual) next(n uint64, p int) []byte {
	r.note(p)
	copy(r.block[:n], r.fresh)
	return r.block[:n]
}

// settle is called when a block is coded.
func (r *residual) settle(block []byte) error {
	if r.c.bad || r.budget < 0 {
		return r.broken("")
	}
	r.done += uint64(len(block))
	if r.out != nil {
		return r.out.Write(block)
	}
	r.fresh = r.fresh[len(block):]
	return nil
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
func (r *residual) note(p int) {
	if r.notes != nil {
		r.notes(p, r.done)
	}
}
