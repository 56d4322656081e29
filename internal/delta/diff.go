package delta

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
)

// Options of Diff. The zero value is good.
type Options struct {
	// Progress, if not nil, is called when a step is done, with the number of steps done and of all.
	Progress func(done, all int)
}

// Stats tells how a delta came about, and where its bytes are.
type Stats struct {
	Transformed bool    // whether references were rewritten: both files are Go executables of one kind
	Steps       int     // of the address map and the line map
	Ops         int     // rounds of copying and inserting
	Copied      int64   // bytes copied, changed ones included
	Inserted    int64   // bytes inserted
	Repeats     bool    // whether there are so many insertions that they are coded as literals and matches
	Spent       []Spent // by section and kind
}

// Spent is what one kind of information about one section of the new file takes in the patch.
type Spent struct {
	Section string // "" for what is in none
	Kind    string
	Bytes   float64
}

// Diff makes a delta from old to fresh. It tries several ways, those that look good, and returns the smallest result with
// which Apply makes fresh of old; the same files give the same delta.
//
// It needs up to 12 times the memory of the larger file, the files themselves included. Small files take what its tables and models
// are: data up to 18 MB, Go executables 20 MB, and 33 MB with debugging information. For that it makes the garbage
// collector of the whole program work harder while it runs. It uses as many processors as there are, where it can.
//
// Errors: ErrLimit for files of more than 2 GB.
func Diff(old, fresh []byte, opts Options) ([]byte, *Stats, error) {
	if int64(max(len(old), len(fresh))) > maxFile {
		return nil, nil, limitError("files of more than %d bytes", int64(maxFile))
	}
	defer debug.SetGCPercent(debug.SetGCPercent(garbage)) // large slices come and go
	d := &differ{old: old, fresh: fresh, progress: opts.Progress}
	if !d.transformed() {
		d.generic()
	}
	return d.best()
}

// garbage is how much may lie about, in percent of what is in use.
const garbage = 15

// A differ collects tries.
type differ struct {
	old, fresh []byte
	mutex      sync.Mutex // of what follows
	tries      []try      // the smallest first
	progress   func(done, all int)
	done       int
}

// A try is a patch. Where a smaller one was found it is forgotten, since it may be as large as the files, and can be made again.
type try struct {
	order int // of two of a size the first is better
	size  int
	patch []byte
	stats *Stats
	again func() ([]byte, *Stats, error) // nil if the patch is not to be forgotten
}

// Steps that progress is told about, at the most.
const allSteps = 6

func (d *differ) step() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.done = min(d.done+1, allSteps-1); d.progress != nil {
		d.progress(d.done, allSteps)
	}
}

// What alignments cost, found by trial. Where much of the new file is new, small gains are not worth the rounds.
var (
	maskedCosts = costs{3, 0}  // without references
	draftCosts  = costs{6, 16} // with the first prediction
	fewCosts    = costs{3, 16}
	muchCosts   = costs{12, 32}
	// The same for files that are data. Text likes long matches: its letters are cheap to insert.
	dataCosts = [...]costs{{8, 8}, {16, 28}, {32, 28}}
)

// muchShare is the share of what is inserted in a file where that is much.
const muchShare = 6

// generic takes the files as data.
func (d *differ) generic() {
	ways := d.ways()
	d.step()
	debug.FreeOSMemory() // what the matcher took
	needs := make([]int, len(ways))
	for i, w := range ways {
		needs[i] = w.memory(d)
	}
	within(atOnce*max(len(d.old), len(d.fresh)), needs, func(i int) {
		d.try(i, d.data(ways[i]))
		debug.FreeOSMemory() // what it took
		d.step()
	})
	if len(d.tries) == 0 {
		d.try(0, d.data(way{})) // everything inserted: no limit is in the way of that
	}
}

// data makes a patch in one way.
func (d *differ) data(w way) func() ([]byte, *Stats, error) {
	return func() ([]byte, *Stats, error) {
		e := &encoding{old: d.old, fresh: d.fresh, plan: &plan{}, repeats: w.repeats}
		return e.encode(d.fresh, w.found)
	}
}

// A way to make data of data: an alignment, or literals and matches alone.
type way struct {
	found   []stretch
	repeats bool
}

// repeatedShare is of how much of the new file more has to be inserted or changed for literals and matches alone to be tried: what is
// compressed shares short pieces.
const repeatedShare = 16

