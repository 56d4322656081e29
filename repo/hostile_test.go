package repo

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// forger publishes metadata that no publisher would write, signed by the right keys: as JSON, whatever it says.
type forger struct {
	*store.Mem
	keys
}

func forge(t testing.TB, s store.Store, k keys) *forger { return &forger{copyMem(t, s), k} }

// signed is what is signed of a file.
func (f *forger) signed(t testing.TB, name string) map[string]any {
	t.Helper()
	data, err := Open(f).read(ctx, name, proposalLimit)
	must(t, err)
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var file map[string]any
	must(t, d.Decode(&file))
	return file["signed"].(map[string]any)
}

// version of a role, or of snapshot.
func (f *forger) version(t testing.TB, role string) string {
	above := timestampName
	if role != "snapshot" {
		above = metadataFolder + f.version(t, "snapshot") + ".snapshot.json"
	}
	entry := f.signed(t, above)["meta"].(map[string]any)[role+".json"].(map[string]any)
	return entry["version"].(json.Number).String()
}

func (f *forger) name(t testing.TB, role string) string {
	switch role {
	case "timestamp":
		return timestampName
	case "root":
		return "metadata/1.root.json"
	}
	return metadataFolder + f.version(t, role) + "." + role + ".json"
}

// publish puts another content of a role in its place, and what leads to it.
func (f *forger) publish(t testing.TB, role string, signed map[string]any) {
	t.Helper()
	name, by := f.name(t, role), f.release
	switch role {
	case "timestamp":
		by = f.timestamp
	case "root":
		by = f.root
	}
	payload, err := cjson.EncodeCanonical(signed)
	if err != nil {
		payload = []byte("what cannot be signed")
	}
	signature, err := by.Sign(payload)
	must(t, err)
	data, err := json.Marshal(map[string]any{"signed": signed, "signatures": []any{map[string]any{"keyid": by.public.ID, "sig": hex.EncodeToString(signature)}}})
	must(t, err)
	must(t, f.Put(ctx, name, bytes.NewReader(data)))
	if role != "snapshot" {
		return
	}
	above := f.signed(t, timestampName)
	entry := above["meta"].(map[string]any)["snapshot.json"].(map[string]any)
	entry["length"], entry["hashes"] = len(data), map[string]any{"sha256": sha256Of(data)["sha256"].String()}
	f.publish(t, "timestamp", above)
}

// visit is something that people do with a repository that they do not trust, or with their own whose server is not theirs.
type visit func(ctx context.Context, r *Repo, root []byte, binary Addition)

var visits = map[string]visit{
	"audit": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		r.Audit(ctx, nil)
		r.Partial()
		r.CheckChannels(ctx)
	},
	"examine": func(ctx context.Context, r *Repo, _ []byte, _ Addition) { r.Examine(ctx, Examination{}) },
	"read": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		r.Channels(ctx)
		r.Unnamed(ctx)
		r.Baseless(ctx)
		r.UsedKeys(ctx)
	},
	"verify": func(ctx context.Context, r *Repo, root []byte, _ Addition) {
		list, _ := r.List(ctx)
		for _, release := range list {
			Verify(ctx, r.store, release, nil, updater.TrustRoot(root))
		}
	},
	"mirror": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		Mirror(ctx, r.store, &store.Mem{}, MirrorOptions{Root: r.anchor, Jobs: 1})
	},
	"mirror a part": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		Mirror(ctx, r.store, &store.Mem{}, MirrorOptions{Root: r.anchor, Jobs: 1, Part: Part{Platforms: []string{"linux/amd64"}, Keep: 1}})
	},
	"staged": func(ctx context.Context, r *Repo, root []byte, _ Addition) {
		if p, err := r.Staged(ctx); err == nil && p != nil {
			p.Verify(root)
			p.Summary()
			p.Sign(r.signers...)
			p.Waiting()
		}
		r.Import(ctx, nil)
	},
	"add":    func(ctx context.Context, r *Repo, _ []byte, binary Addition) { r.Add(ctx, binary) },
	"remove": func(ctx context.Context, r *Repo, _ []byte, _ Addition) { r.Remove(ctx, "1", "linux", "amd64") },
	"prune":  func(ctx context.Context, r *Repo, _ []byte, _ Addition) { r.Prune(ctx, 1, false) },
	"deltas": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		r.MakeDeltas(ctx, DeltaUpdate{Deltas: Deltas{Last: 1}})
	},
	"promote": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		r.ChangeChannel(ctx, "stable", Promotion{Version: "1"})
	},
	"renew":     func(ctx context.Context, r *Repo, _ []byte, _ Addition) { r.Renew(ctx) },
	"timestamp": func(ctx context.Context, r *Repo, _ []byte, _ Addition) { r.Timestamp(ctx) },
	"rotate": func(ctx context.Context, r *Repo, _ []byte, _ Addition) {
		r.ChangeRoot(ctx, RootChange{Lifetimes: Lifetimes{"timestamp": time.Hour, "targets": time.Hour}})
	},
}

