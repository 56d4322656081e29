package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

// mirrorAtEveryFault mirrors to dst again and again, with a fault at each call of it. After each, check is told what is there; and
// mirroring again brings it to where it would have come without.
func mirrorAtEveryFault(t *testing.T, src, dst *store.Mem, o MirrorOptions, check func(is *store.Mem) error) {
	t.Helper()
	o.Jobs = 1
	want := copyMem(t, dst)
	mirrored(t, src, want, o)
	runs := 0
	for _, mode := range []faulty{{}, {after: true}, {crashes: true}, {crashes: true, after: true}} {
		for n := 1; ; n++ {
			f := mode
			f.Mem, f.at = copyMem(t, dst), n
			_, err := Mirror(ctx, src, &f, o)
			if !f.failed {
				must(t, err)
				break
			}
			runs++
			what := fmt.Sprintf("fault %d (after %t, crash %t): %v", n, mode.after, mode.crashes, err)
			if err := check(f.Mem); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if _, err := Mirror(ctx, src, f.Mem, o); err != nil {
				t.Fatalf("%s: again: %v", what, err)
			}
			same(t, want, f.Mem)
			if t.Failed() {
				t.Fatal(what)
			}
		}
	}
	t.Logf("%d faults", runs)
}

// oneOf wants the versions to be installable as in one of the states.
func oneOf(root []byte, states ...state) func(*store.Mem) error {
	return func(m *store.Mem) error {
		var versions []string
		for v := range states[0] {
			versions = append(versions, v)
		}
		is, err := stateOf(m, root, versions...)
		if err != nil {
			return err
		}
		for _, s := range states {
			if fmt.Sprint(s) == fmt.Sprint(is) {
				return nil
			}
		}
		return fmt.Errorf("%v", is)
	}
}

func TestFaultsOfMirror(t *testing.T) {
	src, k, root := signedRepo(t, "1")
	changed(t, k.open(src), Promotion{Version: "1"})
	empty := &store.Mem{}
	mirrorAtEveryFault(t, src, empty, MirrorOptions{}, func(is *store.Mem) error {
		if contents(t, is)["metadata/timestamp.json"] == "" {
			return nil // nobody has been told of it
		}
		return oneOf(root, state{"1": true})(is)
	})

	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	r := k.open(src)
	_, err := r.Add(ctx, small(t, "2", "two"))
	must(t, err)
	changed(t, r, Promotion{Version: "2"})
	must(t, r.ChangeRoot(ctx, RootChange{}))
	_, err = r.Remove(ctx, "1", "linux", "amd64")
	if !errors.Is(err, ErrNamed) {
		t.Fatal(err)
	}
	_, err = r.Add(ctx, small(t, "3", "three"))
	must(t, err)
	mirrorAtEveryFault(t, src, dst, MirrorOptions{}, oneOf(root, state{"1": true, "2": false, "3": false}, state{"1": true, "2": true, "3": true}))

	// With fewer releases, and those that are gone pruned.
	mirrored(t, src, dst, MirrorOptions{})
	r.IgnoreChannels()
	_, err = r.Remove(ctx, "1", "linux", "amd64")
	must(t, err)
	mirrorAtEveryFault(t, src, dst, MirrorOptions{Prune: true}, oneOf(root, state{"1": true, "3": true}, state{"1": false, "3": true}))
}

// A release that gets other deltas is refused by clients between its release.json and the timestamp, and in no other moment; other
// releases are never touched.
func TestFaultsOfMirrorRewrite(t *testing.T) {
	src, k, root, _ := signedVersions(t)
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	_, err := k.open(src).MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 2}, Version: "v1.2"})
	must(t, err)
	old, fresh := contents(t, dst), contents(t, src)
	const spec = "v1.2/linux/amd64/release.json"
	if old[spec] == fresh[spec] {
		t.Fatal("release.json stays")
	}
	between := 0
	mirrorAtEveryFault(t, src, dst, MirrorOptions{}, func(is *store.Mem) error {
		now := contents(t, is)
		if now[spec] == fresh[spec] && now["metadata/timestamp.json"] == old["metadata/timestamp.json"] {
			between++
			return oneOf(root, state{"v1.1": true})(is)
		}
		return oneOf(root, state{"v1.1": true, "v1.2": true})(is)
	})
	if between == 0 || between > 4 {
		t.Errorf("%d times between release.json and timestamp", between)
	}
}

