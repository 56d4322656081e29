package stores

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/tarfile"
)

// served is all that clients see of a repository.
func served(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	list, err := s.List(ctx, "")
	must(t, err)
	all := map[string]string{}
	for _, e := range list {
		object, err := s.Open(ctx, e.Name, store.Request{})
		must(t, err)
		data, err := io.ReadAll(object.Body)
		must(t, err)
		object.Body.Close()
		all[e.Name] = string(data)
	}
	return all
}

// mirror: from a folder to the store, from there to another place in it, to a file, and to a folder; killed and raced on the way.
func (s *service) mirror(t *testing.T) {
	key, src := signer(t, t.TempDir()), store.NewDir(t.TempDir())
	root := initialize(t, src, key)
	add := func(version string) {
		_, err := publisher(src, key).Add(ctx, addition(file(t, "version "+version), version))
		must(t, err)
	}
	add("1.0")
	_, err := publisher(src, key).ChangeChannel(ctx, "stable", repo.Promotion{Version: "1.0"})
	must(t, err)
	one, two := openStore(t, s.fresh()(s.url)), openStore(t, s.fresh()(s.url))
	copyTo := func(from store.Reader, to store.Store) {
		t.Helper()
		_, err := repo.Mirror(ctx, from, to, repo.MirrorOptions{Root: root})
		must(t, err)
	}
	copyTo(src, one)
	copyTo(one, two)
	carried := store.NewDir(t.TempDir())
	copyTo(s.carried(t, two, root), carried)
	want, got := served(t, one), served(t, carried)
	if fmt.Sprint(want) != fmt.Sprint(got) || want["metadata/timestamp.json"] == "" {
		t.Errorf("%d files went in, %d came out", len(want), len(got))
	}

	// A file that is not what was signed gets no name, in no store.
	add("1.1")
	const archive = "1.1/linux/amd64/tool.bz2"
	good := served(t, src)[archive]
	must(t, src.Put(ctx, archive, strings.NewReader(good[:len(good)-1]+"x")))
	if _, err := repo.Mirror(ctx, src, one, repo.MirrorOptions{}); !errors.Is(err, store.ErrRejected) {
		t.Errorf("another file: %v", err)
	}
	if object, err := one.Open(ctx, archive, store.Request{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there all the same: %+v, %v", object, err)
	}
	must(t, src.Put(ctx, archive, strings.NewReader(good)))

	// A mirror that dies leaves the version before, whole.
	random := rand.New(rand.NewPCG(7, 8))
	for i := range min(s.kills, 20) {
		version := fmt.Sprintf("2.%d", i)
		add(version)
		d := &dying{Store: one, at: 1 + random.IntN(20), after: random.IntN(2) == 0}
		_, err := repo.Mirror(ctx, src, d, repo.MirrorOptions{Jobs: 1})
		if is := installs(t, one, root, version, "version "+version); err == nil && !is || !installs(t, one, root, "1.0", "version 1.0") {
			t.Fatalf("kill %d (call %d): %v", i, d.at, err)
		}
		copyTo(src, one)
		if !installs(t, one, root, version, "version "+version) {
			t.Fatalf("kill %d: version %s is not there", i, version)
		}
	}
	s.mirrorRaces(t, src, two, root, add)
}

// carried is a repository in a file.
func (s *service) carried(t *testing.T, from store.Reader, root []byte) store.Reader {
	path := filepath.Join(t.TempDir(), "repo.tar")
	w, err := tarfile.Create(path)
	must(t, err)
	defer w.Close()
	_, err = repo.Mirror(ctx, from, w, repo.MirrorOptions{Root: root, Jobs: 1, Before: &store.Mem{}})
	must(t, err)
	must(t, w.Commit())
	r, err := tarfile.Open(path)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// mirrorRaces has two mirrors copy the same to one place at once. Whoever fails is told that another is at work, and all of it is there.
func (s *service) mirrorRaces(t *testing.T, src store.Reader, dst store.Store, root []byte, add func(string)) {
	for round := range min(s.races, 10) {
		version := fmt.Sprintf("3.%d", round)
		add(version)
		var wg sync.WaitGroup
		var failures [2]error
		for who := range failures {
			wg.Go(func() { _, failures[who] = repo.Mirror(ctx, src, dst, repo.MirrorOptions{}) })
		}
		wg.Wait()
		for _, err := range failures {
			if err != nil && !errors.Is(err, repo.ErrBusy) {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if failures[0] != nil && failures[1] != nil {
			t.Fatalf("round %d: nobody won: %v", round, failures)
		}
		if !installs(t, dst, root, version, "version "+version) {
			t.Fatalf("round %d: version %s is not there", round, version)
		}
	}
}