// visitAll makes all visits, each of a repository of its own, with the root pinned and without.
func visitAll(ctx context.Context, t testing.TB, s store.Store, k keys, root []byte, binary Addition) {
	for _, name := range slices.Sorted(maps.Keys(visits)) {
		for _, anchor := range [][]byte{nil, root} {
			r := k.open(copyMem(t, s))
			r.anchor = anchor
			visits[name](ctx, r, root, binary)
		}
	}
}

// hostileSeed is a repository with all that there may be in one, and that a binary for another version.
func hostileSeed(t testing.TB) (s *store.Mem, k keys, root []byte, binary Addition) {
	t.Helper()
	s, k = &store.Mem{}, newKeys(t)
	r := k.open(s)
	root, err := r.Sign(ctx, k.init())
	must(t, err)
	for _, v := range []string{"1", "2"} {
		_, err := r.Add(ctx, small(t, v, v))
		must(t, err)
	}
	_, err = r.ChangeChannel(ctx, "stable", Promotion{Version: "2"})
	must(t, err)
	must(t, r.commitFiles(ctx, mustLoad(t, r), fake(0, directFiles+20)))
	return s, k, root, small(t, "3", "three")
}

func mustLoad(t testing.TB, r *Repo) *signed {
	t.Helper()
	base, err := r.load(ctx, false)
	must(t, err)
	return base
}

// What the right keys have signed, and no publisher would write, is an error or works; it ends nothing with a panic and takes no time.
func TestForgedMetadata(t *testing.T) {
	s, k, root, binary := hostileSeed(t)
	delegations := func(signed map[string]any) map[string]any { return signed["delegations"].(map[string]any) }
	for name, test := range map[string]struct {
		role string
		edit func(signed map[string]any)
	}{
		"a file of null": {"targets", func(m map[string]any) { m["targets"] = map[string]any{"a": nil} }},
		"a platform that delegates to nobody": {"linux-amd64", func(m map[string]any) {
			m["delegations"] = map[string]any{"keys": map[string]any{}, "roles": []any{}}
		}},
		"a circle": {"targets", func(m map[string]any) {
			for _, role := range delegations(m)["roles"].([]any) {
				role.(map[string]any)["name"] = "targets"
			}
		}},
		"versions at the end of numbers": {"snapshot", func(m map[string]any) { m["version"] = json.Number("9223372036854775807") }},
		"a root far away":                {"root", func(m map[string]any) { m["version"] = json.Number("4611686018427387904") }},
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t, s, k)
			signed := f.signed(t, f.name(t, test.role))
			test.edit(signed)
			f.publish(t, test.role, signed)
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			visitAll(ctx, t, f, k, root, binary)
			must(t, ctx.Err())
		})
	}
}