// New keys: where the source was caught while both signed, clients never see anything that does not verify; else only between the
// root and the timestamp.
func TestFaultsOfMirrorRotate(t *testing.T) {
	for _, roles := range [][]string{{"root"}, {"timestamp"}, {"targets", "snapshot"}} {
		t.Run(strings.Join(roles, "+"), func(t *testing.T) {
			src, k, root := signedRepo(t, "1")
			dst := &store.Mem{}
			mirrored(t, src, dst, MirrorOptions{})
			fresh := newKeys(t).release
			old := map[string]*PrivateKey{"root": k.root, "timestamp": k.timestamp, "targets": k.release}[roles[0]]
			r := k.open(src)
			r.SignWith(fresh)
			must(t, r.ChangeRoot(ctx, replaceKeys(old, fresh, roles...)))
			between := 0
			mirrorAtEveryFault(t, src, dst, MirrorOptions{}, func(is *store.Mem) error {
				now := contents(t, is)
				if now["metadata/2.root.json"] != "" && now["metadata/timestamp.json"] == contents(t, dst)["metadata/timestamp.json"] && roles[0] != "root" {
					between++
					return nil
				}
				return oneOf(root, state{"1": true})(is)
			})
			if roles[0] != "root" && (between == 0 || between > 8) {
				t.Errorf("%d times between root and timestamp", between)
			}
		})
	}
}

// What was mirrored while the source changes its keys never has a client wait.
func TestMirrorOfRotationUnderWay(t *testing.T) {
	src, k, root := signedRepo(t, "1")
	start := &store.Mem{}
	mirrored(t, src, start, MirrorOptions{})
	fresh := newKeys(t).release
	steps := []*store.Mem{}
	last := ""
	f := &watched{Mem: copyMem(t, src), after: func(m *store.Mem) {
		now := contents(t, m)
		if s := now["metadata/timestamp.json"] + now["metadata/2.root.json"]; s != last {
			last = s
			steps = append(steps, copyMem(t, m))
		}
	}}
	r := k.open(f)
	r.SignWith(fresh)
	must(t, r.ChangeRoot(ctx, replaceKeys(k.timestamp, fresh, "timestamp")))
	if len(steps) != 3 {
		t.Fatalf("%d steps", len(steps))
	}
	// Having missed the first step the root comes after the timestamp.
	mirrorAtEveryFault(t, steps[1], start, MirrorOptions{}, oneOf(root, state{"1": true}))
	for _, step := range steps {
		mirrorAtEveryFault(t, step, start, MirrorOptions{}, oneOf(root, state{"1": true}))
		mirrored(t, step, start, MirrorOptions{})
	}
}

// watched is a store that is looked at after each write.
type watched struct {
	*store.Mem
	after func(*store.Mem)
}

func (w *watched) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	err := w.Mem.PutIf(ctx, name, r, version)
	w.after(w.Mem)
	return err
}

// A fault of the source is an error, and nothing else.
func TestFaultsOfMirrorSource(t *testing.T) {
	src, k, root := signedRepo(t, "1")
	start := &store.Mem{}
	mirrored(t, src, start, MirrorOptions{})
	_, err := k.open(src).Add(ctx, small(t, "2", "two"))
	must(t, err)
	for n := 1; ; n++ {
		f, dst := &faulty{Mem: src, at: n}, copyMem(t, start)
		_, err := Mirror(ctx, readerOnly{f}, dst, MirrorOptions{Jobs: 1})
		if !f.failed {
			must(t, err)
			break
		}
		if !errors.Is(err, errFault) {
			t.Fatalf("fault %d: %v", n, err)
		}
		must(t, oneOf(root, state{"1": true, "2": false})(dst))
		mirrored(t, src, dst, MirrorOptions{})
		expect(t, dst, root, map[string]bool{"1": true, "2": true})
	}
}

