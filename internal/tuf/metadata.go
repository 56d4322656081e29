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
	roles      map[string]*role
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
	r := &root{common: c, roles: map[string]*role{}, data: data}
	if f.has("consistent_snapshot") {
		r.consistent = f.boolean("consistent_snapshot")
	}
	if f.has("product") {
		r.product = f.text("product")
	}
	keys, roles := parseKeys(f), f.members("roles")
	for _, name := range []string{rootRole, timestampRole, snapshotRole, targetsRole} {
		r.roles[name] = parseRole(f.inner("role "+name, roles[name]), keys)
	}
	if *f.err != nil {
		return nil, nil, *f.err
	}
	return r, u, u.verify(r.roles[rootRole])
}

// CheckRoot tells whether data is root metadata, signed by its own keys.
func CheckRoot(data []byte) error {
	_, _, err := parseRoot(data)
	return err
}

// metaFile is what timestamp and snapshot say about another file.
type metaFile struct {
	_ uncomparable

	version        int64
	length         int64 // 0 where unknown
	sha256, sha512 string
}

func parseMetaFile(f *fields) *metaFile {
	m := &metaFile{version: f.number("version", 1, maxVersion)}
	if f.has("length") {
		m.length = f.number("length", 1, maxLength)
	}
	if f.has("hashes") {
		m.sha256, m.sha512 = f.hashes()
	}
	return m
}

// check compares bytes with what is said about them.
func (m *metaFile) check(name string, data []byte) error {
	length := m.length
	if length == 0 {
		length = int64(len(data))
	}
	return checkFile(name, data, length, m.sha256, m.sha512)
}

func (m *metaFile) limit(otherwise int64) int64 {
	if m.length != 0 {
		return min(m.length, otherwise)
	}
	return otherwise
}

// metadata is a verified timestamp, snapshot, or targets, or a role that the latter delegates to.
type metadata struct {
	common
	files map[string]*metaFile // of timestamp and snapshot

	targets     map[string]json.RawMessage
	delegations []*delegation
}

// parse verifies and reads a role's metadata; kind is its type.
func parse(kind, name string, data []byte, by *role) (*metadata, error) {
	u, err := open(name, data)
	if err != nil {
		return nil, err
	}
	if err := u.verify(by); err != nil {
		return nil, err
	}
	f, c := u.fields(kind)
	m := &metadata{common: c}
	if kind == targetsRole {
		m.targets = f.members("targets")
		if f.has("delegations") {
			m.delegations = parseDelegations(f.inner("delegations", f.object["delegations"]))
		}
	} else {
		m.files = map[string]*metaFile{}
		for name, raw := range f.members("meta") {
			m.files[name] = parseMetaFile(f.inner(clip(name), raw))
		}
	}
	if kind == timestampRole && m.files[filename(snapshotRole)] == nil {
		f.fail("it names no snapshot")
	}
	if *f.err != nil {
		return nil, *f.err
	}
	return m, nil
}

// target reads the entry of a path; nil if there is none.
func (m *metadata) target(path string) (*Target, error) {
	raw, ok := m.targets[path]
	if !ok {
		return nil, nil
	}
	f := newFields(m.role+": "+clip(path), raw)
	t := &Target{Path: path, Length: f.number("length", 0, maxLength)}
	t.SHA256, t.SHA512 = f.hashes()
	if f.has("custom") {
		f.members("custom")
		t.Custom = f.object["custom"]
	}
	return t, *f.err
}

// Verify compares a file's bytes with what its target says.
func (t *Target) Verify(data []byte) error {
	return checkFile(t.Path, data, t.Length, t.SHA256, t.SHA512)
}

func checkFile(name string, data []byte, length int64, sha256, sha512 string) error {
	what := ""
	switch {
	case int64(len(data)) != length:
		what = "length"
	case sha256 != "" && hashHex(data) != sha256:
		what = "sha256"
	case sha512 != "" && hash512Hex(data) != sha512:
		what = "sha512"
	default:
		return nil
	}
	return malformed("%s has another %s than is signed", clip(name), what)
}

// filename is the name of a role's metadata in requests and in the store: the
// role's name may have any characters, a file's may not, so that all but RFC 3986's unreserved ones
// are percent-encoded.
func filename(role string) string {
	return strings.ReplaceAll(url.QueryEscape(role), "+", "%20") + ".json"
}
