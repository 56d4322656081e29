package tuf

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/strictjson"
)

// role says who may sign, and how many must.
type role struct {
	ids       []string
	threshold int64
	keys      map[string]*key // of the metadata that defines the role
}

// common is what all roles' metadata begins with.
type common struct {
	_ uncomparable

	role    string
	version int64
	expires time.Time
}

// unverified is a metadata file whose signatures nobody has checked.
type unverified struct {
	name       string
	signed     json.RawMessage
	signatures map[string][]byte // by key id; nil where it is no hex
}

// open splits a file into what is signed and the signatures.
func open(name string, data []byte) (*unverified, error) {
	if err := strictjson.CheckExact(data); err != nil {
		return nil, malformed("%s: %v", name, err)
	}
	f := newFields(name, data)
	u := &unverified{name: name, signed: f.object["signed"], signatures: map[string][]byte{}}
	for _, raw := range f.list("signatures", MaxSignatures) {
		s := f.inner("signatures", raw)
		id, text := s.text("keyid"), s.text("sig")
		if _, twice := u.signatures[id]; twice {
			s.fail("two of key %s", clip(id))
		}
		signature, err := hex.DecodeString(text)
		if err != nil {
			signature = nil // a signature that is none does not count
		}
		u.signatures[id] = signature
	}
	return u, *f.err
}

// CheckFile tells whether data is a file of metadata that can be looked at further: JSON without guesses, with no more
// signatures than anybody needs.
func CheckFile(name string, data []byte) error {
	_, err := open(name, data)
	return err
}

// verify tells whether enough of a role's keys have signed. Each key counts
// once, whatever ids it has.
func (u *unverified) verify(r *role) error {
	message, err := canonical(u.signed)
	if err != nil {
		return cause.Errorf("%s: %w", u.name, err)
	}
	good := map[string]bool{}
	for _, id := range r.ids {
		k, signature := r.keys[id], u.signatures[id]
		if k != nil && signature != nil && k.verify(message, signature) {
			good[k.identity] = true
		}
	}
	if int64(len(good)) < r.threshold {
		return cause.Errorf("%s is %w: %d of the %d that are needed", u.name, ErrUntrusted, len(good), r.threshold)
	}
	return nil
}

// fields begins to read what is signed: it is for those who have verified it, and for a root, which
// has to be read first to be verified.
func (u *unverified) fields(kind string) (*fields, common) {
	f := newFields(u.name, u.signed)
	if got := f.text("_type"); got != kind {
		f.fail("it is of type %q, not %s", clip(got), kind)
	}
	if v := f.text("spec_version"); len(v) < 2 || v[:2] != "1." {
		f.fail("specification %q, this client knows 1", clip(v))
	}
	return f, common{role: u.name, version: f.number("version", 1, maxVersion), expires: f.time("expires")}
}

func (c *common) checkExpiry(now time.Time) error {
	if now.Before(c.expires) {
		return nil
	}
	return &ExpiredError{Role: c.role, Expired: c.expires, Now: now}
}

// parseRole reads key ids and threshold.
func parseRole(f *fields, keys map[string]*key) *role {
	r := &role{ids: f.texts("keyids", MaxKeys), threshold: f.number("threshold", 1, MaxKeys), keys: keys}
	seen := map[string]bool{}
	for _, id := range r.ids {
		if seen[id] {
			f.fail("key id %s occurs twice", clip(id))
		}
		seen[id] = true
	}
	return r
}

// uncomparable, as a field, keeps the compiler from writing a function that compares two of a struct, which comes to half a
// kilobyte in each program.
type uncomparable [0]func()
