package tuf

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/strictjson"
)

// fields reads the members of an object that a role's metadata must have. The first error
// is kept, for all objects of one file together. Members that it is not asked
// for are ignored: the signature covers them.
type fields struct {
	where  string
	object map[string]json.RawMessage
	err    *error
}

// newFields begins to read a file's object.
func newFields(name string, raw json.RawMessage) *fields {
	f := &fields{where: name, err: new(error)}
	f.object = f.objectOf(raw)
	return f
}

// inner reads an object within f's.
func (f *fields) inner(what string, raw json.RawMessage) *fields {
	in := &fields{where: f.where + ": " + what, err: f.err}
	in.object = in.objectOf(raw)
	return in
}

//go:noinline
func (f *fields) fail(format string, args ...any) {
	if *f.err == nil {
		*f.err = malformed("%s: %s", f.where, fmt.Sprintf(format, args...)) // f.where has names that others chose
	}
}

func (f *fields) has(key string) bool { _, ok := f.object[key]; return ok }

// scalar keeps what strictjson says about a member.
func (f *fields) scalar(key string, err error) {
	if err != nil {
		f.fail("%s: %v", key, err)
	}
}

func (f *fields) text(key string) string {
	s, err := strictjson.String(f.object[key])
	f.scalar(key, err)
	return s
}

func (f *fields) texts(key string, limit int) []string {
	list := f.list(key, limit)
	texts := make([]string, len(list))
	for i, raw := range list {
		s, err := strictjson.String(raw)
		f.scalar(key, err)
		texts[i] = s
	}
	return texts
}

// number reads a whole number from low to high.
func (f *fields) number(key string, low, high int64) int64 {
	n, err := strictjson.Int(f.object[key], high)
	f.scalar(key, err)
	if n < low {
		f.fail("%s: %d is less than %d", key, n, low)
	}
	return n
}

func (f *fields) boolean(key string) bool {
	value := string(f.object[key])
	if value != "true" && value != "false" {
		f.fail("%s: true or false is needed", key)
	}
	return value == "true"
}

func (f *fields) time(key string) time.Time {
	t, err := time.Parse(time.RFC3339, f.text(key))
	if err != nil {
		f.fail("%s: no time as in 2030-12-31T23:59:59Z", key)
	}
	return t
}

func (f *fields) members(key string) map[string]json.RawMessage {
	return f.inner(key, f.object[key]).object
}

func (f *fields) objectOf(raw json.RawMessage) (object map[string]json.RawMessage) {
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
		f.fail("an object is needed")
	}
	return object
}

func (f *fields) list(key string, limit int) (list []json.RawMessage) {
	raw := f.object[key]
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		f.fail("%s: an array is needed", key)
	}
	if len(list) > limit {
		f.fail("%s: %d elements where at most %d are allowed", key, len(list), limit)
		return nil
	}
	return list
}

// hashes reads an object of hashes, in which one that is known has to be.
func (f *fields) hashes() (sha256, sha512 string) {
	h := f.inner("hashes", f.object["hashes"])
	sha256, sha512 = h.digest("sha256", 64), h.digest("sha512", 128)
	if sha256 == "" && sha512 == "" {
		h.fail("neither sha256 nor sha512")
	}
	return sha256, sha512
}

// digest reads a hash, empty where there is none.
func (f *fields) digest(name string, digits int) string {
	if !f.has(name) {
		return ""
	}
	s := f.text(name)
	if _, err := hex.DecodeString(s); err != nil || len(s) != digits {
		f.fail("%s: %d hex digits are needed", name, digits)
	}
	return strings.ToLower(s)
}