// A proposal is a file that anybody may have written, and a store may say what it likes waits for signatures: what the summary would not
// show is not signed.
func TestHostileProposal(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	second, evil := newKeys(t), newKeys(t)
	both := k.open(s)
	both.SignWith(second.release)
	must(t, both.ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"targets": {second.release.public}}, Thresholds: map[string]int{"targets": 2}}))
	release, rotation := copyMem(t, s), copyMem(t, s)
	if _, err := k.open(release).Add(ctx, small(t, "2", "two")); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	if err := k.open(rotation).ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"root": {second.root.public}}, Thresholds: map[string]int{"root": 2}}); !errors.Is(err, ErrStaged) {
		t.Fatal(err)
	}
	in := func(v any, path ...string) map[string]any {
		for _, key := range path {
			v = v.(map[string]any)[key]
		}
		return v.(map[string]any)
	}
	keyOf := func(k *PrivateKey) any { return cloneJSON(k.public) }
	signBy := func(k *PrivateKey) []any { return []any{k.public.ID} }
	for name, test := range map[string]struct {
		of     store.Store
		edit   func(p map[string]any)
		hidden string // what the summary has to have if it is no error
	}{
		"as it is": {of: release, edit: func(map[string]any) {}, hidden: "2/linux/amd64/release.json"},
		"custom that takes lines back": {of: release, hidden: "\ufffd[2K", edit: func(p map[string]any) {
			in(p, "roles", "linux-amd64", "signed", "targets", "2/linux/amd64/release.json")["custom"] = map[string]any{"a": "\u009b[2K"}
		}},
		"as it is, a root": {of: rotation, edit: func(map[string]any) {}, hidden: "key " + second.root.public.ID},
		"a file of null":   {of: release, edit: func(p map[string]any) { in(p, "roles", "linux-amd64", "signed", "targets")["a"] = nil }},
		"a root for a role": {of: release, edit: func(p map[string]any) {
			m := in(p, "roles", "linux-amd64", "signed")
			for key, value := range in(p, "was-roots", "0", "signed") {
				m[key] = value
			}
		}},
		"a root that is called a role": {of: release, edit: func(p map[string]any) {
			in(p, "roles", "linux-amd64", "signed")["_TYPE"] = "root"
			in(p, "roles", "linux-amd64", "signed")["_type"] = "root"
		}},
		"a root for a snapshot": {of: release, edit: func(p map[string]any) { in(p, "snapshot", "signed")["_type"] = "root" }},
		"another key under an id": {of: rotation, edit: func(p map[string]any) {
			in(p, "root", "signed", "keys")[k.release.public.ID] = keyOf(evil.release)
		}},
		"a key twice": {of: rotation, edit: func(p map[string]any) {
			in(p, "root", "signed", "roles", "root")["keyids"] = []any{k.root.public.ID, k.root.public.ID}
		}},
		"a root that nobody finds anything by": {of: rotation, edit: func(p map[string]any) { in(p, "root", "signed")["consistent_snapshot"] = false }},
		"a root of another specification":      {of: rotation, edit: func(p map[string]any) { in(p, "root", "signed")["spec_version"] = "2.0" }},
		"a parent that delegates to nobody": {of: release, edit: func(p map[string]any) {
			in(p, "parents")["linux-amd64"] = "linux-amd64"
		}},
		"a parent of its own": {of: release, edit: func(p map[string]any) {
			// Signed by a key of the attacker's choice, and led to by nobody that the summary knows.
			bins := in(cloneJSON(in(p, "roles", "linux-amd64")))
			in(bins, "signed")["targets"] = map[string]any{}
			in(bins, "signed")["delegations"] = map[string]any{"keys": map[string]any{k.root.public.ID: keyOf(k.root)}, "succinct_roles": map[string]any{
				"keyids": signBy(k.root), "threshold": 1, "bit_length": 1, "name_prefix": "x",
			}}
			in(p, "roles")["bins"] = bins
			in(p, "parents")["bins"], in(p, "parents")["linux-amd64"] = "bins", "bins"
			p["was-roles"] = map[string]any{}
		}},
		"a parent of its own for what was": {of: release, edit: func(p map[string]any) {
			// What is added seems to have been there before, by the word of a role that delegates to itself.
			was := in(p, "was-roles")
			files := in(was, "linux-amd64", "signed", "targets")
			for path, file := range in(p, "roles", "linux-amd64", "signed", "targets") {
				files[path] = file
			}
			was["evil"] = cloneJSON(was["linux-amd64"])
			in(was, "evil", "signed")["targets"] = map[string]any{}
			in(was, "evil", "signed")["delegations"] = map[string]any{"keys": map[string]any{evil.root.public.ID: keyOf(evil.root)}, "roles": []any{
				map[string]any{"name": "evil", "keyids": signBy(evil.root), "threshold": 1, "terminating": true, "paths": []any{"*"}},
				map[string]any{"name": "linux-amd64", "keyids": signBy(evil.root), "threshold": 1, "terminating": true, "paths": []any{"*"}},
			}}
			for _, name := range []string{"evil", "linux-amd64"} {
				payload, err := cjson.EncodeCanonical(in(was, name, "signed"))
				must(t, err)
				signature, err := evil.root.Sign(payload)
				must(t, err)
				in(was, name)["signatures"] = []any{map[string]any{"keyid": evil.root.public.ID, "sig": hex.EncodeToString(signature)}}
			}
		}},
		"a snapshot without a role": {of: release, hidden: "- linux-amd64.json", edit: func(p map[string]any) {
			delete(in(p, "snapshot", "signed", "meta"), "linux-amd64.json")
		}},
		"a snapshot with an older role": {of: release, hidden: "~ targets.json is version 1, expected", edit: func(p map[string]any) {
			in(p, "snapshot", "signed", "meta", "targets.json")["version"] = 1
		}},
		"another snapshot that was": {of: release, edit: func(p map[string]any) {
			in(p, "was-snapshot", "signed", "meta", "targets.json")["version"] = 1
		}},
		"an older snapshot that was": {of: release, edit: func(p map[string]any) {
			data, err := Open(release).read(ctx, "metadata/2.snapshot.json", snapshotLimit)
			must(t, err)
			p["was-snapshot"], p["snapshot-version"] = cloneJSON(json.RawMessage(data)), 2
		}},
		"no snapshot that was": {of: release, edit: func(p map[string]any) { delete(p, "was-snapshot") }},
		"a platform by another's key": {of: release, hidden: "1 of the keys " + evil.release.public.ID, edit: func(p map[string]any) {
			targets := cloneJSON(in(p, "was-roles", "targets"))
			in(p, "roles")["targets"] = targets
			d := in(targets, "signed", "delegations")
			in(d, "keys")[evil.release.public.ID] = keyOf(evil.release)
			platform := d["roles"].([]any)[0].(map[string]any)
			platform["keyids"], platform["threshold"] = signBy(evil.release), 1
		}},
		"two that list one file": {of: release, hidden: strings.Repeat("0", 64), edit: func(p map[string]any) {
			roles := in(p, "roles")
			roles["zz"], roles["targets"] = cloneJSON(roles["linux-amd64"]), cloneJSON(in(p, "was-roles", "targets"))
			in(roles, "targets", "signed", "delegations")["roles"] = append(in(roles, "targets", "signed", "delegations")["roles"].([]any),
				map[string]any{"name": "zz", "keyids": signBy(k.release), "threshold": 1, "terminating": true, "paths": []any{"zz"}})
			in(p, "parents")["zz"] = "targets"
			in(roles, "linux-amd64", "signed", "targets", "2/linux/amd64/release.json", "hashes")["sha256"] = strings.Repeat("0", 64)
		}},
		"a path that takes lines back": {of: release, edit: func(p map[string]any) {
			files := in(p, "roles", "linux-amd64", "signed", "targets")
			files["3/linux/amd64/tool\x1b[1A\x1b[2K"] = files["2/linux/amd64/release.json"]
		}},
		"a product that takes lines back": {of: rotation, edit: func(p map[string]any) { in(p, "root", "signed")["product"] = "tool\u202e" }},
		"nothing of a role that was":      {of: release, edit: func(p map[string]any) { delete(in(p, "was-roles"), "linux-amd64") }},
		"very many signatures": {of: release, edit: func(p map[string]any) {
			in(p, "snapshot")["signatures"] = slices.Repeat(in(p, "snapshot")["signatures"].([]any), 100)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := Open(test.of).read(ctx, stagedName, proposalLimit)
			must(t, err)
			content := cloneJSON(json.RawMessage(data)).(map[string]any)
			content["was-roots"] = map[string]any{"0": content["was-roots"].([]any)[0], "list": content["was-roots"]} // for in
			test.edit(content)
			content["was-roots"] = in(content, "was-roots")["list"]
			data, err = json.Marshal(content)
			must(t, err)
			p, err := ParseProposal(data)
			if err == nil {
				err = p.Verify(root)
			}
			if err == nil {
				_, _, err = p.Sign(k.root, k.release)
			}
			if shown := err == nil && test.hidden != "" && strings.Contains(strings.Join(p.Summary(), "\n"), test.hidden); err == nil && !shown {
				t.Errorf("it would be signed: %v", p.Summary())
			} else if strings.HasPrefix(name, "as it is") && err != nil {
				t.Error(err)
			} else {
				t.Log(err)
			}
		})
	}
}

