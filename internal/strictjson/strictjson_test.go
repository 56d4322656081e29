package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":                    ``,
		"null":                     `null`,
		"array":                    `[]`,
		"string":                   `"x"`,
		"truncated":                `{"a":1`,
		"trailing brace":           `{"a":1}}`,
		"two values":               `{} {}`,
		"trailing NUL":             "{}\x00",
		"byte order mark":          "\ufeff{}",
		"invalid UTF-8":            "{\"a\":\"\xff\"}",
		"duplicate key":            `{"a":1,"a":1}`,
		"duplicate escaped key":    `{"a":1,"\u0061":2}`,
		"keys that differ by case": `{"hash":"x","Hash":"y"}`,
		"Kelvin sign for k":        `{"k":1,"\u212a":2}`,
		"duplicate key below":      `{"a":[{"b":{"c":1,"c":2}}]}`,
		"too deep":                 `{"a":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
		"very deep":                strings.Repeat(`{"a":`, 1_000_000),
		"lone high surrogate":      `{"a":"\ud800"}`,
		"lone low surrogate":       `{"a":"\udc00"}`,
		"high, then text":          `{"a":"\ud800x\udc00"}`,
		"comment":                  `{/**/}`,
		"trailing comma":           `{"a":1,}`,
		"NaN":                      `{"a":NaN}`,
	} {
		if _, err := Object([]byte(doc)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}

func TestAccepted(t *testing.T) {
	for _, doc := range []string{
		`{}`,
		" {\"a\" : 1}\r\n\t",
		`{"a":{"b":1},"b":{"a":1}}`,
		`{"a":[{"x":1},{"x":2}]}`,
		`{"a":"\ud83d\ude00 \\ud800"}`,
		`{"a":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}`,
	} {
		if _, err := Object([]byte(doc)); err != nil {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestValues(t *testing.T) {
	for raw, want := range map[string]int64{"0": 0, "7": 7, "100": 100} {
		if n, err := Int(json.RawMessage(raw), 100); err != nil || n != want {
			t.Errorf("Int(%s) = %d, %v", raw, n, err)
		}
	}
	for _, raw := range []string{"", "101", "-1", "-0", "1.0", "1e1", "01", "+1", `"1"`, "null", "99999999999999999999999"} {
		if n, err := Int(json.RawMessage(raw), 100); !errors.Is(err, ErrInvalid) {
			t.Errorf("Int(%s) = %d, %v", raw, n, err)
		}
	}
	for _, raw := range []string{"", "null", "1", "{}", "true"} {
		if s, err := String(json.RawMessage(raw)); !errors.Is(err, ErrInvalid) {
			t.Errorf("String(%s) = %q, %v", raw, s, err)
		}
	}
	for _, raw := range []string{"", "null", "{}", "[1]", "[null]", "[{},{},{}]"} {
		if o, err := Objects(json.RawMessage(raw), 2); !errors.Is(err, ErrInvalid) {
			t.Errorf("Objects(%s) = %v, %v", raw, o, err)
		}
	}
}

// What is accepted means the same to encoding/json.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,{"b":"\ud83d\ude00"}],"c":null}`, `{"a":1,"A":2}`, `[]`, `{"a":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := Object(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !reflect.DeepEqual(object, want) {
			t.Fatalf("%q differs from %q", object, want)
		}
		for _, raw := range object {
			String(raw)
			Int(raw, 1<<40)
			Objects(raw, 10)
		}
	})
}
