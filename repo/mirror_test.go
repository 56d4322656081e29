package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// mirrored copies src to dst, one file after the other.
func mirrored(t testing.TB, src store.Reader, dst store.Store, o MirrorOptions) *Mirrored {
	t.Helper()
	o.Jobs = 1
	m, err := Mirror(ctx, src, dst, o)
	must(t, err)
	return m
}

// counted counts what a store is asked.
type counted struct {
	store.Store
	mu    sync.Mutex
	asked map[string]int
}

func (c *counted) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[what]++
}

func (c *counted) all() (n int) {
	for _, k := range c.asked {
		n += k
	}
	return n
}

func (c *counted) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	c.count("open " + name)
	return c.Store.Open(ctx, name, req)
}

func (c *counted) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	c.count("put " + name)
	return store.PutIf(ctx, c.Store, name, r, version)
}

func (c *counted) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	c.count("list " + prefix)
	return c.Store.List(ctx, prefix)
}

// readerOnly is a source that cannot be listed, as a web server.
type readerOnly struct{ store.Reader }

// same tells whether two stores hold the same files, those aside that only the first may have.
func same(t *testing.T, src, dst store.Store, but ...string) {
	t.Helper()
	a, b := contents(t, src), contents(t, dst)
	for _, name := range but {
		delete(a, name)
	}
	for name, data := range a {
		if b[name] != data {
			t.Errorf("%s differs: %d and %d bytes", name, len(data), len(b[name]))
		}
		delete(b, name)
	}
	if len(b) > 0 {
		t.Errorf("too many: %v", slices.Sorted(maps.Keys(b)))
	}
}

func contents(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := s.List(ctx, "")
	must(t, err)
	for _, e := range entries {
		object, err := s.Open(ctx, e.Name, store.Request{})
		must(t, err)
		data, err := io.ReadAll(object.Body)
		must(t, err)
		object.Body.Close()
		all[e.Name] = string(data)
	}
	return all
}

func TestMirrorWhole(t *testing.T) {
	src, k, root := signedRepo(t, "1", "2")
	changed(t, k.open(src), Promotion{Version: "1"})
	dst := &store.Mem{}
	m := mirrored(t, readerOnly{src}, dst, MirrorOptions{})
	if m.Product != "tool" || m.Root != 1 || len(m.Remarks) != 1 || !strings.Contains(m.Remarks[0], k.root.public.ID) || m.Left != 0 {
		t.Errorf("%+v", m)
	}
	expect(t, dst, root, map[string]bool{"1": true, "2": true})
	a, err := Open(dst).Audit(ctx, nil)
	must(t, err)
	if len(a.Problems)+len(a.Warnings) > 0 {
		t.Errorf("%+v", a)
	}

	// Only what the metadata leads to is there: not the roles of before.
	for name := range contents(t, dst) {
		if strings.Contains(name, ".snapshot.") && !strings.HasPrefix(name, fmt.Sprintf("metadata/%d.", snapshotVersion(t, src))) {
			t.Errorf("%s is there", name)
		}
	}

	// Nothing new: the source is asked for its timestamp and for the next root, the destination for each file of
	// its metadata once, and nothing is written.
	from, to := &counted{Store: src}, &counted{Store: dst}
	m = mirrored(t, readerOnly{from}, to, MirrorOptions{})
	if m.Copied != 0 || m.Bytes != 0 || len(m.Remarks) != 0 {
		t.Errorf("again: %+v", m)
	}
	if want := map[string]int{"open metadata/timestamp.json": 1, "open metadata/2.root.json": 1}; !maps.Equal(from.asked, want) {
		t.Errorf("the source was asked %v", from.asked)
	}
	// List; root, snapshot, targets, platform, channels; timestamp; the plain channel.
	if to.all() != 8 {
		t.Errorf("the destination was asked %d times: %v", to.all(), to.asked)
	}

	// Something new: what is there already is not read.
	_, err = k.open(src).Add(ctx, small(t, "3", "three"))
	must(t, err)
	from = &counted{Store: src}
	mirrored(t, readerOnly{from}, dst, MirrorOptions{})
	for what := range from.asked {
		if strings.HasPrefix(what, "open 1/") || strings.HasPrefix(what, "open 2/") {
			t.Errorf("asked: %s", what)
		}
	}
	expect(t, dst, root, map[string]bool{"1": true, "2": true, "3": true})
}

func snapshotVersion(t *testing.T, s store.Store) int64 {
	t.Helper()
	base, err := Open(s).load(ctx, false)
	must(t, err)
	return base.snapshot.Signed.Version
}

