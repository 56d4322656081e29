// Package tuftest makes small TUF repositories in memory, for tests. Metadata is kept as
// JSON objects that a test may change at will before they are signed and served.
package tuftest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"time"
)

// Object is a JSON object.
type Object = map[string]any

// Repo is a repository: what is signed next, and what is served.
type Repo struct {
	Signed  map[string]Object               // by role
	Signers map[string][]ed25519.PrivateKey // by role
	Files   map[string][]byte               // "timestamp.json", "1.root.json", ...
	parents map[string]string               // of delegated roles
}

// Now is the time at which the repositories are fresh.
var Now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Time is a time as metadata has it, some days from Now.
func Time(days int) string { return Now.AddDate(0, 0, days).Format(time.RFC3339) }

// New makes a repository with one key a role and no targets, at version 1.
func New() *Repo {
	r := &Repo{
		Signed: map[string]Object{}, Signers: map[string][]ed25519.PrivateKey{},
		Files: map[string][]byte{}, parents: map[string]string{},
	}
	base := func(kind string) Object {
		return Object{"_type": kind, "spec_version": "1.0.31", "version": 0, "expires": Time(365)}
	}
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		r.Signed[role] = base(role)
	}
	root := r.Signed["root"]
	root["consistent_snapshot"], root["keys"], root["roles"] = true, Object{}, Object{}
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		r.Trust(role, 1, Key(role))
	}
	r.Signed["timestamp"]["meta"] = Object{}
	r.Signed["snapshot"]["meta"] = Object{}
	r.Signed["targets"]["targets"] = Object{}
	r.PublishRoot()
	r.Publish("targets")
	return r
}

// Key is a key that depends on its name alone.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Public is a key as metadata has it, and its id.
func Public(k ed25519.PrivateKey) (id string, object Object) {
	object = Object{"keytype": "ed25519", "scheme": "ed25519", "keyval": Object{"public": hex.EncodeToString(k.Public().(ed25519.PublicKey))}}
	return Hash(Canonical(object)), object
}

// Trust makes keys those of a role, and the ones that sign for it.
func (r *Repo) Trust(role string, threshold int, keys ...ed25519.PrivateKey) {
	ids := []any{}
	all := r.holder(role)["keys"].(Object)
	for _, k := range keys {
		id, object := Public(k)
		all[id] = object
		ids = append(ids, id)
	}
	entry := r.entry(role)
	entry["keyids"], entry["threshold"] = ids, threshold
	r.Signers[role] = keys
}

// holder is the object that has the keys of a role.
func (r *Repo) holder(role string) Object {
	if parent, ok := r.parents[role]; ok {
		return r.Signed[parent]["delegations"].(Object)
	}
	return r.Signed["root"]
}

// entry is the object that has the key ids of a role.
func (r *Repo) entry(role string) Object {
	if _, ok := r.parents[role]; ok {
		for _, d := range r.holder(role)["roles"].([]any) {
			if d := d.(Object); d["name"] == role {
				return d
			}
		}
	}
	roles := r.Signed["root"]["roles"].(Object)
	if roles[role] == nil {
		roles[role] = Object{}
	}
	return roles[role].(Object)
}

// Delegate makes parent trust a new role with paths. Both have to be published.
func (r *Repo) Delegate(parent, role string, terminating bool, paths ...string) {
	patterns := []any{}
	for _, p := range paths {
		patterns = append(patterns, p)
	}
	if r.Signed[parent]["delegations"] == nil {
		r.Signed[parent]["delegations"] = Object{"keys": Object{}, "roles": []any{}}
	}
	d := r.Signed[parent]["delegations"].(Object)
	d["roles"] = append(d["roles"].([]any), Object{"name": role, "terminating": terminating, "paths": patterns})
	r.parents[role] = parent
	if r.Signed[role] == nil {
		r.Signed[role] = Object{"_type": "targets", "spec_version": "1.0.31", "version": 0, "expires": Time(365), "targets": Object{}}
	}
	r.Trust(role, 1, Key(role))
}

