// Package strictjson reads JSON objects where encoding/json is too lenient
// for data that others may have written with intent.
//
// Beyond the syntax it refuses invalid UTF-8, escapes of half a surrogate
// pair, anything after the value, nesting deeper than [MaxDepth], and objects in which two keys
// are equal or differ only in case: encoding/json takes the last of those, other
// parsers the first. Keys are matched exactly. The caller limits the size.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 32

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid JSON")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Object checks data and splits it into the members of its top level object.
func Object(data []byte) (map[string]json.RawMessage, error) {
	if err := Check(data); err != nil {
		return nil, err
	}
	return members(data)
}

func members(data []byte) (map[string]json.RawMessage, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, invalid("an object is needed")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, invalid("%v", err)
	}
	return object, nil
}

// Check tells whether data is one JSON value by this package's rules.
func Check(data []byte) error { return check(data, fold) }

// CheckExact is Check for objects whose keys are names that others chose: keys
// that differ in case alone are two.
func CheckExact(data []byte) error { return check(data, func(key string) string { return key }) }

func fold(key string) string { return strings.ToLower(strings.ToUpper(key)) }

func check(data []byte, fold func(string) string) error {
	if !utf8.Valid(data) {
		return invalid("not UTF-8")
	}
	if err := checkSurrogates(data); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var open []*scope
	for {
		token, err := d.Token()
		if err != nil {
			return invalid("%v", unexpected(err))
		}
		if open, err = step(open, token, fold); err != nil {
			return fmt.Errorf("%w, at byte %d", err, d.InputOffset())
		}
		if len(open) == 0 {
			break
		}
	}
	if len(bytes.TrimLeft(data[d.InputOffset():], " \t\r\n")) != 0 {
		return invalid("data after the value, at byte %d", d.InputOffset())
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// scope is an object or array that is not yet closed.
type scope struct {
	keys  map[string]bool // folded; nil in an array
	value bool            // the next token of an object is a value
}

func step(open []*scope, token json.Token, fold func(string) string) ([]*scope, error) {
	if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
		return open[:len(open)-1], nil
	}
	if len(open) > 0 {
		if err := open[len(open)-1].take(token, fold); err != nil {
			return nil, err
		}
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return open, nil
	}
	if len(open) == MaxDepth {
		return nil, invalid("nested deeper than %d", MaxDepth)
	}
	s := &scope{}
	if delim == '{' {
		s.keys = map[string]bool{}
	}
	return append(open, s), nil
}

// take notes a key, or the value that follows it.
func (s *scope) take(token json.Token, fold func(string) string) error {
	if s.keys == nil {
		return nil
	}
	if s.value {
		s.value = false
		return nil
	}
	key, _ := token.(string)
	folded := fold(key)
	if s.keys[folded] {
		return invalid("key %q occurs twice", key)
	}
	s.keys[folded], s.value = true, true
	return nil
}

// checkSurrogates refuses \u escapes of half a pair, for which encoding/json
// puts a replacement character: two different texts would be the same string.
func checkSurrogates(data []byte) error {
	high := false // the escape just before was the first half
	for i := 0; i < len(data); {
		unit, size := escape(data[i:])
		isLow := unit >= 0xdc00 && unit < 0xe000
		if high != isLow {
			return invalid("half a surrogate pair, at byte %d", i)
		}
		high = unit >= 0xd800 && unit < 0xdc00
		i += size
	}
	if high {
		return invalid("half a surrogate pair at the end")
	}
	return nil
}

// escape reads the \u escape that data begins with: its code unit, or 0, and
// how many bytes to go on by.
func escape(data []byte) (unit uint64, size int) {
	if data[0] != '\\' || len(data) < 2 {
		return 0, 1
	}
	if data[1] != 'u' || len(data) < 6 {
		return 0, 2
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return 0, 2
	}
	return unit, 6
}

// String reads a member that has to be a string.
func String(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", invalid("a string is needed, not %s", clip(raw))
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", invalid("%v", err)
	}
	return s, nil
}

// Int reads a member that has to be a whole number from 0 to limit, written in
// the one canonical way: digits, no sign, no leading zero, no exponent.
func Int(raw json.RawMessage, limit int64) (int64, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || n > limit || strconv.FormatInt(n, 10) != string(raw) {
		return 0, invalid("a whole number from 0 to %d is needed, not %s", limit, clip(raw))
	}
	return n, nil
}

// Objects reads a member that has to be an array of at most limit objects.
func Objects(raw json.RawMessage, limit int) ([]map[string]json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, invalid("an array is needed, not %s", clip(raw))
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, invalid("%v", err)
	}
	if len(items) > limit {
		return nil, invalid("%d elements where at most %d are allowed", len(items), limit)
	}
	objects := make([]map[string]json.RawMessage, len(items))
	for i, item := range items {
		var err error
		if objects[i], err = members(item); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// clip keeps hostile input out of messages, beyond what helps to find it.
func clip(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	if len(raw) > 40 {
		return fmt.Sprintf("%q...", raw[:40])
	}
	return fmt.Sprintf("%q", raw)
}
