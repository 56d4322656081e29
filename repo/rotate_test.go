package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// replaceKeys is a change of root that gives roles other keys.
func replaceKeys(from, to *PrivateKey, roles ...string) RootChange {
	rc := RootChange{Add: map[string][]*PublicKey{}, Remove: map[string][]string{}}
	for _, role := range roles {
		rc.Add[role], rc.Remove[role] = []*PublicKey{to.public}, []string{from.public.ID}
	}
	return rc
}

// signers of the newest top-level files, and of what targets delegates to.
func signersOf(t *testing.T, s store.Store) map[string][]string {
	t.Helper()
	base, err := Open(s).load(ctx, false)
	must(t, err)
	by := map[string][]string{}
	add := func(role string, list []metadata.Signature) {
		for _, s := range list {
			by[role] = append(by[role], s.KeyID)
		}
	}
	add("timestamp", base.timestamp.Signatures)
	add("snapshot", base.snapshot.Signatures)
	add("targets", base.roles["targets"].Signatures)
	platform, err := base.role(ctx, "linux-amd64", base.roles["targets"])
	must(t, err)
	add("linux-amd64", platform.Signatures)
	add("root", base.root().Signatures)
	return by
}

func TestFaultsOfRotate(t *testing.T) {
	for _, roles := range [][]string{{"root"}, {"timestamp"}, {"targets", "snapshot"}, {"snapshot"}, {"targets"}} {
		t.Run(strings.Join(roles, "+"), func(t *testing.T) {
			s, k, root := signedRepo(t, "1", "2")
			fresh := newKeys(t).release
			old := map[string]*PrivateKey{"root": k.root, "timestamp": k.timestamp, "targets": k.release, "snapshot": k.release}[roles[0]]
			rc := replaceKeys(old, fresh, roles...)
			open := func(s store.Store) *Repo {
				r := k.open(s)
				r.SignWith(fresh)
				return r
			}
			op := func(r *Repo) error { return r.ChangeRoot(ctx, rc) }
			atEveryFault(t, s, root, op, open, state{"1": true, "2": true})

			must(t, op(open(s)))
			for _, role := range roles {
				want := []string{fresh.public.ID}
				if role == "root" { // the next root has the old signature as well
					want = []string{fresh.public.ID, k.root.public.ID}
				}
				got := signersOf(t, s)[role]
				slices.Sort(want)
				if slices.Sort(got); !slices.Equal(got, want) {
					t.Errorf("%s is signed by %v, want %v", role, got, want)
				}
			}
			if roles[0] == "targets" {
				if got := signersOf(t, s)["linux-amd64"]; !slices.Equal(got, []string{fresh.public.ID}) {
					t.Errorf("the platform is signed by %v", got)
				}
			}
			// The old keys are good for nothing any more.
			if _, err := k.open(s).Add(ctx, small(t, "3", "three")); !errors.Is(err, ErrKeys) && !errors.Is(err, ErrWaiting) && !slices.Equal(roles, []string{"root"}) {
				t.Errorf("published with the old keys: %v", err)
			}
			must(t, open(s).Discard(ctx))
			_, err := open(s).Add(ctx, small(t, "4", "four"))
			must(t, err)
			expect(t, s, root, map[string]bool{"1": true, "4": true})
		})
	}
}

// A lost key is replaced without its signature, however often that is interrupted.
func TestFaultsOfLostKeys(t *testing.T) {
	for _, roles := range [][]string{{"timestamp"}, {"targets", "snapshot"}} {
		s, k, root := signedRepo(t, "1")
		fresh := newKeys(t).release
		old := map[string]*PrivateKey{"timestamp": k.timestamp, "targets": k.release}[roles[0]]
		rc := replaceKeys(old, fresh, roles...)
		rc.Lost = true
		open := func(s store.Store) *Repo {
			r := Open(s)
			for _, key := range []*PrivateKey{k.root, k.release, k.timestamp, fresh} {
				if key != old {
					r.SignWith(key)
				}
			}
			return r
		}
		for n := 1; ; n++ {
			f := &faulty{Mem: copyMem(t, s), at: n, crashes: true}
			err := open(f).ChangeRoot(ctx, rc)
			if !f.failed {
				must(t, err)
				break
			}
			if err := open(f.Mem).ChangeRoot(ctx, rc); err != nil {
				t.Fatalf("%v: fault %d: again: %v", roles, n, err)
			}
			if is, err := stateOf(f.Mem, root, "1"); err != nil || !is["1"] {
				t.Fatalf("%v: fault %d: again: %v, %v", roles, n, is, err)
			}
		}
	}
}

