package tuf

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/strictjson"
)

// fields reads the members of an object that a role's metadata must have, and keeps
// the first error. Members that it is not asked for are ignored: the signature covers them.
type fields struct {
	where  string
	object map[string]json.RawMessage
	err    error
}

//go:noinline
func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = malformed(f.where+": "+format, args...)
	}
}

func (f *fields) has(key string) bool { _, ok := f.object[key]; return ok }

func (f *fields) text(key string) string {
	s, err := strictjson.String(f.object[key])
	if err != nil {
		f.fail("%s: %v", key, err)
	}
	return s
}

func (f *fields) texts(key string, limit int) []string {
	list := f.list(key, limit)
	texts := make([]string, len(list))
	for i, raw := range list {
		s, err := strictjson.String(raw)
		if err != nil {
			f.fail("%s: %v", key, err)
		}
		texts[i] = s
	}
	return texts
}

func (f *fields) number(key string, low, high int64) int64 {
	n, err := strictjson.Int(f.object[key], high)
	if err != nil {
		f.fail("%s: %v", key, err)
	} else if n < low {
		f.fail("%s: %d is less than %d", key, n, low)
	}
	return n
}

func (f *fields) boolean(key string) bool {
	switch string(f.object[key]) {
	case "true":
		return true
	case "false":
		return false
	}
	f.fail("%s: true or false is needed", key)
	return false
}

func (f *fields) time(key string) time.Time {
	t, err := time.Parse(time.RFC3339, f.text(key))
	if err != nil {
		f.fail("%s: no time as in 2030-12-31T23:59:59Z", key)
	}
	return t
}

func (f *fields) members(key string) map[string]json.RawMessage {
	return f.membersOf(key, f.object[key])
}

func (f *fields) membersOf(what string, raw json.RawMessage) map[string]json.RawMessage {
	var object map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
		f.fail("%s: an object is needed", what)
	}
	return object
}

func (f *fields) list(key string, limit int) []json.RawMessage {
	var list []json.RawMessage
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

// hashes reads an object of hashes; sha256 has to be one of them where it is required.
func (f *fields) hashes(required bool) (sha256, sha512 string) {
	if !f.has("hashes") {
		if required {
			f.fail("it has no hashes")
		}
		return "", ""
	}
	object := f.members("hashes")
	digest := func(name string, size int) string {
		raw, ok := object[name]
		if !ok {
			return ""
		}
		s, err := strictjson.String(raw)
		if _, herr := hex.DecodeString(s); err != nil || herr != nil || len(s) != 2*size {
			f.fail("%s: %d hex digits are needed", name, 2*size)
		}
		return strings.ToLower(s)
	}
	sha256, sha512 = digest("sha256", 32), digest("sha512", 64)
	if sha256 == "" && sha512 == "" {
		f.fail("hashes: neither sha256 nor sha512")
	}
	return sha256, sha512
}
