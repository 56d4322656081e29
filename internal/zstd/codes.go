package zstd

import "sync"

// What the codes of literal lengths, match lengths and offsets mean (RFC 8878, 3.1.1.3.2.1), and the
// distributions of these where a block brings none (3.1.1.3.2.2).
const (
	literalCodes = 36
	matchCodes   = 53
	offsetCodes  = 32

	largestOffset = 25 // so that what a sequence takes is in one load
)

var (
	literalExtra = [...]uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	matchExtra   = [...]uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

	literalDefault = [...]int8{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}
	matchDefault   = [...]int8{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}
	offsetDefault  = [...]int8{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}
)

// A kind is one of the three things that a sequence consists of.
type kind struct {
	values     []cell
	maxLog     uint
	predefined table
}

type kinds struct{ literal, offset, match kind }

// codes are built at the first use: most runs of a program decode nothing.
var codes = sync.OnceValue(func() *kinds {
	var k kinds
	k.literal = newKind(lengths(0, literalCodes, literalExtra[:]), 9, 6, literalDefault[:])
	k.match = newKind(lengths(3, matchCodes, matchExtra[:]), 9, 6, matchDefault[:])
	k.offset = newKind(offsets(), 8, 5, offsetDefault[:])
	return &k
})

// lengths are n codes: one value each from first on, and at the end ranges with extra bits.
func lengths(first uint64, n int, extra []uint8) []cell {
	values := make([]cell, n)
	for i := range values {
		var e uint64
		if at := i - (n - len(extra)); at >= 0 {
			e = uint64(extra[at])
		}
		values[i] = newCell(first, e)
		first += 1 << e
	}
	return values
}

// offsets are the distance from code 2 on, where it is given; below, which earlier one is meant. From
// largestOffset on they are beyond the largest window, whatever their bits are.
func offsets() []cell {
	values := make([]cell, offsetCodes)
	for i := range values {
		switch {
		case i < 2:
			values[i] = newCell(1<<i, uint64(i))
		case i < largestOffset:
			values[i] = newCell(1<<i-3, uint64(i))
		default:
			values[i] = newCell(1<<30, 2)
		}
	}
	return values
}

func newKind(values []cell, maxLog, log uint, states []int8) kind {
	k := kind{values: values, maxLog: maxLog}
	d := distribution{n: len(states), log: log}
	for i, n := range states {
		d.states[i] = int16(n)
	}
	k.predefined.build(&d, values)
	return k
}
