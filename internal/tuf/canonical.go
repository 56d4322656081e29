package tuf

import (
	"encoding/json"
	"sort"
	"strings"
)

// canonical is the canonical form of a JSON value: the bytes that are signed
// and that key ids are made of. Objects have their keys sorted, there is no white space,
// strings escape quote and backslash alone, and numbers are integers (OLPC
// "Canonical JSON", to which section 4.2 of the specification points).
func canonical(data []byte) ([]byte, error) {
	var value json.RawMessage
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, malformed("%v", err)
	}
	r := &canonicalReader{data: value}
	out := r.value()
	return out, r.err
}

// A canonicalReader goes through data that is valid JSON, once. (A json.Decoder, which leaves numbers as they are written, costs
// each program 4 KB, and raw messages of raw messages as many copies of the data as it is deep.)
type canonicalReader struct {
	data []byte
	at   int
	err  error
}

// next is the byte after white space.
func (r *canonicalReader) next() byte {
	for strings.IndexByte(" \t\r\n", r.data[r.at]) >= 0 {
		r.at++
	}
	return r.data[r.at]
}

func (r *canonicalReader) value() []byte {
	switch r.next() {
	case '{':
		return r.object()
	case '[':
		out := []byte{'['}
		for r.at++; r.next() != ']'; r.comma() {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, r.value()...)
		}
		r.at++
		return append(out, ']')
	case '"':
		return []byte(quote(r.text()))
	}
	from := r.at
	for r.at < len(r.data) && strings.IndexByte(" \t\r\n,]}", r.data[r.at]) < 0 {
		r.at++
	}
	word := r.data[from:r.at]
	if c := word[0]; c < 'a' && !isInteger(string(word)) && r.err == nil { // true, false and null are words
		r.err = malformed("%.40s is no integer", word)
	}
	return word
}

func (r *canonicalReader) object() []byte {
	values := map[string][]byte{}
	for r.at++; r.next() != '}'; r.comma() {
		key := r.text()
		r.next()
		r.at++ // the colon
		values[key] = r.value()
	}
	r.at++
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	out := []byte{'{'}
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quote(key)...)
		out = append(out, ':')
		out = append(out, values[key]...)
	}
	return append(out, '}')
}

// comma passes one, if there is one.
func (r *canonicalReader) comma() {
	if r.next() == ',' {
		r.at++
	}
}

func (r *canonicalReader) text() string {
	from := r.at
	for r.at++; r.data[r.at] != '"'; r.at++ {
		if r.data[r.at] == '\\' {
			r.at++
		}
	}
	r.at++
	var text string
	if err := json.Unmarshal(r.data[from:r.at], &text); err != nil && r.err == nil {
		r.err = malformed("%v", err) // no input is known that leads here
	}
	return text
}

// isInteger tells whether a JSON number is written as an integer in the one
// canonical way.
func isInteger(s string) bool { return !strings.ContainsAny(s, ".eE") && s != "-0" }

func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}
