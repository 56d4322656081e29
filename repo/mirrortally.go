package repo

import "sync"

// tally counts what a mirror does, from several goroutines.
type tally struct {
	mu     sync.Mutex
	report func(MirrorProgress)
	is     MirrorProgress
	copies int
	bytes  int64 // of the copies
	same   int
	later  []*mirrorFile // what waits for the timestamp
}

func newTally(report func(MirrorProgress), lists ...[]*mirrorFile) *tally {
	t := &tally{report: report}
	for _, list := range lists {
		t.is.FilesTotal += len(list)
		for _, f := range list {
			t.is.BytesTotal += f.want.Length
		}
	}
	return t
}

// change changes the tally, and reports it.
func (t *tally) change(f *mirrorFile, by func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	by()
	t.is.File = f.name
	if t.report != nil {
		t.report(t.is)
	}
}

// read is told of bytes that came from the source; of fewer than none where they were not the right ones.
func (t *tally) read(f *mirrorFile, n int64) {
	t.change(f, func() { t.is.Bytes += n; t.is.BytesCopied += n })
}

// copied is told of a file that is written.
func (t *tally) copied(f *mirrorFile) {
	t.change(f, func() { t.is.Files++; t.copies++; t.bytes += f.want.Length })
}

// present is told of a file that was found to be right.
func (t *tally) present(f *mirrorFile) {
	t.change(f, func() { t.is.Files++; t.is.Bytes += f.want.Length; t.same++ })
}

// wait puts a file off until the timestamp is written.
func (t *tally) wait(f *mirrorFile) {
	t.change(f, func() { t.later = append(t.later, f) })
}

// count adds what was done to a result.
func (t *tally) count(r *Mirrored) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Copied, r.Bytes, r.Present = r.Copied+t.copies, r.Bytes+t.bytes, r.Present+t.same
	t.copies, t.bytes, t.same = 0, 0, 0
}