// What a hostile or broken source serves is refused, and nothing of it gets a name that a client looks at.
func TestMirrorRefuses(t *testing.T) {
	good, k, _ := signedRepo(t, "1", "2")
	other, _, foreign := signedRepo(t, "1", "2")
	before := &store.Mem{}
	mirrored(t, good, before, MirrorOptions{})
	_, err := k.open(good).Timestamp(ctx)
	must(t, err)
	old := contents(t, good)["metadata/timestamp.json"]
	_, err = k.open(good).Add(ctx, small(t, "3", "three"))
	must(t, err)
	put := func(name, data string) func(*store.Mem) {
		return func(m *store.Mem) { must(t, m.Put(ctx, name, strings.NewReader(data))) }
	}
	whole := contents(t, good)["3/linux/amd64/tool.zst"]
	tests := []struct {
		name  string
		spoil func(*store.Mem)
		o     MirrorOptions
		want  error
	}{
		{"wrong hash", put("3/linux/amd64/tool.zst", strings.Repeat("x", len(whole))), MirrorOptions{}, updater.ErrRejected},
		{"too long", put("3/linux/amd64/tool.zst", whole+"x"), MirrorOptions{}, updater.ErrRejected},
		{"too short", put("3/linux/amd64/tool.zst", whole[1:]), MirrorOptions{}, updater.ErrRejected},
		{"no artifact", func(m *store.Mem) { must(t, m.Delete(ctx, "3/linux/amd64/tool.bz2")) }, MirrorOptions{}, fs.ErrNotExist},
		{"wrong release.json", put("3/linux/amd64/release.json", "{}"), MirrorOptions{}, updater.ErrRejected},
		{"wrong timestamp", put("metadata/timestamp.json", "{}"), MirrorOptions{}, updater.ErrMetadata},
		{"wrong role", func(m *store.Mem) {
			v := fmt.Sprintf("metadata/%d.linux-amd64.json", 3)
			put(v, strings.Replace(contents(t, m)[v], `"length":`, `"length":1`, 1))(m)
		}, MirrorOptions{}, ErrUntrusted},
		{"foreign", func(m *store.Mem) {
			for name, data := range contents(t, other) {
				put(name, data)(m)
			}
		}, MirrorOptions{}, updater.ErrUntrusted},
		{"not of the root that was given", func(*store.Mem) {}, MirrorOptions{Root: foreign}, updater.ErrUntrusted},
		{"no metadata any more", func(m *store.Mem) { must(t, m.Delete(ctx, "metadata/timestamp.json")) }, MirrorOptions{}, ErrUntrusted},
		{"expired", func(*store.Mem) {}, MirrorOptions{clock: func() time.Time { return time.Now().Add(31 * day) }}, updater.ErrExpired},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			src, dst := copyMem(t, good), copyMem(t, before)
			test.spoil(src)
			_, err := Mirror(ctx, src, dst, test.o)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			was, is := contents(t, before), contents(t, dst)
			if is["metadata/timestamp.json"] != was["metadata/timestamp.json"] {
				t.Error("it was published all the same")
			}
			for name, data := range is {
				if data != was[name] && data != contents(t, good)[name] {
					t.Errorf("%s was written", name)
				}
			}
		})
	}

	// Older than what is there, by a timestamp alone, and by all.
	last, same := &store.Mem{}, contents(t, good)["metadata/timestamp.json"]
	_, err = k.open(good).Timestamp(ctx)
	must(t, err)
	mirrored(t, good, last, MirrorOptions{})
	one := copyMem(t, good)
	put("metadata/timestamp.json", same)(one)
	if _, err := Mirror(ctx, one, last, MirrorOptions{}); !errors.Is(err, updater.ErrOlderMetadata) {
		t.Errorf("an older timestamp of the same snapshot: %v", err)
	}
	dst := &store.Mem{}
	mirrored(t, good, dst, MirrorOptions{})
	put("metadata/timestamp.json", old)(good)
	is := contents(t, dst)
	if _, err := Mirror(ctx, good, dst, MirrorOptions{}); !errors.Is(err, updater.ErrOlderMetadata) || !maps.Equal(is, contents(t, dst)) {
		t.Errorf("an older timestamp: %v", err)
	}
}