// replaced is a store one of whose files has other bytes, endless ones for example.
type replaced struct {
	store.Store
	name string
	body io.Reader
}

func (r replaced) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if name == r.name {
		return &store.Object{Body: io.NopCloser(r.body), Size: -1}, nil
	}
	return r.Store.Open(ctx, name, req)
}

// What is measured because nobody has signed it is read as far as release.json says, and deltas as far as clients read them.
func TestEndlessArtifacts(t *testing.T) {
	s, k := &store.Mem{}, newKeys(t)
	a := small(t, "1", "one")
	a.Uncompressed = true
	_, err := Open(s).Add(ctx, a)
	must(t, err)
	began := time.Now()
	if _, err := k.open(replaced{s, "1/linux/amd64/tool", zeros{}}).Sign(ctx, k.init()); err == nil || time.Since(began) > 30*time.Second {
		t.Errorf("an endless file after %v: %v", time.Since(began), err)
	}
	spec, err := Open(s).spec(ctx, "1/linux/amd64/release.json")
	must(t, err)
	spec.Deltas = []updater.Delta{{File: "tool.delta", From: spec.Sha256Hash, Version: "0", Size: 1 << 39, SHA256: spec.Sha256Hash}}
	data, err := json.Marshal(spec)
	must(t, err)
	must(t, s.Put(ctx, "1/linux/amd64/release.json", bytes.NewReader(data)))
	must(t, s.Put(ctx, "1/linux/amd64/tool.delta", strings.NewReader("")))
	if _, err := k.open(s).Sign(ctx, k.init()); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("a delta of half a terabyte: %v", err)
	}
}

