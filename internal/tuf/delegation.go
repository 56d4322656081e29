package tuf

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// delegation says which paths another role may vouch for.
type delegation struct {
	name        string
	by          *role
	terminating bool
	paths       []string // patterns
	prefixes    []string // of the hex sha256 of paths
	bits        int64    // of a succinct delegation: 2^bits roles; else 0
}

const maxRoles = 1 << 14 // delegations in one file

func parseDelegations(f *fields) (list []*delegation) {
	keys := parseKeys(f)
	if !f.has("succinct_roles") {
		for _, raw := range f.list("roles", maxRoles) {
			list = append(list, parseDelegation(f.inner("roles", raw), keys))
		}
		checkNames(f, list)
		return list
	}
	if f.has("roles") {
		f.fail("both roles and succinct_roles")
	}
	s := f.inner("succinct_roles", f.object["succinct_roles"])
	d := &delegation{name: s.text("name_prefix"), by: parseRole(s, keys), terminating: true}
	d.bits = s.number("bit_length", 1, maxBits)
	list = append(list, d)
	checkNames(s, list)
	return list
}

func parseDelegation(f *fields, keys map[string]*key) *delegation {
	d := &delegation{name: f.text("name"), terminating: f.boolean("terminating"), by: parseRole(f, keys)}
	switch {
	case f.has("paths") == f.has("path_hash_prefixes"):
		f.fail("%s: one of paths and path_hash_prefixes is needed", clip(d.name))
	case f.has("paths"):
		d.paths = f.texts("paths", maxRoles)
	default:
		d.prefixes = f.texts("path_hash_prefixes", maxRoles)
	}
	return d
}

// checkNames refuses names that would pass for a top-level role's.
func checkNames(f *fields, list []*delegation) {
	seen := map[string]bool{"": true, rootRole: true, timestampRole: true, snapshotRole: true, targetsRole: true}
	for _, d := range list {
		if seen[d.name] || len(d.name) > maxName {
			f.fail("a role may not have the name %q: it is too long, empty, or taken", clip(d.name))
		}
		seen[d.name] = true
	}
}

// roleFor is the name of the role that the delegation trusts with a path, empty if there is none.
func (d *delegation) roleFor(target string) string {
	digest := hashHex([]byte(target))
	if d.bits > 0 {
		digits := (d.bits + 3) / 4
		bin, _ := strconv.ParseUint(digest[:8], 16, 32)
		return fmt.Sprintf("%s-%0*x", d.name, digits, bin>>(32-d.bits))
	}
	for _, pattern := range d.paths {
		if matches(pattern, target) {
			return d.name
		}
	}
	for _, prefix := range d.prefixes {
		if prefix != "" && strings.HasPrefix(digest, strings.ToLower(prefix)) {
			return d.name
		}
	}
	return ""
}

// matches tells whether a pattern covers a path (section 4.5): "*" stands for any characters, "?" for
// one, neither for a slash. All else, brackets too, stands for itself. A star
// takes more only when what follows it does not fit, and only the last is asked: a hostile
// pattern costs no more than the square of the path's length.
func matches(pattern, path string) bool {
	starred, star, rest := false, "", "" // what follows the last star, in the pattern and in the path
	for {
		switch {
		case strings.HasPrefix(pattern, "*"):
			pattern = pattern[1:]
			starred, star, rest = true, pattern, path
		case pattern == "" && path == "":
			return true
		case pattern != "" && path != "" && pattern[0] == path[0]:
			pattern, path = pattern[1:], path[1:]
		case strings.HasPrefix(pattern, "?") && afterOne(path) != path:
			pattern, path = pattern[1:], afterOne(path)
		case starred && afterOne(rest) != rest:
			rest = afterOne(rest)
			pattern, path = star, rest
		default:
			return false
		}
	}
}

// afterOne is the path without its first character; the path itself if that is a slash, or missing.
func afterOne(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	_, size := utf8.DecodeRuneInString(path)
	return path[size:]
}
