package store

import (
	"fmt"
	"testing"
)

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 0-0/1", "bytes */10", "bytes 5-9/*", "bytes -1-9/10", "bytes 9-5/10", "items 0-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, size, ok := parseContentRange(s)
		if !ok {
			return
		}
		if start < 0 || size <= start {
			t.Fatalf("%q: start %d, size %d", s, start, size)
		}
		if a, b, ok := parseContentRange(fmt.Sprintf("bytes %d-%d/%d", start, size-1, size)); !ok || a != start || b != size {
			t.Fatalf("%q is not read back: %d %d %v", s, a, b, ok)
		}
	})
}

func FuzzLocation(f *testing.F) {
	for _, s := range []string{"file:///a%2fb", "http://h/p?q", "https://u:p@h", "file://h/x", "x", "://", "http://%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := New(s, HTTPOptions{})
		if err == nil && r.String() == "" && s != "" {
			t.Fatalf("%q gives a store without a name", s)
		}
	})
}
