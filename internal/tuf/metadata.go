package tuf

import (
	"encoding/json"
	"net/url"
	"strings"
)

// The four top-level roles.
const (
	rootRole      = "root"
	timestampRole = "timestamp"
	snapshotRole  = "snapshot"
	targetsRole   = "targets"
)

// root is verified root metadata.
type root struct {
	common
	consistent bool
	roles      map[string]role
	product    string
	data       []byte
}

// parseRoot reads a root and checks that its own keys have signed it.
// Whether it is to be trusted, the root before it says.
func parseRoot(data []byte) (*root, *unverified, error) {
	u, err := open(rootRole, data)
	if err != nil {
		return nil, nil, err
	}
	f, c := u.fields(rootRole)
	r := &root{common: c, roles: map[string]role{}, data: data}
	if f.has("consistent_snapshot") {
		r.consistent = f.boolean("consistent_snapshot")
	}
	if f.has("product") {
		r.product = f.text("product")
	}
	keys := parseKeys(f)
	roles := f.members("roles")
	for _, name := range []string{rootRole, timestampRole, snapshotRole, targetsRole} {
		rf := &fields{where: "root: role " + name}
		if rf.object = rf.membersOf(name, roles[name]); rf.err == nil {
			r.roles[name] = parseRole(rf, keys)
		}
		if rf.err != nil && f.err == nil {
			f.err = rf.err
		}
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	return r, u, u.verify(r.roles[rootRole])
}

// metaFile is what timestamp and snapshot say about another file.
type metaFile struct {
	version        int64
	length         int64 // 0 where unknown
	sha256, sha512 string
}

func parseMetaFile(f *fields) metaFile {
	m := metaFile{version: f.number("version", 1, maxVersion)}
	if f.has("length") {
		m.length = f.number("length", 1, maxLength)
	}
	m.sha256, m.sha512 = f.hashes(false)
	return m
}

// check compares bytes with what is said about them.
func (m metaFile) check(name string, data []byte) error {
	if m.length != 0 && int64(len(data)) != m.length {
		return malformed("%s: %d bytes, not %d", name, len(data), m.length)
	}
	return checkHashes(name, data, m.sha256, m.sha512)
}

func (m metaFile) limit(otherwise int64) int64 {
	if m.length != 0 {
		return min(m.length, otherwise)
	}
	return otherwise
}

// meta is verified timestamp or snapshot metadata.
type meta struct {
	common
	files map[string]metaFile
}

// parseTimestamp verifies and reads a timestamp, which has to name a snapshot.
func parseTimestamp(data []byte, by role) (*meta, error) {
	m, err := parseMeta(timestampRole, data, by)
	if err == nil && m.files[filename(snapshotRole)].version == 0 {
		return nil, malformed("timestamp: it names no snapshot")
	}
	return m, err
}

// parseMeta verifies and reads timestamp or snapshot; without an error it is not nil.
func parseMeta(kind string, data []byte, by role) (*meta, error) {
	u, err := open(kind, data)
	if err != nil {
		return nil, err
	}
	if err := u.verify(by); err != nil {
		return nil, err
	}
	f, c := u.fields(kind)
	m := &meta{common: c, files: map[string]metaFile{}}
	for name, raw := range f.members("meta") {
		mf := &fields{where: kind + ": " + clip(name)}
		if mf.object = mf.membersOf("meta", raw); mf.err == nil {
			m.files[name] = parseMetaFile(mf)
		}
		if mf.err != nil {
			f.fail("%v", mf.err)
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	return m, nil
}

// targets is verified metadata of targets or of a role that it delegates to.
type targets struct {
	common
	files       map[string]json.RawMessage
	delegations []delegation
}

func parseTargets(name string, data []byte, by role) (*targets, error) {
	u, err := open(name, data)
	if err != nil {
		return nil, err
	}
	if err := u.verify(by); err != nil {
		return nil, err
	}
	f, c := u.fields(targetsRole)
	t := &targets{common: c, files: f.members("targets")}
	if f.has("delegations") {
		t.delegations = parseDelegations(f)
	}
	return t, f.err
}

// target reads the entry of a path; nil if there is none.
func (t *targets) target(path string) (*Target, error) {
	raw, ok := t.files[path]
	if !ok {
		return nil, nil
	}
	f := &fields{where: t.role + ": " + clip(path)}
	if f.object = f.membersOf("target", raw); f.err != nil {
		return nil, f.err
	}
	target := &Target{Path: path, Length: f.number("length", 0, maxLength)}
	target.SHA256, target.SHA512 = f.hashes(true)
	if f.has("custom") {
		f.members("custom")
		target.Custom = f.object["custom"]
	}
	return target, f.err
}

// Verify compares a file's bytes with what its target says.
func (t *Target) Verify(data []byte) error {
	if int64(len(data)) != t.Length {
		return malformed("%s: %d bytes, not %d", clip(t.Path), len(data), t.Length)
	}
	return checkHashes(t.Path, data, t.SHA256, t.SHA512)
}

func checkHashes(name string, data []byte, sha256, sha512 string) error {
	if sha256 != "" && hashHex(data) != sha256 {
		return malformed("%s: its sha256 is not %s", clip(name), sha256)
	}
	if sha512 != "" && hash512Hex(data) != sha512 {
		return malformed("%s: its sha512 is not %s", clip(name), sha512)
	}
	return nil
}

// filename is the name of a role's metadata in requests and in the store: the
// role's name may have any characters, a file's may not, so that all but RFC 3986's unreserved ones
// are percent-encoded.
func filename(role string) string {
	return strings.ReplaceAll(url.QueryEscape(role), "+", "%20") + ".json"
}
