package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// A tag is [A-Za-z0-9_][A-Za-z0-9._-]{0,127}. The file NAME has the tag "_" + NAME, in which "/" is "__" and every other byte that
// a tag cannot have, "_" too, is "_" and two hexadecimal digits: metadata/1.root.json is _metadata__1.root.json. A name for which that is too
// long has the tag "___" + SHA-256, which no other name has: none starts with "/".
const (
	fileMark   = "_"
	hashedMark = "___"
	tagLimit   = 128
)

// tagOf is the tag of a file.
func tagOf(name string) string {
	if tag := fileMark + escape(name); len(tag) <= tagLimit {
		return tag
	}
	sum := sha256.Sum256([]byte(name))
	return hashedMark + hex.EncodeToString(sum[:])
}

func escape(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c == '/':
			b.WriteString("__")
		case plain(c):
			b.WriteByte(c)
		default:
			b.WriteString("_" + hex.EncodeToString([]byte{c}))
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-'
}

// fileOf tells whether a tag is that of a file, and which one; the name of one whose tag is hashed stands in its manifest alone.
func fileOf(tag string) (name string, hashed, ok bool) {
	if sum, is := strings.CutPrefix(tag, hashedMark); is {
		raw, err := hex.DecodeString(sum)
		return "", true, err == nil && len(raw) == sha256.Size
	}
	rest, is := strings.CutPrefix(tag, fileMark)
	if !is {
		return "", false, false
	}
	name, ok = unescape(rest)
	return name, false, ok && tagOf(name) == tag
}

func unescape(s string) (string, bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "_")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), true
		case strings.HasPrefix(after, "_"):
			b.WriteByte('/')
			s = after[1:]
		case len(after) < 2:
			return "", false
		default:
			c, err := hex.DecodeString(after[:2])
			if err != nil {
				return "", false
			}
			b.Write(c)
			s = after[2:]
		}
	}
}
