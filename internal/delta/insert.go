package delta

// An insertModel foretells inserted bytes: from those before, from what followed the same ones
// earlier, and from the bytes of the prediction that they take the place of.
type insertModel struct {
	mixer     *mixer
	history   []byte   // what was inserted
	index     []uint32 // where in history a hash was last
	match     int      // place in history whose byte is expected
	matched   int      // length of the match
	trainings int
}

const (
	insertBits  = 21 // of the mixer's table: 8 MB
	historySize = 1 << 21
	indexBits   = 18
	matchLength = 5

	// Before an insertion the models learn from that many bytes on either side of it, so often at most.
	trainedAround = 16
	maxTrainings  = 1 << 10

	unknownByte = 256
)

// newInsertModel makes one for at most so many bytes.
func newInsertModel(size uint64) insertModel {
	return insertModel{mixer: newMixer(insertBits), index: make([]uint32, 1<<indexBits), history: make([]byte, 0, min(size, historySize))}
}

// train lets the model learn from what is around a place in the prediction.
func (r *residual) train(at uint64) error {
	m := &r.insert
	if r.repeats != nil || m.trainings == maxTrainings {
		return nil
	}
	m.trainings++
	last := r.last
	m.matched = 0
	give := r.c.give
	r.c.give = func(int, uint32) {} // bits are known, and nothing is coded: the models learn
	for from, to := at-min(at, trainedAround), min(at+trainedAround, r.src.size()); from < to; {
		data, class, err := r.src.at(from)
		if err != nil {
			return err
		}
		data = data[:min(uint64(len(data)), to-from)]
		for i, v := range data {
			r.insertedByte(v, unknownByte, uint32(class[i]))
		}
		from += uint64(len(data))
	}
	r.c.give = give
	r.last, m.matched = last, 0
	return nil
}

// insertBlock codes dst. What the prediction has at off is a hint.
func (r *residual) insertBlock(dst []byte, off uint64) error {
	if r.repeats != nil {
		return r.repeats.read(dst)
	}
	r.budget -= 2 * int64(len(dst))
	var data, class []byte
	for i := range dst {
		old, k := uint32(0), uint32(0)
		if len(data) == 0 && off < r.src.size() {
			var err error
			if data, class, err = r.src.at(off); err != nil {
				return err
			}
			off += uint64(len(data))
		}
		if len(data) > 0 {
			old, k = uint32(data[0]), uint32(class[0])
			data, class = data[1:], class[1:]
		}
		dst[i] = r.insertedByte(dst[i], old, k)
	}
	return nil
}

func (r *residual) insertedByte(v byte, old, class uint32) byte {
	m := &r.insert
	expected, sure := uint32(0), 0
	if m.matched > 0 {
		expected, sure = uint32(m.history[m.match])+1, min(m.matched, 15)
	}
	contexts := [...]uint32{
		hash2(31, r.last&0xff),
		hash2(32, r.last&0xffff),
		hash2(33, r.last&0xffffff),
		hash2(34, r.last),
		hash2(35, old<<8|class),
		hash2(36, expected<<8|uint32(sure)),
		hash2(37, expected<<8|r.last&0xff),
	}
	v = r.c.mixedByte(m.mixer, v, contexts[:], sure)
	r.last = r.last<<8 | uint32(v)
	m.remember(v)
	return v
}

// remember adds v to what was inserted, and finds what came after the same bytes before.
func (m *insertModel) remember(v byte) {
	if m.matched > 0 && m.history[m.match] == v {
		m.matched++
		m.match++
	} else {
		m.matched = 0
	}
	if len(m.history) == historySize {
		m.history = m.history[:0]
		clear(m.index)
		m.matched = 0
	}
	m.history = append(m.history, v)
	n := len(m.history)
	if n < matchLength {
		return
	}
	b := m.history[n-matchLength:]
	slot := &m.index[hash2(le32(b), uint32(b[4]))>>(32-indexBits)]
	if m.matched == 0 && *slot > 0 {
		m.match = int(*slot)
		for m.matched < 32 && m.matched < m.match && m.history[m.match-1-m.matched] == m.history[n-1-m.matched] {
			m.matched++
		}
	}
	*slot = uint32(n)
}