// ways are those that look good. Of alignments with so many insertions that they are literals and matches all the same, one is enough, and
// only if much is aligned.
func (d *differ) ways() (out []way) {
	m := newMatcher(d.old)
	var found [len(dataCosts)][]stretch
	together(func() { found[0] = m.stretches(d.fresh, dataCosts[0], nil) }, func() {
		for i := 1; i < len(found); i++ {
			found[i] = m.stretches(d.fresh, dataCosts[i], nil)
		}
	})
	size := len(d.fresh)
	for i, s := range found {
		if i > 0 && slices.Equal(s, found[i-1]) {
			continue
		}
		if n := copied(s); size-n <= modelledData || i == 0 && n > size/4 {
			out = append(out, way{found: s})
		}
	}
	if s := found[0]; size-copied(s)+changed(d.old, d.fresh, s) > size/repeatedShare {
		out = append(out, way{repeats: true})
	}
	return out
}

// memory is what encoding takes, about, in bytes.
func (w way) memory(d *differ) int {
	const models = 12 << 20
	n := models + len(d.fresh) // for the patch
	if w.repeats || len(d.fresh)-copied(w.found) > modelledData {
		n += 6 * max(len(d.old), len(d.fresh)) // for a parser
	}
	return n
}

// atOnce is how many times the larger file may be in use by what is encoded beside each other.
const atOnce = 8

// within does things beside each other, those that need at most so much together, and one at least.
func within(room int, needs []int, do func(int)) {
	var wait sync.WaitGroup
	var mutex sync.Mutex
	free := sync.NewCond(&mutex)
	used := 0
	for i, n := range needs {
		mutex.Lock()
		for used > 0 && used+n > room {
			free.Wait()
		}
		used += n
		mutex.Unlock()
		wait.Add(1)
		go func() {
			defer wait.Done()
			do(i)
			mutex.Lock()
			used -= n
			mutex.Unlock()
			free.Signal()
		}()
	}
	wait.Wait()
}

// transformed takes them as Go executables, if they are. It tells whether that pays, so that taking them as data is no use.
func (d *differ) transformed() (pays bool) {
	var a, b *goFile
	together(func() { a = readGo(d.old, false) }, func() { b = readGo(d.fresh, true) })
	d.step()
	if a == nil || b == nil || a.arch != b.arch {
		return false
	}
	t := newTransform(d.old, d.fresh, a, b)
	d.step()
	predicted := t.improve()
	d.step()
	e := t.encoding()
	c := fewCosts
	if t.much {
		c = muchCosts
	}
	debug.FreeOSMemory()
	found := newMatcher(predicted).stretches(e.fresh, c, t.expect())
	// The old file as it is would differ in twice as many places.
	pays = 2*changed(predicted, e.fresh, found) < changed(a.image.old, e.fresh, found)
	d.step()
	debug.FreeOSMemory()
	d.try(0, func() ([]byte, *Stats, error) { return e.encode(d.fresh, found) })
	if len(d.tries) == 0 {
		return false
	}
	d.tries[0].again = nil // it would keep all that the executables take
	debug.FreeOSMemory()   // that
	return pays || d.tries[0].size <= len(d.fresh)/20
}

// try makes a patch, and forgets all but the smallest. What cannot be encoded within the limits is none.
func (d *differ) try(order int, encode func() ([]byte, *Stats, error)) {
	patch, stats, err := encode()
	if err != nil {
		return
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.tries = append(d.tries, try{order, len(patch), patch, stats, encode})
	sort.Slice(d.tries, func(i, j int) bool {
		a, b := &d.tries[i], &d.tries[j]
		return a.size < b.size || a.size == b.size && a.order < b.order
	})
	for i := range d.tries {
		if t := &d.tries[i]; i > 0 && t.again != nil {
			t.patch = nil
		}
	}
}

// best returns the smallest that the decoder makes the new file of.
func (d *differ) best() ([]byte, *Stats, error) {
	err := errors.New("there is none")
	for _, t := range d.tries {
		if t.patch == nil {
			t.patch, t.stats, _ = t.again() // as before: there is no error
		}
		check := &comparer{want: d.fresh}
		if _, err = apply(check, d.old, t.patch, alone(int64(len(d.fresh)))); err == nil {
			if d.progress != nil {
				d.progress(allSteps, allSteps)
			}
			return t.patch, t.stats, nil
		}
	}
	return nil, nil, fmt.Errorf("no delta reproduces the new file: %w", err)
}

// A comparer is a writer that takes only what it wants.
type comparer struct{ want []byte }

func (c *comparer) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(c.want, b) {
		return 0, errors.New("the new file comes out different")
	}
	c.want = c.want[len(b):]
	return len(b), nil
}