// A snapshot that takes a role back is refused, though whoever signs it and the timestamp has raised their versions.
func TestMirrorRefusesRolesGoneBack(t *testing.T) {
	src, k, _ := signedRepo(t, "1", "2")
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	r := k.open(src)
	base, err := r.load(ctx, false)
	must(t, err)
	c := r.newChange(base)
	c.resnap = true
	must(t, c.seal(ctx, false))
	c.snap.Signed.Meta["linux-amd64.json"].Version--
	must(t, c.signAndPublish(ctx))
	if _, err := Mirror(ctx, src, dst, MirrorOptions{}); !errors.Is(err, updater.ErrOlderMetadata) {
		t.Error(err)
	}
}

// Every role counts, not only those at the top.
func TestMirrorRefusesExpiredRole(t *testing.T) {
	src, k, _ := signedRepo(t, "1")
	r := k.open(src)
	base, err := r.load(ctx, false)
	must(t, err)
	c := r.newChange(base)
	role, err := c.get(ctx, "linux-amd64", "targets")
	must(t, err)
	c.edit("linux-amd64", "targets", role)
	must(t, c.seal(ctx, false))
	role.Signed.Expires = time.Now().Add(-day)
	must(t, c.signAndPublish(ctx))
	if _, err := Mirror(ctx, src, &store.Mem{}, MirrorOptions{}); !errors.Is(err, updater.ErrExpired) {
		t.Error(err)
	}
}

// A file that a role lists without being trusted with it is no file of the repository.
func TestMirrorOfOverreachingRole(t *testing.T) {
	src, k, root := signedRepo(t, "1")
	r := k.open(src)
	base, err := r.load(ctx, false)
	must(t, err)
	c := r.newChange(base)
	role, err := c.get(ctx, "linux-amd64", "targets")
	must(t, err)
	role.Signed.Targets["1/windows/amd64/release.json"] = role.Signed.Targets["1/linux/amd64/release.json"]
	c.edit("linux-amd64", "targets", role)
	must(t, c.seal(ctx, false))
	must(t, c.signAndPublish(ctx))
	dst := &store.Mem{}
	mirrored(t, src, dst, MirrorOptions{})
	expect(t, dst, root, map[string]bool{"1": true})
}

// Pruning keeps the document of a channel that clients may be on their way to.
func TestMirrorPrunesChannels(t *testing.T) {
	src, k, _ := signedRepo(t, "1", "2")
	dst := &store.Mem{}
	var documents []string
	for _, v := range []string{"1", "2", "1"} {
		changed(t, k.open(src), Promotion{Version: v})
		mirrored(t, src, dst, MirrorOptions{Prune: true})
		list, err := dst.List(ctx, channelsFolder)
		must(t, err)
		documents = append(documents, fmt.Sprint(len(list)))
	}
	if got := strings.Join(documents, " "); got != "2 3 3" { // one of them the plain one
		t.Errorf("%s documents", got)
	}
}

// Source and destination that were both published to are told apart.
func TestMirrorDiverged(t *testing.T) {
	src, k, _ := signedRepo(t, "1")
	dst := copyMem(t, src)
	for _, s := range []*store.Mem{src, dst} {
		r := k.open(s)
		if s == dst {
			r.clock = func() time.Time { return time.Now().Add(time.Hour) }
		}
		_, err := r.Timestamp(ctx)
		must(t, err)
	}
	if _, err := Mirror(ctx, src, dst, MirrorOptions{}); !errors.Is(err, ErrDiverged) {
		t.Error(err)
	}
}

func TestMirrorTrust(t *testing.T) {
	src, k, root := signedRepo(t, "1")
	must(t, k.open(src).ChangeRoot(ctx, RootChange{}))
	second := []byte(contents(t, src)["metadata/2.root.json"])
	for _, pin := range [][]byte{root, second} {
		dst := &store.Mem{}
		if m := mirrored(t, src, dst, MirrorOptions{Root: pin}); len(m.Remarks) > 0 || m.Root != 2 {
			t.Errorf("%+v", m)
		}
		expect(t, dst, root, map[string]bool{"1": true})
	}
	// Another root by the same keys is another repository's.
	fork := k.init()
	fork.Product = "other"
	pin, err := k.open(&store.Mem{}).Sign(ctx, fork)
	must(t, err)
	if _, err := Mirror(ctx, src, &store.Mem{}, MirrorOptions{Root: pin}); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a root of another repository: %v", err)
	}
	// Without its first root, from a later one that was given.
	must(t, src.Delete(ctx, "metadata/1.root.json"))
	dst := &store.Mem{}
	if _, err := Mirror(ctx, src, dst, MirrorOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without root 1: %v", err)
	}
	if m := mirrored(t, src, dst, MirrorOptions{Root: second}); len(m.Remarks) != 1 {
		t.Errorf("%+v", m)
	}
	expect(t, dst, second, map[string]bool{"1": true})
}
