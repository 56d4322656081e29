package delta

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Where little is inserted, all alignments are encoded; else the one that looks cheapest, wherever it stands.
func TestPromisingAlignments(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	old := make([]byte, 3*modelledData)
	for i := range old {
		old[i] = byte(r.Uint32())
	}
	fresh := bytes.Clone(old)
	e := &encoding{old: old, fresh: fresh, plan: &plan{}}
	whole, most := []stretch{{0, 0, len(old)}}, []stretch{{0, 0, len(old) - 1}}
	third, nothing := []stretch{{0, 0, modelledData}}, []stretch(nil)
	var rounds []stretch // as much as in third, but in pieces
	for at := 0; at < modelledData; at += 16 {
		rounds = append(rounds, stretch{3 * at, 3 * at, 16})
	}
	changed := []stretch{{1, 0, modelledData + 1000}} // more, but none of it the same
	for _, c := range []struct {
		name string
		all  [][]stretch
		want int // -1: all
	}{
		{"little inserted", [][]stretch{whole, most}, -1},
		{"little inserted once", [][]stretch{nothing, whole}, -1},
		{"more copied", [][]stretch{nothing, third}, 1},
		{"more copied first", [][]stretch{third, nothing}, 0},
		{"fewer rounds", [][]stretch{rounds, third}, 1},
		{"fewer changes", [][]stretch{changed, third}, 1},
	} {
		got := e.promising(old, c.all)
		if c.want < 0 && len(got) != len(c.all) {
			t.Errorf("%s: %d of %d alignments", c.name, len(got), len(c.all))
		}
		if c.want >= 0 && (len(got) != 1 || len(got[0]) != len(c.all[c.want]) || len(got[0]) > 0 && got[0][0] != c.all[c.want][0]) {
			t.Errorf("%s: not alignment %d", c.name, c.want)
		}
	}
}
