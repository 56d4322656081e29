package tuf_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

type object = tuftest.Object

// refresh is one run of a program whose trust root is version 1.
func refresh(env *tuftest.Env, root []byte) (*tuf.Client, error) {
	c, err := tuf.New(env, root)
	if err != nil {
		return nil, err
	}
	return c, c.Refresh()
}

// seen is a repository and a client that has seen it.
func seen(t *testing.T) (r *tuftest.Repo, env *tuftest.Env, root []byte) {
	t.Helper()
	r = tuftest.New()
	r.Target("targets", "a/file", []byte("data"), nil)
	r.Publish("targets")
	env, root = r.Env(), r.Files["1.root.json"]
	if _, err := refresh(env, root); err != nil {
		t.Fatal(err)
	}
	env.Requests = nil
	return r, env, root
}

func TestRefresh(t *testing.T) {
	r := tuftest.New()
	r.Target("targets", "a/file", []byte("data"), object{"note": "kept"})
	r.Publish("targets")
	env := r.Env()
	c, err := refresh(env, r.Files["1.root.json"])
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"2.root", "timestamp", "2.snapshot", "2.targets"}; !slices.Equal(env.Requests, want) {
		t.Errorf("requests %v, want %v", env.Requests, want)
	}
	target, err := c.Target("a/file")
	if err != nil || target.Length != 4 || target.Verify([]byte("data")) != nil || string(target.Custom) != `{"note":"kept"}` {
		t.Errorf("%+v, %v", target, err)
	}
	for _, bad := range []string{"datb", "dat", "data2", ""} {
		if err := target.Verify([]byte(bad)); !errors.Is(err, tuf.ErrMalformed) {
			t.Errorf("%q is taken for the file: %v", bad, err)
		}
	}
	if _, err := c.Target("a/other"); !errors.Is(err, tuf.ErrNoTarget) {
		t.Errorf("no such target: %v", err)
	}
	for stored, served := range map[string]string{"root.json": "1.root.json", "timestamp.json": "timestamp.json", "snapshot.json": "2.snapshot.json", "targets.json": "2.targets.json"} {
		if !bytes.Equal(env.State[stored], r.Files[served]) {
			t.Errorf("%s is not stored as it was served", stored)
		}
	}
	env.Requests = nil
	if _, err := refresh(env, r.Files["1.root.json"]); err != nil || !slices.Equal(env.Requests, []string{"2.root", "timestamp"}) {
		t.Errorf("nothing new: requests %v, %v", env.Requests, err)
	}
}