// Of two mirrors at once to a store without a lock exactly one publishes, or both the same; the other is told. The later state wins in the end.
func TestTwoMirrors(t *testing.T) {
	src, k, root, _ := signedVersions(t)
	start := &store.Mem{}
	mirrored(t, src, start, MirrorOptions{})
	_, err := k.open(src).MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 2}, Version: "v1.2"})
	must(t, err)
	older := copyMem(t, src)
	_, err = k.open(src).Prune(ctx, 2, false)
	must(t, err)
	busy := 0
	for n := 1; ; n++ {
		dst := lockless{copyMem(t, start)}
		i := &interrupted{Store: dst, at: n, f: func() { mirrored(t, src, dst, MirrorOptions{}) }}
		_, err := Mirror(ctx, older, i, MirrorOptions{Jobs: 1})
		if i.f != nil {
			break
		}
		if errors.Is(err, ErrBusy) {
			busy++
		}
		_, err = Mirror(ctx, src, dst, MirrorOptions{Jobs: 1})
		must(t, err)
		expect(t, dst, root, map[string]bool{"v1.1": true, "v1.2": true})
	}
	if busy == 0 {
		t.Error("nobody was told")
	}
	unlock, err := start.Lock(ctx)
	must(t, err)
	defer unlock()
	if _, err := Mirror(ctx, src, start, MirrorOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("while another has the lock: %v", err)
	}
}

// Damage of the destination is found as its metadata says, or with Check, and mended.
func TestMirrorMends(t *testing.T) {
	src, _, _ := signedRepo(t, "1", "2")
	whole := &store.Mem{}
	mirrored(t, src, whole, MirrorOptions{})
	for name, data := range contents(t, whole) {
		if name == "metadata/timestamp.json" || strings.HasSuffix(name, ".root.json") {
			continue
		}
		for _, spoilt := range []string{data + "x", strings.Repeat("x", len(data)), ""} {
			dst := copyMem(t, whole)
			if spoilt == "" {
				must(t, dst.Delete(ctx, name))
			} else {
				must(t, dst.Put(ctx, name, strings.NewReader(spoilt)))
			}
			mirrored(t, src, dst, MirrorOptions{Check: true})
			same(t, whole, dst)
			if t.Failed() {
				t.Fatalf("%s, %d bytes of %d", name, len(spoilt), len(data))
			}
		}
	}
	// Of a damaged root the destination's owner has to find out: it is what is trusted.
	dst := copyMem(t, whole)
	must(t, dst.Put(ctx, "metadata/1.root.json", bytes.NewReader([]byte("{}"))))
	if _, err := Mirror(ctx, src, dst, MirrorOptions{}); err == nil {
		t.Error("a damaged root is overwritten")
	}
}

// A mirror that died between release.json and timestamp is noticed by what it wrote before, though sizes and metadata say that all is
// as it was.
func TestMirrorUnsettled(t *testing.T) {
	src, _, root := signedRepo(t, "1")
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	whole := copyMem(t, dst)
	const spec = "1/linux/amd64/release.json"
	must(t, dst.Put(ctx, spec, strings.NewReader(strings.Replace(contents(t, dst)[spec], "tool", "look", 1))))
	must(t, dst.Put(ctx, "metadata/9.snapshot.json", strings.NewReader("{}")))
	mirrored(t, src, dst, MirrorOptions{})
	expect(t, dst, root, map[string]bool{"1": true})
	same(t, dst, whole, "metadata/9.snapshot.json")
}

