package tuf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
)

// delegation says which paths another role may vouch for.
type delegation struct {
	name        string
	by          role
	terminating bool
	paths       []string // patterns
	prefixes    []string // of the hex sha256 of paths
	bits        int64    // of a succinct delegation: 2^bits roles; else -1
}

const maxRoles = 1 << 14 // delegations in one file

func parseDelegations(f *fields) []delegation {
	d := &fields{where: f.where + ": delegations", object: f.members("delegations")}
	keys := parseKeys(d)
	var list []delegation
	switch {
	case d.has("roles") && d.has("succinct_roles"):
		d.fail("both roles and succinct_roles")
	case d.has("succinct_roles"):
		s := &fields{where: d.where, object: d.members("succinct_roles")}
		list = []delegation{{name: s.text("name_prefix"), by: parseRole(s, keys), terminating: true, bits: s.number("bit_length", 1, maxBits)}}
		if s.err != nil {
			d.err = s.err
		}
	default:
		for _, raw := range d.list("roles", maxRoles) {
			r := &fields{where: d.where, object: d.membersOf("roles", raw)}
			list = append(list, parseDelegation(r, keys))
			if r.err != nil && d.err == nil {
				d.err = r.err
			}
		}
	}
	checkNames(d, list)
	if d.err != nil && f.err == nil {
		f.err = d.err
	}
	return list
}

func parseDelegation(f *fields, keys map[string]key) delegation {
	one := delegation{name: f.text("name"), terminating: f.boolean("terminating"), bits: -1}
	one.by = parseRole(f, keys)
	switch {
	case f.has("paths") == f.has("path_hash_prefixes"):
		f.fail("%s: one of paths and path_hash_prefixes is needed", clip(one.name))
	case f.has("paths"):
		one.paths = f.texts("paths", maxRoles)
	default:
		one.prefixes = f.texts("path_hash_prefixes", maxRoles)
	}
	return one
}

// checkNames refuses names that would pass for a top-level role's.
func checkNames(f *fields, list []delegation) {
	seen := map[string]bool{}
	for _, d := range list {
		switch d.name {
		case "", rootRole, timestampRole, snapshotRole, targetsRole:
			f.fail("a role may not have the name %q", d.name)
		}
		if len(d.name) > maxName {
			f.fail("the name %s is too long", clip(d.name))
		}
		if seen[d.name] {
			f.fail("two roles have the name %s", clip(d.name))
		}
		seen[d.name] = true
	}
}

// roleFor is the name of the role that the delegation trusts with a path.
func (d *delegation) roleFor(target string) (name string, ok bool) {
	sum := sha256.Sum256([]byte(target))
	if d.bits >= 0 {
		bin := uint64(binary.BigEndian.Uint32(sum[:])) >> (32 - d.bits)
		return fmt.Sprintf("%s-%0*x", d.name, (d.bits+3)/4, bin), true
	}
	for _, pattern := range d.paths {
		if matches(pattern, target) {
			return d.name, true
		}
	}
	digest := hex.EncodeToString(sum[:])
	for _, prefix := range d.prefixes {
		if prefix != "" && strings.HasPrefix(digest, strings.ToLower(prefix)) {
			return d.name, true
		}
	}
	return "", false
}

// matches tells whether a pattern covers a path (section 4.5): "*", "?" and "[]"
// stand for anything but a slash, so they are compared element by element.
func matches(pattern, target string) bool {
	patterns, elements := strings.Split(pattern, "/"), strings.Split(target, "/")
	if len(patterns) != len(elements) {
		return false
	}
	for i, p := range patterns {
		if ok, err := path.Match(p, elements[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
