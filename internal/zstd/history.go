package zstd

// A history is what was decoded, the window and more. Blocks are decoded straight into it and handed on from it;
// it is filled over and over, a lap each time.
type history struct {
	buf []byte
	out int // so much of this lap was handed on
	end int // and so much is decoded
	lap int // where the lap before ended, 0 if there was none
}

// prepare makes room for a frame of which keep bytes are looked back at, in blocks of at most most bytes.
//
// A lap ends when less than a block and a margin are left, so that it is at least keep and a margin long: what is looked back at
// from anywhere in the next lap lies behind what copies may write there.
func (h *history) prepare(keep, most int) {
	if size := keep + most + 2*margin; size > len(h.buf) {
		h.buf = nil // before the larger one is there
		*h = history{buf: room(size)}
	}
}

// fits tells whether n bytes more fit into this lap.
func (h *history) fits(n int) bool { return h.end+n+margin <= len(h.buf) }

// wrap begins the next lap.
func (h *history) wrap() { h.lap, h.out, h.end = h.end, 0, 0 }

// made is how many bytes are to be handed on.
func (h *history) made() int { return h.end - h.out }

func (h *history) handOn() []byte {
	piece := h.buf[h.out:h.end]
	h.out = h.end
	return piece
}
