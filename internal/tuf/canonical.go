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
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, malformed("%v", err)
	}
	var out bytes.Buffer
	err := writeCanonical(&out, value)
	return out.Bytes(), err
}

func writeCanonical(out *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		if v {
			out.WriteString("true")
		} else {
			out.WriteString("false")
		}
	case json.Number:
		if !isInteger(string(v)) {
			return malformed("%.40s is no integer", v)
		}
		out.WriteString(string(v))
	case string:
		out.WriteString(quote(v))
	case []any:
		return writeArray(out, v)
	case map[string]any:
		return writeObject(out, v)
	}
	return nil
}

// isInteger tells whether a JSON number is written as an integer in the one
// canonical way.
func isInteger(s string) bool { return !strings.ContainsAny(s, ".eE") && s != "-0" }

func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

func writeArray(out *bytes.Buffer, list []any) error {
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

func writeObject(out *bytes.Buffer, object map[string]any) error {
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
