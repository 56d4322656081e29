package delta

import "math"

// What the bytes of a patch are spent on.
const (
	partPlan = iota
	partCopies
	partInserts
	partSeeks
	partChunks
	partFlags
	partChanged
	partInserted
	nParts
)

var partNames = [nParts]string{"plan", "copy lengths", "insert lengths", "jumps", "chunk flags", "change flags", "changed bytes",
	"inserted bytes"}

// A tally sums up what bits cost, by what they say and by the section of the new file.
type tally struct {
	part, section int
	bits          []float64         // of a chance in 1/4096
	spent         [][nParts]float64 // bits, by section
}

func newTally(sections int) *tally {
	t := &tally{section: sections, bits: make([]float64, 4096), spent: make([][nParts]float64, sections+1)}
	for i := range t.bits {
		t.bits[i] = 12 - math.Log2(float64(i)+0.5)
	}
	return t
}

func (t *tally) add(bit int, p uint32) {
	if bit == 0 {
		p = 65536 - p
	}
	t.spent[t.section][t.part] += t.bits[p>>4]
}

// note says what is coded next, and where in the new file that is.
func (t *tally) note(sections []part, p int, done uint64) {
	t.part, t.section = p, len(sections)
	for i, s := range sections {
		if done-s.off < s.size {
			t.section = i
			break
		}
	}
}

func (t *tally) raw(n int) { t.spent[t.section][t.part] += float64(n) }

// list returns what was spent, in order.
func (t *tally) list(sections []part) (out []Spent) {
	for i, kinds := range t.spent {
		for kind, bits := range kinds {
			if bits == 0 {
				continue
			}
			s := Spent{Kind: partNames[kind], Bytes: bits / 8}
			if i < len(sections) {
				s.Section = sections[i].name
			}
			out = append(out, s)
		}
	}
	return out
}
