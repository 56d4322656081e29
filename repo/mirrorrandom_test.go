package repo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// Mirrors of any history that are killed anywhere, and gone on with as another part: one that says that it is done leaves a repository that verifies, of which only whole releases and channels are missing.
func TestRandomMirrors(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 6))
		src, k, _ := signedRepo(t, "1.0", "1.1")
		r, dst, history := k.open(src), &store.Mem{}, []string{}
		changed(t, r, Promotion{Version: "1.0"})
		for range 12 {
			publishAny(t, r, random)
			o := randomPart(random)
			f := &faulty{Mem: dst, at: random.IntN(30) + 1, crashes: true, after: random.IntN(2) == 0}
			_, err := Mirror(ctx, src, f, o)
			history = append(history, fmt.Sprintf("mirror %+v prune %t, fault %d: %v", o.Part, o.Prune, f.at, err))
			if f.failed {
				o = randomPart(random)
				mirrored(t, src, dst, o)
				history = append(history, fmt.Sprintf("mirror %+v prune %t", o.Part, o.Prune))
			}
			if problems := partProblems(t, dst); len(problems) > 0 {
				t.Fatalf("seed %d: %s\n%s", seed, strings.Join(history, "\n"), strings.Join(problems, "\n"))
			}
		}
		mirrored(t, src, dst, MirrorOptions{Prune: true})
		if a, err := Open(dst).Audit(ctx, nil); err != nil || len(a.Problems) > 0 {
			t.Errorf("seed %d: the whole: %v, %+v", seed, err, a)
		}
	}
}

func randomPart(random *rand.Rand) MirrorOptions {
	o := MirrorOptions{Jobs: 1, Prune: random.IntN(3) == 0}
	switch random.IntN(3) {
	case 0:
		o.Part.Keep = 1 + random.IntN(3)
	case 1:
		o.Part.Channels = []string{"stable"}
	}
	return o
}

// partProblems are what verify --partial finds.
func partProblems(t *testing.T, s store.Store) []string {
	t.Helper()
	r := Open(s)
	r.Partial()
	a, err := r.Audit(ctx, nil)
	must(t, err)
	problems, _, err := r.CheckChannels(ctx)
	must(t, err)
	return append(problems, a.Problems...)
}
