package tuf

import (
	"bytes"
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
	var out bytes.Buffer
	err := writeCanonical(&out, bytes.TrimSpace(value))
	return out.Bytes(), err
}

// writeCanonical reads one level at a time: a json.Decoder, which leaves numbers as they are written, costs each program 4 KB.
func writeCanonical(out *bytes.Buffer, raw json.RawMessage) (err error) {
	switch raw[0] {
	case '"':
		var text string
		err = json.Unmarshal(raw, &text)
		out.WriteString(quote(text))
	case '[':
		var list []json.RawMessage
		if err = json.Unmarshal(raw, &list); err == nil {
			err = writeArray(out, list)
		}
	case '{':
		var object map[string]json.RawMessage
		if err = json.Unmarshal(raw, &object); err == nil {
			err = writeObject(out, object)
		}
	case 'n', 't', 'f': // null, true, false
		out.Write(raw)
	default:
		if !isInteger(string(raw)) {
			return malformed("%.40s is no integer", raw)
		}
		out.Write(raw)
	}
	return err
}

// isInteger tells whether a JSON number is written as an integer in the one
// canonical way.
func isInteger(s string) bool { return !strings.ContainsAny(s, ".eE") && s != "-0" }

func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

func writeArray(out *bytes.Buffer, list []json.RawMessage) error {
	out.WriteByte('[')
	for i, item := range list {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeCanonical(out, item); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func writeObject(out *bytes.Buffer, object map[string]json.RawMessage) error {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	out.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(quote(key))
		out.WriteByte(':')
		if err := writeCanonical(out, object[key]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}
