package test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

// What a hostile server or a stolen key can try: both clients refuse it, or the row says why not.
func TestAttacks(t *testing.T) {
	evil := tuftest.Key("evil")
	for name, c := range map[string]struct {
		want   error // ours; nil: accepted
		attack func(r *tuftest.Repo)
		theirs string // why theirs decides otherwise
	}{
		"unsigned":                {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["timestamp"] = nil; r.PublishTimestamp() }, ""},
		"unknown key":             {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["timestamp"] = []ed25519.PrivateKey{evil}; r.PublishTimestamp() }, ""},
		"another role's key":      {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["targets"] = r.Signers["timestamp"]; r.Publish("targets") }, ""},
		"one signature 50 times":  {tuf.ErrMalformed, func(r *tuftest.Repo) { repeat(r, 50) }, ""},
		"one signature 500 times": {errAny, func(r *tuftest.Repo) { repeat(r, 500) }, ""},
		"threshold 0": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			entry(r, "timestamp")["threshold"] = 0
			r.PublishRoot()
			r.Signers["timestamp"] = nil
			r.PublishTimestamp()
		}, ""},
		"threshold above the keys": {tuf.ErrUntrusted, func(r *tuftest.Repo) { entry(r, "timestamp")["threshold"] = 2; r.PublishRoot(); r.PublishTimestamp() }, ""},
		"two ids for one key": {tuf.ErrUntrusted, func(r *tuftest.Repo) {
			id, public := tuftest.Public(tuftest.Key("timestamp"))
			public["note"] = "again"
			second := tuftest.Hash(tuftest.Canonical(public))
			r.Signed["root"]["keys"].(object)[second] = public
			entry(r, "timestamp")["keyids"], entry(r, "timestamp")["threshold"] = []any{id, second}, 2
			r.PublishRoot()
			r.PublishTimestamp()
			sign2(r, second)
		}, ""},
		"a gap in the roots": {nil, func(r *tuftest.Repo) {
			r.Trust("timestamp", 1, evil)
			r.PublishRoot()
			r.PublishRoot()
			delete(r.Files, "2.root.json")
		}, ""},
		"a wrong version in a root": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Signed["root"]["version"] = 2
			r.PublishRoot()
			r.Files["2.root.json"] = r.Files["3.root.json"]
		}, ""},
		"a root of new keys alone": {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Trust("root", 1, evil); r.PublishRoot() }, ""},
		"an expired root":          {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["root"]["expires"] = tuftest.Time(-1); r.PublishRoot() }, ""},
		"old timestamp":            {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["timestamp"]["version"] = 0; r.PublishTimestamp() }, ""},
		"old snapshot":             {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["snapshot"]["version"] = 0; r.Publish() }, ""},
		"old targets":              {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["targets"]["version"] = 0; r.Publish("targets") }, ""},
		"old platform":             {tuf.ErrRollback, func(r *tuftest.Repo) { r.Signed["linux-amd64"]["version"] = 0; r.Publish("linux-amd64") }, ""},
		"platform left out": {tuf.ErrRollback, func(r *tuftest.Repo) {
			delete(r.Signed["snapshot"]["meta"].(object), "linux-amd64.json")
			r.Publish()
		}, ""},
		"expired timestamp": {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["timestamp"]["expires"] = tuftest.Time(-1); r.PublishTimestamp() }, ""},
		"mixed publishes": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			old := r.Files["3.snapshot.json"]
			r.Publish("targets")
			r.Files["4.snapshot.json"] = old
		}, ""},
		"metadata removed":   {errAny, func(r *tuftest.Repo) { clear(r.Files) }, ""},
		"duplicate JSON key": {tuf.ErrMalformed, func(r *tuftest.Repo) { r.PublishTimestamp(); twice(r) }, "encoding/json takes the last of two members"},
	} {
		t.Run(name, func(t *testing.T) {
			r := platforms()
			p := newPair(t, r.Files["1.root.json"], maps.Clone(r.Files))
			r.Publish("linux-amd64", "targets")
			p.files = maps.Clone(r.Files)
			if ours, theirs := p.look(file); ours != nil || theirs != nil {
				t.Fatalf("before: ours: %v, theirs: %v", ours, theirs)
			}
			c.attack(r)
			p.files = r.Files
			ours, theirs := p.look(file)
			if c.want == errAny && ours == nil || c.want != errAny && !errors.Is(ours, c.want) {
				t.Errorf("ours: %v, want %v", ours, c.want)
			}
			if differ := (ours == nil) != (theirs == nil); differ != (c.theirs != "") {
				t.Errorf("ours: %v, theirs: %v, expected to differ: %q", ours, theirs, c.theirs)
			}
		})
	}
}

var errAny = errors.New("any error")

// A root that a server hides from a client that has seen it: its revoked key stays revoked for us.
// go-tuf's updater starts from the compiled-in root each time, and takes the revoked key.
func TestHiddenRotation(t *testing.T) {
	r := platforms()
	p := newPair(t, r.Files["1.root.json"], r.Files)
	stolen := r.Signers["timestamp"]
	r.Trust("timestamp", 1, tuftest.Key("timestamp 2"))
	r.PublishRoot()
	r.PublishTimestamp()
	if ours, theirs := p.look(file); ours != nil || theirs != nil {
		t.Fatalf("before: ours: %v, theirs: %v", ours, theirs)
	}
	delete(r.Files, "2.root.json")
	r.Signers["timestamp"] = stolen
	r.PublishTimestamp()
	ours, theirs := p.look(file)
	if !errors.Is(ours, tuf.ErrUntrusted) {
		t.Errorf("ours: %v, want ErrUntrusted", ours)
	}
	t.Logf("theirs: %v", theirs)
}

func entry(r *tuftest.Repo, role string) object {
	return r.Signed["root"]["roles"].(object)[role].(object)
}

// repeat serves a timestamp with its one signature n times.
func repeat(r *tuftest.Repo, n int) {
	r.PublishTimestamp()
	var f object
	if err := json.Unmarshal(r.Files["timestamp.json"], &f); err != nil {
		panic(err)
	}
	f["signatures"] = slices.Repeat(f["signatures"].([]any), n)
	r.Files["timestamp.json"] = tuftest.Canonical(f)
}

// sign2 adds the same signature under another id.
func sign2(r *tuftest.Repo, id string) {
	var f object
	if err := json.Unmarshal(r.Files["timestamp.json"], &f); err != nil {
		panic(err)
	}
	signatures := f["signatures"].([]any)
	f["signatures"] = append(signatures, object{"keyid": id, "sig": signatures[0].(object)["sig"]})
	r.Files["timestamp.json"] = tuftest.Canonical(f)
}

// twice gives the signed timestamp its version twice; the last, which go-tuf takes, is the signed one.
func twice(r *tuftest.Repo) {
	data := string(r.Files["timestamp.json"])
	r.Files["timestamp.json"] = []byte(fmt.Sprintf(`{"signed":{},%s`, data[1:]))
}