// Programs in the field, with what they remember, go on at every point of a rotation, and after it.
func TestFaultsStrandNoClient(t *testing.T) {
	for _, roles := range [][]string{{"timestamp"}, {"targets", "snapshot"}} {
		s, k, root := signedRepo(t, "1")
		fresh := newKeys(t).release
		old := map[string]*PrivateKey{"timestamp": k.timestamp, "targets": k.release}[roles[0]]
		rc := replaceKeys(old, fresh, roles...)
		served := &serving{}
		server := httptest.NewServer(served)
		defer server.Close()
		open := func(s store.Store) *Repo {
			r := k.open(s)
			r.SignWith(fresh)
			return r
		}
		for n := 1; ; n++ {
			f := &faulty{Mem: copyMem(t, s), at: n, crashes: true, after: true}
			target := filepath.Join(t.TempDir(), "tool")
			must(t, os.WriteFile(target, elf(0), 0o755))
			look := func(when string) {
				t.Helper()
				_, err := updater.FetchSpec(updater.SourceRepo(server.URL), updater.TargetFile(target), updater.Version("1"),
					updater.OS("linux"), updater.Arch("amd64"), updater.TrustRoot(root), updater.Attempts(1), updater.Logger(log.New(io.Discard, "", 0)))
				if err != nil {
					t.Fatalf("%v: fault %d: %s: %v", roles, n, when, err)
				}
			}
			served.mem.Store(f.Mem)
			look("before")
			err := open(f).ChangeRoot(ctx, rc)
			look("interrupted")
			if !f.failed {
				must(t, err)
				break
			}
			must(t, open(f.Mem).ChangeRoot(ctx, rc))
			look("after")
		}
	}
}

// serving is a web server of a store that can be exchanged.
type serving struct{ mem atomic.Pointer[store.Mem] }

func (s *serving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	object, err := s.mem.Load().Open(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), store.Request{})
	if err != nil {
		http.NotFound(w, r)
		return
	}
	io.Copy(w, object.Body)
}

func TestRootChanges(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	second := newKeys(t).root
	r := k.open(s)
	r.SignWith(second)
	must(t, r.ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"root": {second.public}}, Thresholds: map[string]int{"root": 2}}))
	if err := r.ChangeRoot(ctx, RootChange{Thresholds: map[string]int{"root": 3}}); err == nil || errors.Is(err, ErrStaged) {
		t.Errorf("threshold 3 of 2 keys: %v", err)
	}
	if err := r.ChangeRoot(ctx, RootChange{Thresholds: map[string]int{"targets": 0}}); err == nil {
		t.Error("threshold 0")
	}
	if err := r.ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"nobody": {second.public}}}); err == nil {
		t.Error("an unknown role")
	}
	must(t, r.ChangeRoot(ctx, RootChange{Lifetimes: Lifetimes{"timestamp": 48 * time.Hour}}))
	e, err := r.Timestamp(ctx)
	if err != nil || time.Until(e.Expires) > 49*time.Hour {
		t.Errorf("%+v, %v", e, err)
	}
	must(t, r.ChangeRoot(ctx, RootChange{})) // renews root
	base, err := r.load(ctx, false)
	must(t, err)
	if base.root().Signed.Version != 4 || product(base.root()) != "tool" || lifetimesOf(base.root())["timestamp"] != 48*time.Hour {
		t.Errorf("%+v", base.root().Signed)
	}
	expect(t, s, root, map[string]bool{"1": true})
}

