package repo

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// A part that is narrower than what a mirror has leaves nothing behind that the new metadata contradicts: what is there of a release or a channel
// is kept right until Prune removes it.
func TestNarrowerPart(t *testing.T) {
	src, k, root := signedRepo(t, "1", "2")
	r := k.open(src)
	changed(t, r, Promotion{Version: "1"})
	_, err := r.ChangeChannel(ctx, "beta", Promotion{Version: "2"})
	must(t, err)
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})

	_, err = r.Add(ctx, small(t, "2", "other"))
	must(t, err)
	_, err = r.ChangeChannel(ctx, "beta", Promotion{Version: "1"})
	must(t, err)
	part := Part{Channels: []string{"stable"}}
	mirrored(t, src, dst, MirrorOptions{Part: part})
	whole := func(what string) {
		t.Helper()
		if problems := partProblems(t, dst); len(problems) > 0 {
			t.Errorf("%s: %s", what, strings.Join(problems, "\n"))
		}
	}
	whole("narrower")
	expect(t, dst, root, map[string]bool{"1": true, "2": true})

	m := mirrored(t, src, dst, MirrorOptions{Part: part, Prune: true})
	whole("pruned")
	if len(m.Removed) == 0 || slices.ContainsFunc(m.Removed, func(name string) bool { return !strings.HasPrefix(name, "2/") && !strings.Contains(name, "beta") }) {
		t.Errorf("removed: %v", m.Removed)
	}
}

// A folder may hold a web site beside the repository, whose files only look like those of releases.
func TestPruneLeavesOthersFiles(t *testing.T) {
	src, k, _ := signedRepo(t, "1", "2")
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	others := []string{"site/css/dark/main.css", "docs/img/2026/logo.png", "a/b/c/d"}
	for _, name := range others {
		must(t, dst.Put(ctx, name, strings.NewReader("not ours")))
	}
	must(t, dst.Put(ctx, "0/linux/amd64/0.zst", strings.NewReader("left by a mirror that was killed")))
	_, err := k.open(src).Remove(ctx, "1", "linux", "amd64")
	must(t, err)
	m := mirrored(t, src, dst, MirrorOptions{Prune: true})
	for _, name := range others {
		if contents(t, dst)[name] == "" {
			t.Errorf("%s is removed", name)
		}
	}
	if !slices.Contains(m.Removed, "0/linux/amd64/0.zst") || !slices.Contains(m.Removed, "1/linux/amd64/release.json") {
		t.Errorf("removed: %v", m.Removed)
	}
}

// A source that was restored from a backup takes no channel of the destination back, signed or not.
func TestUnsignedChannelGoesNotBack(t *testing.T) {
	src := &store.Mem{}
	r := Open(src)
	for i, v := range []string{"1", "2"} {
		a := addition(t, elf(uint64(i)))
		a.Version = v
		_, err := r.Add(ctx, a)
		must(t, err)
	}
	changed(t, r, Promotion{Version: "1"})
	backup := copyMem(t, src)
	changed(t, r, Promotion{Version: "2"})
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	was := contents(t, dst)
	a := addition(t, elf(3))
	a.Version = "3"
	_, err := Open(backup).Add(ctx, a)
	must(t, err)
	if _, err := Mirror(ctx, backup, dst, MirrorOptions{}); !errors.Is(err, updater.ErrOlderMetadata) || !strings.Contains(err.Error(), "channel stable") {
		t.Errorf("%v", err)
	}
	if !maps.Equal(was, contents(t, dst)) {
		t.Error("something is written")
	}
	must(t, dst.Put(ctx, "channels/stable.json", strings.NewReader("damaged")))
	mirrored(t, backup, dst, MirrorOptions{})
	same(t, backup, dst)
}
