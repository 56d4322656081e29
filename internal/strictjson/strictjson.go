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
	"strconv"
	"strings"
	"unicode"
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

// fold is the same for keys that encoding/json takes for one another.
func fold(key string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r) // one after the other, and around
			if next <= r {
				return next
			}
			r = next
		}
	}, key)
}

func check(data []byte, fold func(string) string) error {
	if !utf8.Valid(data) {
		return invalid("not UTF-8")
	}
	if err := checkSurrogates(data); err != nil {
		return err
	}
	var value json.RawMessage
	if err := json.Unmarshal(data, &value); err != nil {
		return invalid("%v", err)
	}
	return checkKeys(data, fold)
}

// checkKeys goes through data that is valid JSON. (A json.Decoder would tell its tokens, and costs each program 10 KB.)
func checkKeys(data []byte, fold func(string) string) error {
	var open []map[string]bool // objects and arrays not yet closed: the keys of the ones, nil for the others
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '{', '[':
			if len(open) == MaxDepth {
				return invalid("nested deeper than %d, at byte %d", MaxDepth, i)
			}
			var keys map[string]bool
			if c == '{' {
				keys = map[string]bool{}
			}
			open = append(open, keys)
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			text := data[i : i+textSize(data[i:])]
			i += len(text) - 1
			if !bytes.HasPrefix(bytes.TrimLeft(data[i+1:], " \t\r\n"), []byte(":")) {
				continue // a value
			}
			key, err := String(text)
			if err != nil {
				return err
			}
			folded, keys := fold(key), open[len(open)-1]
			if keys[folded] {
				return invalid("key %q occurs twice, at byte %d", key, i)
			}
			keys[folded] = true
		}
	}
	return nil
}

// textSize is how many bytes the string has that data begins with, its quotes included.
func textSize(data []byte) int {
	for i := 1; ; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
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