// Two maintainers of three sign, on machines that do not see the repository, in any order.
func TestSeveralMaintainers(t *testing.T) {
	s := &store.Mem{}
	a, b, c, online := newKeys(t), newKeys(t), newKeys(t), newKeys(t)
	init := Init{Product: "tool", Thresholds: map[string]int{"root": 2, "targets": 2}, Keys: map[string][]*PublicKey{
		"root": {a.root.public, b.root.public, c.root.public}, "targets": {a.release.public, b.release.public, c.release.public},
		"snapshot": {online.release.public}, "timestamp": {online.timestamp.public},
	}}
	publisher := Open(s)
	publisher.SignWith(a.root, a.release, online.release, online.timestamp)
	if _, err := publisher.Sign(ctx, init); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	if _, err := publisher.Sign(ctx, init); !errors.Is(err, ErrWaiting) || errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	// carry exports the change, has it signed, and brings it back.
	carry := func(pin []byte, want int, signers ...Signer) error {
		t.Helper()
		p, err := publisher.Staged(ctx)
		must(t, err)
		data, err := p.Marshal()
		must(t, err)
		p, err = ParseProposal(data)
		must(t, err)
		must(t, p.Verify(pin))
		if made, _, err := p.Sign(signers...); err != nil || made != want {
			t.Fatalf("%d signatures, %v; want %d", made, err, want)
		}
		data, err = p.Marshal()
		must(t, err)
		p, err = ParseProposal(data)
		must(t, err)
		return publisher.Import(ctx, p)
	}
	if err := carry(nil, 1, c.root); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	must(t, carry(nil, 1, b.release))
	root, err := publisher.read(ctx, "metadata/1.root.json", rootLimit)
	must(t, err)

	if _, err := publisher.Add(ctx, small(t, "1", "one")); !errors.Is(err, ErrStaged) {
		t.Fatalf("one of two signatures: %v", err)
	}
	expect(t, s, root, map[string]bool{"1": false})
	if _, err := publisher.Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrWaiting) || errors.Is(err, ErrStaged) {
		t.Fatalf("a second change: %v", err)
	}
	_, err = publisher.Timestamp(ctx) // goes on meanwhile
	must(t, err)
	p, err := publisher.Staged(ctx)
	must(t, err)
	if text := strings.Join(p.Summary(), "\n"); !strings.Contains(text, "+ 1/linux/amd64/release.json") {
		t.Errorf("summary: %s", text)
	}
	must(t, carry(root, 2, c.release)) // targets and linux-amd64
	expect(t, s, root, map[string]bool{"1": true, "2": false})
	if p, err := publisher.Staged(ctx); p != nil || err != nil {
		t.Errorf("still staged: %v, %v", p, err)
	}

	// A key of root is replaced: by the old and the new threshold.
	rc := replaceKeys(a.root, online.root, "root")
	publisher.SignWith(online.root)
	if err := publisher.ChangeRoot(ctx, rc); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	must(t, carry(root, 1, b.root))
	expect(t, s, root, map[string]bool{"1": true})

	// A release key is replaced.
	rc = replaceKeys(a.release, online.root, "targets")
	if err := publisher.ChangeRoot(ctx, rc); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	err = carry(root, 3, c.release, b.root)
	must(t, err)
	expect(t, s, root, map[string]bool{"1": true})
	if err := publisher.Import(ctx, nil); err == nil {
		t.Error("nothing to import, and no error")
	}
}

// Bringing the last signature back may be interrupted anywhere.
func TestFaultsOfImport(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	second := newKeys(t)
	both := func(s store.Store) *Repo {
		r := k.open(s)
		r.SignWith(second.release)
		return r
	}
	must(t, both(s).ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"targets": {second.release.public}}, Thresholds: map[string]int{"targets": 2}}))
	if _, err := k.open(s).Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	p, err := k.open(s).Staged(ctx)
	must(t, err)
	_, complete, err := p.Sign(second.release)
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	op := func(r *Repo) error {
		err := r.Import(ctx, p)
		if staged, serr := r.Staged(ctx); serr == nil && staged == nil && err != nil && !errors.Is(err, errFault) {
			return nil // it was published before
		}
		return err
	}
	atEveryFault(t, s, root, op, k.open, state{"1": true, "2": false}, state{"1": true, "2": true})
}

// What an exported change says about the repository as it is cannot be forged.
func TestForgedProposal(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	second, evil := newKeys(t), newKeys(t)
	r := k.open(s)
	r.SignWith(second.release)
	must(t, r.ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"targets": {second.release.public}}, Thresholds: map[string]int{"targets": 2}}))
	if _, err := k.open(s).Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	export := func() *Proposal {
		p, err := k.open(s).Staged(ctx)
		must(t, err)
		return p
	}
	must(t, export().Verify(root))
	p := export()
	for _, f := range p.Roles["linux-amd64"].Signed.Targets { // hidden: it seems to have been there before
		p.WasRoles["linux-amd64"].Signed.Targets["evil/linux/amd64/release.json"] = f
	}
	if err := p.Verify(root); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a forged role: %v", err)
	}
	other := &store.Mem{}
	init := evil.init()
	init.Keys["targets"] = append(init.Keys["targets"], k.release.public)
	_, err := evil.open(other).Sign(ctx, init)
	must(t, err)
	base, err := Open(other).load(ctx, false)
	must(t, err)
	p = export()
	p.WasRoots, p.WasRoles = base.roots, maps.Clone(base.roles)
	p.WasSnapshot, p.Version = base.snapshot, base.snapshot.Signed.Version
	must(t, p.Verify(nil))
	if err := p.Verify(root); !errors.Is(err, ErrUntrusted) {
		t.Errorf("another repository: %v", err)
	}
}

