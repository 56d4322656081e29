package tuf_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

// history is everything that a repository has ever served, by name.
type history struct {
	repo   *tuftest.Repo
	served map[string][][]byte
	value  int // of the file, which counts the publishes
}

func newHistory() *history {
	h := &history{repo: platforms(), served: map[string][][]byte{}}
	h.publish(nil)
	return h
}

// publish makes a random change and keeps what is served then.
func (h *history) publish(rng *rand.Rand) {
	r, kind := h.repo, 0
	if rng != nil {
		kind = rng.IntN(6)
	}
	rotate := func(role string) {
		r.Trust(role, 1, tuftest.Key(fmt.Sprint(role, h.value)))
		r.PublishRoot()
	}
	switch kind {
	case 1:
		r.PublishTimestamp()
	case 2:
		rotate("timestamp")
	case 3:
		rotate("snapshot")
	case 4:
		old := r.Signers["root"]
		r.Trust("root", 1, tuftest.Key(fmt.Sprint("root", h.value)))
		r.PublishRoot(old...)
	}
	h.value++
	r.Target("linux-amd64", "1.0/linux/amd64/release.json", []byte(fmt.Sprint(h.value)), object{"value": h.value})
	r.Publish("linux-amd64", "linux-arm64", "targets")
	for name, data := range r.Files {
		if all := h.served[name]; len(all) == 0 || string(all[len(all)-1]) != string(data) {
			h.served[name] = append(all, data)
		}
	}
}

// mirror serves any mix of what was ever served under each name, and hides files.
func (h *history) mirror(rng *rand.Rand) map[string][]byte {
	files := map[string][]byte{}
	honest := rng.IntN(2) == 0
	for _, name := range slices.Sorted(maps.Keys(h.served)) {
		all := h.served[name]
		switch {
		case honest:
			files[name] = all[len(all)-1]
		case rng.IntN(12) != 0:
			files[name] = all[rng.IntN(len(all))]
		}
	}
	return files
}

// What a client believes never goes back: not the file, and not the versions of the roles, whatever
// old mix of files it is served, as long as keys stay; a new root never goes back at all.
func TestNeverGoesBack(t *testing.T) {
	const path = "1.0/linux/amd64/release.json"
	accepted := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := newHistory()
		root := h.repo.Files["1.root.json"]
		env := h.repo.Env()
		value, rootVersion := 0, 0
		for range 25 {
			if rng.IntN(2) == 0 {
				h.publish(rng)
			}
			env.Files = h.mirror(rng)
			client, err := refresh(env, root)
			if now := version(t, env.State["root.json"]); now < rootVersion {
				t.Fatalf("seed %d: root went back from %d to %d", seed, rootVersion, now)
			} else {
				rootVersion = now
			}
			if err != nil {
				continue
			}
			target, err := client.Target(path)
			if err != nil {
				continue
			}
			now := valueOf(t, target)
			if now < value {
				t.Fatalf("seed %d: the file went back from %d to %d", seed, value, now)
			}
			value = now
			accepted++
		}
	}
	if accepted < 700 {
		t.Errorf("only %d of 1500 refreshes were accepted: the test shows little", accepted)
	}
	t.Logf("%d of 1500 refreshes accepted", accepted)
}

func version(t *testing.T, data []byte) int {
	t.Helper()
	if data == nil {
		return 0
	}
	var file struct{ Signed struct{ Version int } }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Signed.Version
}

func valueOf(t *testing.T, target *tuf.Target) int {
	t.Helper()
	var custom struct{ Value int }
	if err := json.Unmarshal(target.Custom, &custom); err != nil {
		t.Fatal(err)
	}
	return custom.Value
}