// Target lists a file under a role; custom may be nil.
func (r *Repo) Target(role, path string, data []byte, custom Object) {
	entry := Object{"length": len(data), "hashes": Object{"sha256": Hash(data)}}
	if custom != nil {
		entry["custom"] = custom
	}
	r.Signed[role]["targets"].(Object)[path] = entry
}

// PublishRoot signs and serves the next root, by keys that are named beside root's own.
func (r *Repo) PublishRoot(also ...ed25519.PrivateKey) {
	n := r.bump("root")
	r.Files[fmt.Sprintf("%d.root.json", n)] = r.Sign("root", also...)
}

// Publish signs and serves the next version of roles, of snapshot and of timestamp.
func (r *Repo) Publish(roles ...string) {
	for _, role := range roles {
		n := r.bump(role)
		r.Files[fmt.Sprintf("%d.%s.json", n, role)] = r.Sign(role)
		r.Signed["snapshot"]["meta"].(Object)[role+".json"] = Object{"version": n}
	}
	n := r.bump("snapshot")
	data := r.Sign("snapshot")
	r.Files[fmt.Sprintf("%d.snapshot.json", n)] = data
	r.Signed["timestamp"]["meta"].(Object)["snapshot.json"] = Object{
		"version": n, "length": len(data), "hashes": Object{"sha256": Hash(data)},
	}
	r.PublishTimestamp()
}

// PublishTimestamp signs and serves the next timestamp.
func (r *Repo) PublishTimestamp() {
	r.bump("timestamp")
	r.Files["timestamp.json"] = r.Sign("timestamp")
}

func (r *Repo) bump(role string) int {
	n := r.Signed[role]["version"].(int) + 1
	r.Signed[role]["version"] = n
	return n
}

// Sign signs what a role says now, with its signers and others.
func (r *Repo) Sign(role string, also ...ed25519.PrivateKey) []byte {
	return Sign(r.Signed[role], append(append([]ed25519.PrivateKey{}, r.Signers[role]...), also...)...)
}

// Sign makes a metadata file.
func Sign(signed Object, keys ...ed25519.PrivateKey) []byte {
	message, signatures := Canonical(signed), []any{}
	for _, k := range keys {
		id, _ := Public(k)
		signatures = append(signatures, Object{"keyid": id, "sig": hex.EncodeToString(ed25519.Sign(k, message))})
	}
	return Canonical(Object{"signed": signed, "signatures": signatures})
}

// Canonical is canonical JSON, for objects whose strings need no escapes.
func Canonical(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a test's mistake
	}
	return bytes.TrimSpace(b.Bytes())
}

// Hash is a sha256 in hex.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Env is the world of a client (tuf.Env): a repository to read, and a folder that is a map.
type Env struct {
	Files    map[string][]byte // served
	State    map[string][]byte
	Time     time.Time
	Requests []string
	Bytes    int // fetched
	Warnings []error

	// Change may answer in the place of Files, to play an attacker.
	Change func(name string, data []byte, err error) ([]byte, error)
}

// Env returns the world of a client that has seen nothing yet.
func (r *Repo) Env() *Env { return &Env{Files: r.Files, State: map[string][]byte{}, Time: Now} }

// Freeze keeps what is served now, whatever is published later.
func (e *Env) Freeze() { e.Files = maps.Clone(e.Files) }

// Fetch implements tuf.Env.
func (e *Env) Fetch(name string, limit int64) ([]byte, error) {
	e.Requests = append(e.Requests, strings.TrimSuffix(name, ".json"))
	data, ok := e.Files[name]
	var err error
	if !ok {
		err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if e.Change != nil {
		data, err = e.Change(name, data, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	e.Bytes += len(data)
	return data, err
}

// Load implements tuf.Env.
func (e *Env) Load(name string) ([]byte, error) {
	data, ok := e.State[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

// Store implements tuf.Env.
func (e *Env) Store(name string, data []byte) error { e.State[name] = data; return nil }

// Now implements tuf.Env.
func (e *Env) Now() time.Time { return e.Time }

// Warn implements tuf.Env.
func (e *Env) Warn(err error) { e.Warnings = append(e.Warnings, err) }