// Keys that no signature can be verified with are refused where they are read, in proposals and in repositories.
func TestKeysOfAnotherLength(t *testing.T) {
	s, k, _ := signedRepo(t, "1")
	second := newKeys(t)
	r := k.open(s)
	r.SignWith(second.release)
	must(t, r.ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"targets": {second.release.public}}, Thresholds: map[string]int{"targets": 2}}))
	if _, err := k.open(s).Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	p, err := k.open(s).Staged(ctx)
	must(t, err)
	proposal, err := p.Marshal()
	must(t, err)
	root, err := Open(s).read(ctx, "metadata/1.root.json", rootLimit)
	must(t, err)
	hex := k.root.public.key.Value.PublicKey
	for _, other := range []string{"", "00", hex + "00", "no" + hex[2:]} {
		bad := func(data []byte) []byte { return []byte(strings.ReplaceAll(string(data), hex, other)) }
		if _, err := ParseProposal(bad(proposal)); err == nil {
			t.Errorf("a proposal was taken with the key %q", other)
		}
		m := copyMem(t, s)
		must(t, m.Delete(ctx, stagedName))
		must(t, m.Put(ctx, "metadata/1.root.json", bytes.NewReader(bad(root))))
		if _, err := k.open(m).Add(ctx, small(t, "2", "two")); err == nil || errors.Is(err, ErrStaged) {
			t.Errorf("a repository with the key %q: %v", other, err)
		}
	}
}

// A bucket that was exchanged gets no signatures of ours: neither for a repository that it made up, with our key among
// its own, nor for files that nobody has signed.
func TestPinnedPublisher(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	evil := newKeys(t)
	init := evil.init()
	init.Keys["targets"] = append(init.Keys["targets"], k.release.public)
	init.Keys["timestamp"] = append(init.Keys["timestamp"], k.timestamp.public)
	made := &store.Mem{}
	_, err := evil.open(made).Sign(ctx, init)
	must(t, err)
	pinned := func(s store.Store) *Repo {
		r := k.open(s)
		r.TrustRoot(root)
		return r
	}
	for name, m := range map[string]*store.Mem{"made up": made, "emptied": {}} {
		if _, err := pinned(m).Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := m.List(ctx, "2/"); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
	m := copyMem(t, s)
	data, err := Open(m).read(ctx, "metadata/2.linux-amd64.json", targetsLimit)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = Open(m).read(ctx, "metadata/1.linux-amd64.json", targetsLimit)
	}
	must(t, err)
	forged := strings.Replace(string(data), `"length":`, `"length":1`, 1)
	for _, name := range []string{"metadata/1.linux-amd64.json", "metadata/2.linux-amd64.json"} {
		must(t, m.Put(ctx, name, strings.NewReader(forged)))
	}
	if _, err := pinned(m).Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a forged role: %v", err)
	}
	_, err = pinned(s).Add(ctx, small(t, "2", "two"))
	must(t, err)
}

func FuzzParseProposal(f *testing.F) {
	mem, k := &store.Mem{}, newKeys(f)
	init := k.init()
	init.Keys["root"], init.Thresholds = append(init.Keys["root"], k.release.public), map[string]int{"root": 2}
	r := Open(mem)
	r.SignWith(k.root, k.timestamp)
	init.Keys["targets"], init.Keys["snapshot"] = init.Keys["timestamp"], init.Keys["timestamp"]
	if _, err := r.Sign(ctx, init); !errors.Is(err, ErrStaged) {
		f.Fatal(err)
	}
	seed, err := r.read(ctx, stagedName, proposalLimit)
	must(f, err)
	f.Add(seed)
	for _, s := range []string{`{}`, `{"update-repo-proposal":1,"root":{"signed":{"_type":"root"},"signatures":[]}}`, `{"update-repo-proposal":1,"roles":{"a":null}}`} {
		f.Add([]byte(s))
	}
	f.Add([]byte(strings.ReplaceAll(string(seed), k.root.public.key.Value.PublicKey, "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProposal(data)
		if err != nil {
			return
		}
		p.Verify(nil)
		p.Summary()
		p.Waiting()
		p.Sign(k.root, k.release, k.timestamp)
		if _, err := p.Marshal(); err != nil && !json.Valid(data) {
			t.Error(err)
		}
	})
}