// everywhere is a store that has something under every name.
type everywhere struct{ store.Store }

func (e everywhere) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	object, err := e.Store.Open(ctx, name, req)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(name, ".root.json") && name != stagedName {
		return &store.Object{Body: io.NopCloser(strings.NewReader("<html>")), Size: 6}, nil
	}
	return object, err
}

// A server that answers for every name is not asked for ever.
func TestEveryNameTaken(t *testing.T) {
	s, k, _ := signedRepo(t, "1")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := k.open(everywhere{s}).Renew(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "does not have") {
		t.Error(err)
	}
}

// What init takes for a product's name can be read again, and shown.
func TestProductNames(t *testing.T) {
	for name, good := range map[string]bool{"Größe 2": true, "": false, strings.Repeat("a", 101): false, "a\x1b[A": false, "tool\u202e": false, "a\u00a0b": false} {
		s, k := &store.Mem{}, newKeys(t)
		init := k.init()
		init.Product = name
		_, err := k.open(s).Sign(ctx, init)
		if err == nil {
			_, err = k.open(s).Trust(ctx)
		}
		if list, lerr := s.List(ctx, ""); (err == nil) != good || lerr != nil || len(list) > 0 != good {
			t.Errorf("%q: %v, %d files, %v", name, err, len(list), lerr)
		}
	}
}
