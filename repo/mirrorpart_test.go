package repo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/store"
)

func TestPartChoice(t *testing.T) {
	files := map[string]*metadata.TargetFiles{}
	for _, release := range []string{"1.0/linux/amd64", "1.1/linux/amd64", "1.2/linux/amd64", "1.10/linux/amd64", "nightly/linux/amd64",
		"1.0/linux/amd64-v3", "1.1/linux/amd64-v3", "1.0/linux/arm64", "1.0/windows/amd64"} {
		files[release+"/release.json"], files[release+"/tool.zst"] = &metadata.TargetFiles{}, &metadata.TargetFiles{}
	}
	for _, name := range []string{"stable", "beta"} {
		files[channelName(name)] = &metadata.TargetFiles{}
	}
	stable := &Channel{Name: "stable", Releases: []channel.Release{{Version: "1.0"}, {Version: "1.1"}}}
	beta := &Channel{Name: "beta", Releases: []channel.Release{{Version: "1.2"}}}
	for _, test := range []struct {
		part     Part
		channels []*Channel
		want     string
	}{
		{Part{}, nil, "1.0/linux/amd64 1.0/linux/amd64-v3 1.0/linux/arm64 1.0/windows/amd64 1.1/linux/amd64 1.1/linux/amd64-v3 1.10/linux/amd64 1.2/linux/amd64 beta nightly/linux/amd64 stable"},
		{Part{Platforms: []string{"linux/amd64"}}, nil, "1.0/linux/amd64 1.0/linux/amd64-v3 1.1/linux/amd64 1.1/linux/amd64-v3 1.10/linux/amd64 1.2/linux/amd64 beta nightly/linux/amd64 stable"},
		{Part{Platforms: []string{"linux/amd64-v3", "windows/amd64"}}, nil, "1.0/linux/amd64-v3 1.0/windows/amd64 1.1/linux/amd64-v3 beta stable"},
		{Part{Channels: []string{"stable"}}, []*Channel{stable}, "1.0/linux/amd64 1.0/linux/amd64-v3 1.0/linux/arm64 1.0/windows/amd64 1.1/linux/amd64 1.1/linux/amd64-v3 stable"},
		{Part{Channels: []string{"stable"}, Platforms: []string{"linux/arm64"}}, []*Channel{stable}, "1.0/linux/arm64 stable"},
		{Part{Keep: 1, Platforms: []string{"linux/amd64"}}, []*Channel{beta}, "1.1/linux/amd64-v3 1.10/linux/amd64 1.2/linux/amd64 beta nightly/linux/amd64 stable"},
		{Part{Keep: 1, Channels: []string{"beta"}, Platforms: []string{"linux/amd64"}}, []*Channel{beta}, "1.1/linux/amd64-v3 1.10/linux/amd64 1.2/linux/amd64 beta nightly/linux/amd64"},
	} {
		s, err := test.part.choose(files, test.channels)
		must(t, err)
		var got []string
		for path := range files {
			if name, _, ok := channelOf(path); ok && s.takes(path) {
				got = append(got, name)
			} else if release, ok := strings.CutSuffix(path, "/release.json"); ok && s.takes(path) {
				got = append(got, release)
				if !s.takes(release + "/tool.zst") {
					t.Errorf("%+v: %s is not taken whole", test.part, release)
				}
			} else if !ok && !strings.HasPrefix(path, channelsFolder) && s.takes(path) != s.takes(strings.TrimSuffix(path, "tool.zst")+"release.json") {
				t.Errorf("%+v: %s", test.part, path)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v:\n%s, want\n%s", test.part, strings.Join(got, " "), test.want)
		}
	}
	if _, err := (Part{Platforms: []string{"linux/amd"}}).choose(files, nil); err == nil {
		t.Error("an unknown platform")
	}
}

// A part verifies as a part, and as nothing else; later runs may take more or, with Prune, less.
func TestMirrorPart(t *testing.T) {
	src, k, root := signedRepo(t, "1", "2", "3")
	other := small(t, "2", "arm")
	other.Arch = "arm64"
	r := k.open(src)
	_, err := r.Add(ctx, other)
	must(t, err)
	changed(t, r, Promotion{Version: "2"})
	_, err = r.ChangeChannel(ctx, "beta", Promotion{Version: "3"})
	must(t, err)
	dst := &store.Mem{}
	part := Part{Platforms: []string{"linux/amd64"}, Channels: []string{"stable"}}
	m := mirrored(t, src, dst, MirrorOptions{Part: part})
	if m.Left != 10 {
		t.Errorf("%+v", m)
	}
	for name := range contents(t, dst) {
		if !strings.HasPrefix(name, metadataFolder) && !strings.HasPrefix(name, "2/linux/amd64/") && !strings.Contains(name, "stable") {
			t.Errorf("%s is taken", name)
		}
	}
	check := func(s store.Store, partial bool) (problems []string, left int) {
		t.Helper()
		r := Open(s)
		if partial {
			r.Partial()
		}
		a, err := r.Audit(ctx, nil)
		must(t, err)
		p, _, err := r.CheckChannels(ctx)
		must(t, err)
		return append(a.Problems, p...), a.Left
	}
	if p, left := check(dst, true); len(p) > 0 || left != 10 {
		t.Errorf("%v, %d left", p, left)
	}
	if p, _ := check(dst, false); len(p) == 0 {
		t.Error("a part is taken for the whole")
	}
	if p, left := check(src, true); len(p) > 0 || left != 0 {
		t.Errorf("the whole: %v, %d left", p, left)
	}
	expect(t, dst, root, map[string]bool{"2": true})

	// Anything else that is missing or damaged is told.
	for name, data := range contents(t, dst) {
		if name == timestampName || name == "channels/stable.json" || strings.HasSuffix(name, ".root.json") {
			continue
		}
		for _, spoilt := range []string{"", strings.Repeat("x", len(data))} {
			m := copyMem(t, dst)
			must(t, m.Delete(ctx, name))
			if spoilt != "" {
				must(t, m.Put(ctx, name, strings.NewReader(spoilt)))
			}
			r := Open(m)
			r.Partial()
			if a, err := r.Audit(ctx, nil); err == nil && len(a.Problems) == 0 {
				t.Errorf("%s, %d bytes: not noticed", name, len(spoilt))
			}
		}
	}

	// More, and less again.
	mirrored(t, src, dst, MirrorOptions{Part: Part{Keep: 1}})
	expect(t, dst, root, map[string]bool{"2": true, "3": true})
	mirrored(t, src, dst, MirrorOptions{Part: part, Prune: true})
	if p, left := check(dst, true); len(p) > 0 || left != 10 {
		t.Errorf("pruned: %v, %d left", p, left)
	}
	for name := range contents(t, dst) {
		if strings.HasPrefix(name, "3/") || name == "channels/beta.json" {
			t.Errorf("%s is left", name)
		}
	}
	mirrored(t, src, dst, MirrorOptions{})
	if p, left := check(dst, false); len(p) > 0 || left != 0 {
		t.Errorf("whole: %v", p)
	}
}

// Whatever is published, mirrored in part or whole, once or after many publishes, pruned or not: the mirror verifies as what it is, and a whole and
// pruned one has the files of a fresh one.
func TestMirrorOfAnyHistory(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 6))
		src, k, root := signedRepo(t, "1.0")
		r, dst := k.open(src), &store.Mem{}
		r.IgnoreChannels()
		for step := range 12 {
			for range random.IntN(3) {
				publishAny(t, r, random)
			}
			o := MirrorOptions{Root: root, Prune: random.IntN(2) == 0, Check: random.IntN(4) == 0}
			switch random.IntN(4) {
			case 0:
				o.Part.Platforms = []string{"linux/amd64"}
			case 1:
				o.Part.Keep = 1 + random.IntN(2)
			}
			m := mirrored(t, src, dst, o)
			is := Open(dst)
			is.Partial()
			a, err := is.Audit(ctx, nil)
			must(t, err)
			if len(a.Problems) > 0 {
				t.Fatalf("seed %d, step %d, %+v: %v", seed, step, o.Part, a.Problems)
			}
			again := mirrored(t, src, dst, o)
			if len(again.Removed) == 1 && strings.HasPrefix(again.Removed[0], channelsFolder) {
				again.Removed = nil // the document of before, which one run leaves
			}
			if again.Copied > 0 || len(again.Removed) > 0 {
				t.Fatalf("seed %d, step %d, %+v: %+v, and again %+v", seed, step, o.Part, m, again)
			}
		}
		mirrored(t, src, dst, MirrorOptions{Prune: true})
		fresh := &store.Mem{}
		mirrored(t, src, fresh, MirrorOptions{})
		is := contents(t, dst)
		for name, data := range contents(t, fresh) {
			if is[name] != data {
				t.Errorf("seed %d: %s differs", seed, name)
			}
			delete(is, name)
		}
		for name := range is {
			if !strings.HasPrefix(name, metadataFolder) && !strings.HasPrefix(name, channelsFolder) {
				t.Errorf("seed %d: %s is left", seed, name)
			}
		}
	}
}

// publishAny makes a change. What makes no sense is refused, and that is as well.
func publishAny(t *testing.T, r *Repo, random *rand.Rand) {
	t.Helper()
	version := fmt.Sprintf("1.%d", 1+random.IntN(4)) // 1.0 stays
	switch random.IntN(6) {
	case 0:
		must(t, r.ChangeRoot(ctx, RootChange{}))
	case 1:
		r.Remove(ctx, version, "linux", "amd64")
	case 2:
		r.ChangeChannel(ctx, "stable", Promotion{Version: version})
	case 3:
		_, err := r.Timestamp(ctx)
		must(t, err)
	default:
		a := small(t, version, fmt.Sprint(random.Uint32()))
		a.Arch = []string{"amd64", "arm64"}[random.IntN(2)]
		_, err := r.Add(ctx, a)
		must(t, err)
	}
}