// Hashes of either kind count, alone and together, in either case.
func TestHashes(t *testing.T) {
	sum := sha512.Sum512([]byte("data"))
	sha512, sha256 := hex.EncodeToString(sum[:]), tuftest.Hash([]byte("data"))
	for name, c := range map[string]struct {
		hashes object
		good   bool
	}{
		"sha512":              {object{"sha512": sha512}, true},
		"upper case":          {object{"sha256": strings.ToUpper(sha256), "sha512": strings.ToUpper(sha512)}, true},
		"an unknown one more": {object{"sha256": sha256, "md5": 1}, true},
		"sha512 wrong":        {object{"sha256": sha256, "sha512": strings.Repeat("0", 128)}, false},
		"sha256 wrong":        {object{"sha256": strings.Repeat("0", 64), "sha512": sha512}, false},
	} {
		r := tuftest.New()
		r.Target("targets", "a/file", []byte("data"), nil)
		r.Signed["targets"]["targets"].(object)["a/file"].(object)["hashes"] = c.hashes
		r.Publish("targets")
		client, err := refresh(r.Env(), r.Files["1.root.json"])
		if err != nil {
			t.Fatal(err)
		}
		target, err := client.Target("a/file")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := target.Verify([]byte("data")); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each change is made to what a repository signs next, with the right keys,
// after a client has seen the version before. A nil error means that it has to be accepted.
func TestMutations(t *testing.T) {
	evil := tuftest.Key("evil")
	for name, c := range map[string]struct {
		want   error
		change func(r *tuftest.Repo)
	}{
		"nothing": {nil, func(r *tuftest.Repo) { r.Publish("targets") }},
		"unknown fields": {nil, func(r *tuftest.Repo) {
			r.Signed["targets"]["x"] = object{"y": []any{nil, true, "z"}}
			r.Publish("targets")
		}},

		"timestamp unsigned":         {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["timestamp"] = nil; r.Publish("targets") }},
		"timestamp by another key":   {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["timestamp"] = keys(evil); r.Publish("targets") }},
		"snapshot by another key":    {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["snapshot"] = keys(evil); r.Publish("targets") }},
		"targets by another key":     {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["targets"] = keys(evil); r.Publish("targets") }},
		"targets by timestamp's key": {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["targets"] = keys(tuftest.Key("timestamp")); r.Publish("targets") }},
		"root by another key": {tuf.ErrUntrusted, func(r *tuftest.Repo) {
			r.Trust("root", 1, evil)
			r.PublishRoot()
		}},
		"root by old key only": {tuf.ErrUntrusted, func(r *tuftest.Repo) {
			r.Trust("root", 1, evil)
			r.Signers["root"] = keys(tuftest.Key("root"))
			r.PublishRoot()
		}},
		"root rotated": {nil, func(r *tuftest.Repo) {
			r.Trust("root", 1, tuftest.Key("root 2"))
			r.PublishRoot(tuftest.Key("root"))
		}},
		"root skips a version": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Signed["root"]["version"] = 2
			data := r.Sign("root")
			r.Signed["root"]["version"] = 3
			r.Files["2.root.json"] = r.Sign("root")
			r.Files["3.root.json"] = data
		}},
		"root expired": {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["root"]["expires"] = tuftest.Time(-1); r.PublishRoot() }},
		"an expired root before a good one": {nil, func(r *tuftest.Repo) {
			r.Signed["root"]["expires"] = tuftest.Time(-1)
			r.PublishRoot()
			r.Signed["root"]["expires"] = tuftest.Time(1)
			r.PublishRoot()
		}},
		"timestamp expired":    {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["timestamp"]["expires"] = tuftest.Time(-1); r.Publish("targets") }},
		"snapshot expired":     {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["snapshot"]["expires"] = tuftest.Time(-1); r.Publish("targets") }},
		"targets expired":      {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["targets"]["expires"] = tuftest.Time(-1); r.Publish("targets") }},
		"expires this instant": {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["targets"]["expires"] = tuftest.Time(0); r.Publish("targets") }},

		"timestamp rolled back": {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["timestamp"]["version"] = 0; r.PublishTimestamp() }},
		"snapshot rolled back":  {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["snapshot"]["version"] = 0; r.Publish() }},
		"targets rolled back":   {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["targets"]["version"] = 0; r.Publish("targets") }},
		"targets removed": {tuf.ErrRollback, func(r *tuftest.Repo) {
			delete(r.Signed["snapshot"]["meta"].(object), "targets.json")
			r.Publish()
		}},
		"same timestamp version, other content": {nil, func(r *tuftest.Repo) {
			r.Signed["timestamp"]["version"] = 1
			r.Signed["timestamp"]["x"] = "y"
			r.PublishTimestamp()
		}},

		"of another type":  {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Signed["targets"]["_type"] = "snapshot"; r.Publish("targets") }},
		"specification 2":  {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Signed["targets"]["spec_version"] = "2.0.0"; r.Publish("targets") }},
		"version a string": {tuf.ErrMalformed, func(r *tuftest.Repo) { putTargets(r, func(o object) { o["version"] = "3" }) }},
		"version negative": {tuf.ErrMalformed, func(r *tuftest.Repo) { putTargets(r, func(o object) { o["version"] = -3 }) }},
		"version another":  {tuf.ErrMalformed, func(r *tuftest.Repo) { putTargets(r, func(o object) { o["version"] = 7 }) }},
		"expires no time":  {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Signed["targets"]["expires"] = "tomorrow"; r.Publish("targets") }},
		"no targets":       {tuf.ErrMalformed, func(r *tuftest.Repo) { delete(r.Signed["targets"], "targets"); r.Publish("targets") }},
		"wrong case": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			putTargets(r, func(o object) { o["Targets"] = o["targets"]; delete(o, "targets") })
		}},
		"snapshot hash wrong":   {tuf.ErrMalformed, func(r *tuftest.Repo) { timestampSays(r, "hashes", object{"sha256": tuftest.Hash(nil)}) }},
		"snapshot length wrong": {tuf.ErrMalformed, func(r *tuftest.Repo) { timestampSays(r, "length", 100000) }},
		"snapshot of another version": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			old := r.Files["2.snapshot.json"]
			r.Publish("targets")
			r.Files["3.snapshot.json"] = old
			r.Signed["timestamp"]["meta"] = object{"snapshot.json": object{"version": 3}} // no hash
			r.PublishTimestamp()
		}},
		"no snapshot named": {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Signed["timestamp"]["meta"] = object{}; r.PublishTimestamp() }},

		"threshold 0":        {tuf.ErrMalformed, func(r *tuftest.Repo) { roleOf(r, "targets")["threshold"] = 0; r.PublishRoot() }},
		"threshold negative": {tuf.ErrMalformed, func(r *tuftest.Repo) { roleOf(r, "targets")["threshold"] = -1; r.PublishRoot() }},
		"no key":             {tuf.ErrUntrusted, func(r *tuftest.Repo) { roleOf(r, "targets")["keyids"] = []any{}; r.PublishRoot(); r.Publish("targets") }},
		"key id twice": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			role := roleOf(r, "targets")
			role["keyids"] = append(role["keyids"].([]any), role["keyids"].([]any)[0])
			r.PublishRoot()
		}},
		"threshold 2 reached": {nil, func(r *tuftest.Repo) {
			r.Trust("targets", 2, tuftest.Key("targets"), tuftest.Key("more"))
			r.PublishRoot()
			r.Publish("targets")
		}},
		"threshold 2 missed": {tuf.ErrUntrusted, func(r *tuftest.Repo) {
			r.Trust("targets", 2, tuftest.Key("targets"), tuftest.Key("more"))
			r.Signers["targets"] = keys(tuftest.Key("more"))
			r.PublishRoot()
			r.Publish("targets")
		}},
		"one key under two ids": {tuf.ErrUntrusted, func(r *tuftest.Repo) {
			// Both ids are right: the second key has another member, which is hashed too.
			k := tuftest.Key("targets")
			id, public := tuftest.Public(k)
			public["note"] = "again"
			second := tuftest.Hash(tuftest.Canonical(public))
			r.Signed["root"]["keys"].(object)[second] = public
			role := roleOf(r, "targets")
			role["keyids"], role["threshold"] = []any{id, second}, 2
			r.PublishRoot()
			r.Publish("targets")
			resign(r, "targets", func(signatures []any) []any {
				return append(signatures, object{"keyid": second, "sig": signatures[0].(object)["sig"]})
			})
		}},
		"key id of the defined members alone": {nil, func(r *tuftest.Repo) {
			id, public := tuftest.Public(tuftest.Key("targets"))
			public["note"] = "not in the id"
			r.Signed["root"]["keys"].(object)[id] = public
			r.PublishRoot()
			r.Publish("targets")
		}},
		"key under a wrong id": {tuf.ErrUntrusted, func(r *tuftest.Repo) {
			_, public := tuftest.Public(tuftest.Key("targets"))
			id := strings.Repeat("ab", 32)
			r.Signed["root"]["keys"].(object)[id] = public
			roleOf(r, "targets")["keyids"] = []any{id}
			r.PublishRoot()
			r.Publish("targets")
			resign(r, "targets", func(signatures []any) []any {
				signatures[0].(object)["keyid"] = id
				return signatures
			})
		}},
		"a key of a kind that only others know": {nil, func(r *tuftest.Repo) {
			public := object{"keytype": "sigstore-oidc", "scheme": "Fulcio", "keyval": object{"identity": "a@example.net", "issuer": "https://example.net"}}
			id := tuftest.Hash(tuftest.Canonical(public))
			r.Signed["root"]["keys"].(object)[id] = public
			role := roleOf(r, "targets")
			role["keyids"] = append(role["keyids"].([]any), id)
			r.PublishRoot()
			r.Publish("targets")
		}},
		"the same signature 50 times": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Publish("targets")
			resign(r, "targets", func(s []any) []any { return slices.Repeat(s, 50) })
		}},
		"500 signatures": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Publish("targets")
			resign(r, "targets", func(s []any) []any { return slices.Repeat(s, 500) })
		}},
		"an invalid signature beside the valid one": {nil, func(r *tuftest.Repo) {
			r.Trust("targets", 1, tuftest.Key("targets"), tuftest.Key("more"))
			r.PublishRoot()
			r.Publish("targets")
			resign(r, "targets", func(s []any) []any { s[1].(object)["sig"] = "zz"; return s })
		}},

		"a delegation named root": {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Delegate("targets", "root", false, "*"); r.Publish("targets") }},
		"both kinds of delegation": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Delegate("targets", "a", false, "*")
			id, _ := tuftest.Public(tuftest.Key("a"))
			r.Signed["targets"]["delegations"].(object)["succinct_roles"] = object{"keyids": []any{id}, "threshold": 1, "bit_length": 1, "name_prefix": "b"}
			r.Publish("a", "targets")
		}},

		"not JSON":      {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Files["timestamp.json"] = []byte("<html>log in</html>") }},
		"empty":         {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Files["timestamp.json"] = nil }},
		"trailing data": {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Files["timestamp.json"] = append(r.Sign("timestamp"), "{}"...) }},
		"duplicate key": {tuf.ErrMalformed, func(r *tuftest.Repo) { edit(r, `{"signatures"`, `{"signatures":[],"signatures"`) }},
		"a fraction":    {tuf.ErrMalformed, func(r *tuftest.Repo) { edit(r, `"_type"`, `"a":1.5,"_type"`) }},
		"invalid UTF-8": {tuf.ErrMalformed, func(r *tuftest.Repo) { edit(r, `"_type"`, "\"a\":\"\xff\",\"_type\"") }},
		"deep": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			edit(r, `"_type"`, `"a":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`,"_type"`)
		}},
		"null":            {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Files["timestamp.json"] = []byte("null") }},
		"one bit":         {tuf.ErrUntrusted, func(r *tuftest.Repo) { edit(r, `"spec_version":"1.0.31"`, `"spec_version":"1.0.30"`) }},
		"files removed":   {fs.ErrNotExist, func(r *tuftest.Repo) { clear(r.Files) }},
		"snapshot gone":   {fs.ErrNotExist, func(r *tuftest.Repo) { r.Publish("targets"); delete(r.Files, "3.snapshot.json") }},
		"mixed publishes": {fs.ErrNotExist, func(r *tuftest.Repo) { r.Publish("targets"); delete(r.Files, "3.targets.json") }},
	} {
		t.Run(name, func(t *testing.T) {
			r, env, root := seen(t)
			before := map[string]string{}
			for name, data := range env.State {
				before[name] = string(data)
			}
			c.change(r)
			client, err := refresh(env, root)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if c.want == nil {
				if _, err := client.Target("a/file"); err != nil {
					t.Errorf("the file is not trusted any more: %v", err)
				}
				return
			}
			if string(env.State["targets.json"]) != before["targets.json"] {
				t.Error("targets was stored though it was refused")
			}
			checkState(t, env)
		})
	}
}

func keys(k ...ed25519.PrivateKey) []ed25519.PrivateKey { return k }

func roleOf(r *tuftest.Repo, role string) object {
	return r.Signed["root"]["roles"].(object)[role].(object)
}

// putTargets serves a next version of targets that was changed after its version was set.
func putTargets(r *tuftest.Repo, change func(object)) {
	r.Publish("targets")
	change(r.Signed["targets"])
	r.Files["3.targets.json"] = r.Sign("targets")
}

func timestampSays(r *tuftest.Repo, key string, value any) {
	r.Publish("targets")
	r.Signed["timestamp"]["meta"].(object)["snapshot.json"].(object)[key] = value
	r.PublishTimestamp()
}

// resign changes the signatures of the newest version of a role.
func resign(r *tuftest.Repo, role string, change func([]any) []any) {
	name := fmt.Sprintf("%d.%s.json", r.Signed[role]["version"], role)
	var file object
	if err := json.Unmarshal(r.Files[name], &file); err != nil {
		panic(err)
	}
	file["signatures"] = change(file["signatures"].([]any))
	r.Files[name] = tuftest.Canonical(file)
}

// edit changes the bytes of a new timestamp.
func edit(r *tuftest.Repo, old, new string) {
	r.PublishTimestamp()
	r.Files["timestamp.json"] = bytes.Replace(r.Files["timestamp.json"], []byte(old), []byte(new), 1)
}

// checkState makes sure that what is stored is of use: a client that is offered
// it again as a repository believes it, or says that it has expired.
func checkState(t *testing.T, env *tuftest.Env) {
	t.Helper()
	files := map[string][]byte{"timestamp.json": env.State["timestamp.json"]}
	for _, role := range []string{"snapshot", "targets"} {
		var file struct{ Signed struct{ Version int } }
		if err := json.Unmarshal(env.State[role+".json"], &file); err != nil {
			t.Fatalf("stored %s: %v", role, err)
		}
		files[fmt.Sprintf("%d.%s.json", file.Signed.Version, role)] = env.State[role+".json"]
	}
	_, err := refresh(&tuftest.Env{Files: files, State: map[string][]byte{}, Time: env.Time}, env.State["root.json"])
	ok := err == nil || errors.Is(err, tuf.ErrExpired) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, tuf.ErrUntrusted)
	if !ok {
		t.Errorf("the state is not whole: %v", err)
	}
}

// A key that was revoked by a root that a server then hides stays revoked,
// across restarts and although the program's trust root still names it.
func TestHiddenRotation(t *testing.T) {
	r, env, root := seen(t)
	old := r.Signers["timestamp"]
	r.Trust("timestamp", 1, tuftest.Key("timestamp 2"))
	r.PublishRoot()
	r.Publish("targets")
	if _, err := refresh(env, root); err != nil {
		t.Fatal(err)
	}
	delete(r.Files, "2.root.json")
	r.Signers["timestamp"] = old
	r.Target("targets", "a/file", []byte("evil"), nil)
	r.Publish("targets")
	for range 2 {
		if _, err := refresh(env, root); !errors.Is(err, tuf.ErrUntrusted) {
			t.Errorf("the revoked key is good again: %v", err)
		}
	}
}

// A program that is newer than the stored root brings its own.
func TestNewerTrustRoot(t *testing.T) {
	r, env, _ := seen(t)
	r.Trust("timestamp", 1, tuftest.Key("timestamp 2"))
	r.PublishRoot()
	r.Publish("targets")
	if _, err := refresh(env, r.Files["2.root.json"]); err != nil || !slices.Contains(env.Requests, "3.root") || slices.Contains(env.Requests, "2.root") {
		t.Errorf("requests %v, %v", env.Requests, err)
	}
	if !bytes.Equal(env.State["root.json"], r.Files["2.root.json"]) {
		t.Error("the newer root is not stored")
	}
}

// Stored files that make no sense are reported and cost nothing but themselves.
func TestCorruptState(t *testing.T) {
	for _, name := range []string{"root.json", "timestamp.json", "snapshot.json", "targets.json"} {
		for _, content := range []string{"", "\x00\x00", "{", `{"signed":{},"signatures":[]}`, "null"} {
			_, env, root := seen(t)
			env.State[name] = []byte(content)
			if _, err := refresh(env, root); err != nil {
				t.Errorf("%s %q: %v", name, content, err)
			}
			byOldKeys := name != "root.json" && strings.HasPrefix(content, `{"signed"`)
			if len(env.Warnings) == 0 && !byOldKeys {
				t.Errorf("%s %q: not reported", name, content)
			}
		}
	}
}

func TestTrustRootHasToBeGood(t *testing.T) {
	r := tuftest.New()
	good := r.Files["1.root.json"]
	r.Signers["root"] = keys(tuftest.Key("evil"))
	for name, root := range map[string][]byte{"empty": nil, "truncated": good[:len(good)/2], "badly signed": r.Sign("root"), "another role": r.Files["timestamp.json"]} {
		env := r.Env()
		if _, err := refresh(env, root); err == nil || len(env.Requests) != 0 {
			t.Errorf("%s: %v, requests %v", name, err, env.Requests)
		}
	}
}

// New keys undo versions that an attacker has raised out of reach.
func TestFastForwardRecovery(t *testing.T) {
	r, env, root := seen(t)
	r.Signed["timestamp"]["version"], r.Signed["snapshot"]["version"] = 1<<50, 1<<50
	r.Publish("targets")
	if _, err := refresh(env, root); err != nil {
		t.Fatal(err)
	}
	r.Signed["timestamp"]["version"], r.Signed["snapshot"]["version"] = 2, 2
	r.Publish("targets")
	if _, err := refresh(env, root); !errors.Is(err, tuf.ErrRollback) {
		t.Fatalf("without new keys: %v", err)
	}
	r.Trust("timestamp", 1, tuftest.Key("timestamp 2"))
	r.Trust("snapshot", 1, tuftest.Key("snapshot 2"))
	r.PublishRoot()
	r.Publish("targets")
	if _, err := refresh(env, root); err != nil || len(env.Warnings) != 0 {
		t.Errorf("with new keys: %v, warnings %v", err, env.Warnings)
	}
}

// Expired metadata that is stored still guards against what is older.
func TestExpiredStateGuards(t *testing.T) {
	r, env, root := seen(t)
	r.Signed["timestamp"]["expires"] = tuftest.Time(7)
	r.Publish("targets")
	if _, err := refresh(env, root); err != nil {
		t.Fatal(err)
	}
	env.Time = tuftest.Now.AddDate(0, 0, 18)
	if _, err := refresh(env, root); !errors.Is(err, tuf.ErrExpired) {
		t.Errorf("18 days later: %v", err)
	}
	r.Signed["timestamp"]["expires"] = tuftest.Time(21)
	r.Signed["timestamp"]["version"] = 0
	r.PublishTimestamp()
	if _, err := refresh(env, root); !errors.Is(err, tuf.ErrRollback) {
		t.Errorf("an older version that has not expired: %v", err)
	}
}

// What is stored and still current may expire in the meantime.
func TestStoredExpires(t *testing.T) {
	for _, role := range []string{"snapshot", "targets"} {
		r, env, root := seen(t)
		r.Signed[role]["expires"] = tuftest.Time(7)
		r.Publish("targets")
		if _, err := refresh(env, root); err != nil {
			t.Fatal(err)
		}
		r.Signed["timestamp"]["expires"] = tuftest.Time(21)
		r.PublishTimestamp()
		env.Time = tuftest.Now.AddDate(0, 0, 18)
		var expired *tuf.ExpiredError
		c, err := refresh(env, root)
		if !errors.As(err, &expired) || expired.Role != role {
			t.Errorf("%s: %v", role, err)
		}
		if _, err := c.Target("a/file"); err == nil {
			t.Errorf("%s has expired, and vouches for a file", role)
		}
	}
}

// A stored file of the right version that is not the one that timestamp names is fetched anew.
func TestStoredIsAnother(t *testing.T) {
	r, env, root := seen(t)
	r.Signed["snapshot"]["note"] = "another"
	env.State["snapshot.json"] = r.Sign("snapshot")
	if _, err := refresh(env, root); err != nil || !slices.Contains(env.Requests, "2.snapshot") {
		t.Errorf("requests %v, %v", env.Requests, err)
	}
}

func TestTooManyRoots(t *testing.T) {
	r, env, root := seen(t)
	for range tuf.MaxRotations + 1 {
		r.PublishRoot()
	}
	if _, err := refresh(env, root); !errors.Is(err, tuf.ErrMalformed) {
		t.Errorf("%v", err)
	}
	if _, err := refresh(env, root); err != nil {
		t.Errorf("the second refresh goes on where the first ended: %v", err)
	}
}

func TestStoreFails(t *testing.T) {
	r, _, root := seen(t)
	full := errors.New("disk full")
	for n := 1; n <= 4; n++ {
		env := &failing{Env: r.Env(), left: n - 1, err: full}
		c, err := tuf.New(env, root)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(); !errors.Is(err, full) {
			t.Errorf("store %d fails: %v", n, err)
		}
		if _, err := c.Target("a/file"); err == nil {
			t.Errorf("store %d fails, and a target is found", n)
		}
	}
}

type failing struct {
	*tuftest.Env
	left int
	err  error
}

func (f *failing) Store(name string, data []byte) error {
	if f.left == 0 {
		return f.err
	}
	f.left--
	return f.Env.Store(name, data)
}

var _ tuf.Env = (*failing)(nil)

func TestClockIsTheEnvironments(t *testing.T) {
	_, env, root := seen(t)
	env.Time = tuftest.Now.Add(366 * 24 * time.Hour)
	_, err := refresh(env, root)
	var expired *tuf.ExpiredError
	if !errors.As(err, &expired) || expired.Role != "root" || !expired.Now.Equal(env.Time) {
		t.Errorf("%v", err)
	}
}