// The source is published to while it is mirrored: what is there in the end is the old state or the new one.
func TestMirrorOfMovingSource(t *testing.T) {
	src, k, root, _ := signedVersions(t)
	start := &store.Mem{}
	mirrored(t, src, start, MirrorOptions{})
	_, err := k.open(src).Add(ctx, small(t, "v1.9", "nine"))
	must(t, err)
	for _, change := range []func(r *Repo) error{
		func(r *Repo) error { _, err := r.Remove(ctx, "v1.9", "linux", "amd64"); return err },
		func(r *Repo) error {
			_, err := r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 2}, Version: "v1.2"})
			return err
		},
	} {
		for n := 1; ; n++ {
			from, dst := copyMem(t, src), copyMem(t, start)
			i := &interrupted{Store: from, at: n, f: func() { must(t, change(k.open(from))) }}
			_, err := Mirror(ctx, readerOnly{i}, dst, MirrorOptions{Jobs: 1})
			if i.f != nil {
				break
			}
			if err != nil {
				t.Fatalf("call %d: %v", n, err)
			}
			must(t, oneOf(root, state{"v1.2": true, "v1.9": true}, state{"v1.2": true, "v1.9": false})(dst))
		}
	}
}

// stale is a source behind a cache that has an old file.
type stale struct {
	store.Reader
	name, old string
}

func (s stale) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if name != s.name || req.NoCache {
		return s.Reader.Open(ctx, name, req)
	}
	return &store.Object{Body: io.NopCloser(strings.NewReader(s.old)), Size: -1}, nil
}

func TestMirrorPastCaches(t *testing.T) {
	src, _, root := signedRepo(t, "1")
	for name, data := range contents(t, src) {
		if strings.HasPrefix(name, metadataFolder) && name != timestampName {
			continue
		}
		for _, old := range []string{data[1:], data + "x", strings.Repeat("x", len(data))} {
			dst := &store.Mem{}
			mirrored(t, stale{src, name, old}, dst, MirrorOptions{})
			expect(t, dst, root, map[string]bool{"1": true})
		}
	}
}

// One that is not signed: each release that is listed is whole, at any time, also one that v0.1.0 wrote, whose release.json says nothing of its archive.
func TestFaultsOfMirrorUnsigned(t *testing.T) {
	src := &store.Mem{}
	r := Open(src)
	for i, v := range []string{"1.0", "1.1", "1.2"} {
		a := addition(t, elf(uint64(i)))
		a.Version = v
		_, err := r.Add(ctx, a)
		must(t, err)
	}
	old := `{"binary":"choria.bz2","hash":"` + sum(elf(0)) + `"}`
	must(t, src.Put(ctx, "1.0/linux/amd64/release.json", strings.NewReader(old)))
	must(t, src.Delete(ctx, "1.0/linux/amd64/choria.zst"))
	changed(t, r, Promotion{Version: "1.1"})
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	same(t, src, dst)
	must(t, src.Delete(ctx, "1.2/linux/amd64/release.json"))
	mirrored(t, src, dst, MirrorOptions{Prune: true})
	a := addition(t, elf(7))
	a.Version = "2.0"
	_, err := r.Add(ctx, a)
	must(t, err)
	mirrorAtEveryFault(t, src, dst, MirrorOptions{Prune: true}, func(is *store.Mem) error {
		list, err := Open(is).List(ctx)
		if err != nil || len(list) < 2 {
			return fmt.Errorf("%v, %w", list, err)
		}
		for _, release := range list {
			if err := Verify(ctx, is, release, nil); err != nil {
				return err
			}
		}
		problems, _, err := Open(is).CheckChannels(ctx)
		if len(problems) > 0 {
			return fmt.Errorf("%v", problems)
		}
		return err
	})
	// What is damaged there is not taken.
	for _, name := range []string{"1.0/linux/amd64/choria.bz2", "1.1/linux/amd64/choria.zst", "1.1/linux/amd64/release.json", "channels/stable.json"} {
		m, to := copyMem(t, src), &store.Mem{}
		must(t, m.Put(ctx, name, strings.NewReader("damaged")))
		if _, err := Mirror(ctx, m, to, MirrorOptions{}); err == nil || contents(t, to)[name] != "" {
			t.Errorf("%s is damaged and taken: %v", name, err)
		}
	}
}
