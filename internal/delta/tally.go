package delta

import (
	"math"
	"sort"
)

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
	spent         map[[2]int]float64 // bits
}

func (t *tally) add(bit int, p uint32) {
	if bit == 0 {
		p = 65536 - p
	}
	t.spent[[2]int{t.part, t.section}] += 16 - math.Log2(float64(p))
}

// list returns what was spent, in order.
func (t *tally) list(sections []part) (out []Spent) {
	keys := make([][2]int, 0, len(t.spent))
	for k := range t.spent {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i][1] < keys[j][1] || keys[i][1] == keys[j][1] && keys[i][0] < keys[j][0]
	})
	for _, k := range keys {
		s := Spent{Kind: partNames[k[0]], Bytes: t.spent[k] / 8}
		if k[1] < len(sections) {
			s.Section = sections[k[1]].name
		}
		out = append(out, s)
	}
	return out
}
