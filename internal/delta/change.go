package delta

// A changeModel foretells which of the copied bytes change, and to what. Of what is copied as it is,
// each chunk costs next to nothing.
type changeModel struct {
	mixer   *mixer
	dirty   uint32   // which of the last chunks had changes
	since   int      // bytes since the last change, at most 255
	changes uint32   // which of the last bytes were changed
	diffs   [256]int // last difference in each class
}

const (
	chunk      = 64 // bytes that share a flag
	changeBits = 21 // of the mixer's table: 8 MB
)

func newChangeModel() changeModel { return changeModel{mixer: newMixer(changeBits), since: 255} }

// copy codes dst, which resembles data.
func (r *residual) copy(dst, data, class []byte) {
	m, size := &r.change, chunk
	if r.dense != nil {
		size = denseChunk
	}
	for at := 0; at < len(dst) && !r.c.bad && r.budget >= 0; at += size {
		end := min(at+size, len(dst))
		d, p, k := dst[at:end], data[at:end], class[at:end]
		changed := one(string(d) != string(p))
		r.part(partChunks)
		switch {
		case r.dense != nil:
			if r.dense.chunk(r.c, changed) == 0 {
				copy(d, p)
			} else {
				r.denselyChanged(d, p, k)
			}
		case r.chunkFlag(changed, k) == 0:
			copy(d, p)
			m.since, m.changes = min(m.since+len(d), 255), 0
			for _, v := range d[max(0, len(d)-4):] {
				r.last = r.last<<8 | uint32(v)
			}
		default:
			r.chunk(d, p, k)
		}
	}
}

// chunkFlag codes whether anything changes in a chunk.
func (r *residual) chunkFlag(changed int, class []byte) int {
	m := &r.change
	k := uint32(class[len(class)/2])
	contexts := [...]uint32{
		hash2(1, m.dirty&0xff),
		hash2(2, k<<8|m.dirty&3),
		hash2(3, m.dirty&0xffff),
		hash2(4, uint32(len(class))<<2|m.dirty&3),
	}
	changed = r.c.mixed(m.mixer, changed, contexts[:], int(m.dirty&3))
	m.dirty = m.dirty<<1 | uint32(changed)
	return changed
}

// chunk codes a chunk with changes.
func (r *residual) chunk(dst, data, class []byte) {
	r.budget -= int64(len(data)) / 4
	for i, old := range data {
		v := dst[i]
		next := uint32(0)
		if i+1 < len(data) {
			next = uint32(data[i+1])
		}
		if r.changeFlag(one(v != old), uint32(old), uint32(class[i]), next) == 0 {
			v = old
			r.change.since = min(r.change.since+1, 255)
		} else {
			v = r.changedByte(v, old, class[i], next)
			r.change.since = 0
		}
		dst[i] = v
		r.last = r.last<<8 | uint32(v)
	}
}

// changeFlag codes whether one byte of such a chunk changes.
func (r *residual) changeFlag(changed int, old, class, next uint32) int {
	r.part(partFlags)
	m := &r.change
	contexts := [...]uint32{
		hash2(11, class<<8|m.changes&0xff),
		hash2(12, class<<16|old<<8|next),
		hash2(13, class<<8|uint32(min(m.since, 31))),
		hash2(14, m.changes&0xffff),
		hash2(15, old<<16|r.last&0xffff),
		hash2(16, class<<16|old<<8|r.last&0xff),
	}
	changed = r.c.mixed(m.mixer, changed, contexts[:], 4+int(m.changes&3)<<1+min(int(class), 1))
	m.changes = m.changes<<1 | uint32(changed)
	return changed
}

// changedByte codes what it becomes.
func (r *residual) changedByte(v, old, class byte, next uint32) byte {
	r.part(partChanged)
	m := &r.change
	r.budget -= 2
	k, o, diff := uint32(class), uint32(old), m.diffs[class]
	contexts := [...]uint32{
		hash2(21, k<<8|o),
		hash2(22, k<<8|uint32(byte(int(old)+diff))),
		hash2(23, o<<8|r.last&0xff),
		hash2(24, r.last&0xffff),
		hash2(25, k<<16|o<<8|next),
		hash2(26, k<<16|uint32(byte(diff))<<8|m.changes&7),
	}
	v = r.c.mixedByte(m.mixer, v, contexts[:], 16+int(class)/8)
	m.diffs[class] = int(v) - int(old)
	return v
}
