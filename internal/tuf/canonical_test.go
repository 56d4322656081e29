package tuf

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/internal/strictjson"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":[true,false,null]}`: `{"a":[true,false,null],"b":1}`,
		` { "a" : "x\ty\n" } `:          "{\"a\":\"x\ty\n\"}",
		`"\u00e9\u20ac\ud83d\ude00"`:    `"é€😀"`,
		`"é"`:                           `"é"`,
		`"\"\\\/"`:                      `"\"\\/"`,
		`"<&>\u2028"`:                   "\"<&>\u2028\"",
		`{"é":1,"z":2,"Z":3,"":4}`:      `{"":4,"Z":3,"z":2,"é":1}`,
		`[-1,0,10,9007199254740993,123456789012345678901234567890]`: `[-1,0,10,9007199254740993,123456789012345678901234567890]`,
		`{}`: `{}`, `[]`: `[]`,
	} {
		got, err := canonical([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{`1.0`, `1e3`, `-0`, `{"a":1.5}`, `[1E1]`, ``, `{`} {
		if got, err := canonical([]byte(in)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"*", "file", true},
		{"*", "a/file", false},
		{"*/linux/amd64/*", "1.0/linux/amd64/release.json", true},
		{"*/linux/amd64/*", "1.0/linux/amd64/x/y", false},
		{"*/linux/amd64/*", "/linux/amd64/", true},
		{"a/?", "a/b", true},
		{"a?b", "a/b", false},
		{"a[!-~]b", "a/b", false},
		{"*.zip", "x.zip", true},
		{"[", "[", true},
		{"[ab]", "a", false},
		{"[ab]", "[ab]", true},
		{`\*`, "*", false},
		{`\*`, `\x`, true},
		{"?", "é", true},
		{"??", "é", false},
		{"*??", "é", false},
		{"*?b", "aéb", true},
		{"*?b", "b", false},
		{"**", "ab", true},
		{"**", "a/b", false},
		{"*ab*ab", "abcabab", true},
		{"*/*", "a/b", true},
		{"*/*", "a", false},
		{"*a/b*c", "xa/bxa/bc", false},
		{"a*", "a", true},
		{"?", "", false},
		{"?", "/", false},
		{"*", "", true},
		{"a", "", false},
		{"", "a", false},
		{"", "", true},
	} {
		if got := matches(c.pattern, c.path); got != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.path, got)
		}
	}
}

// On all short patterns and paths we and path.Match, which has the same two wildcards, agree; it has no
// linear bound, and knows brackets.
func TestMatchesAsPathMatch(t *testing.T) {
	patterns, paths := words("*?a/", 6), words("ab/", 5)
	for _, pattern := range patterns {
		for _, target := range paths {
			want, err := path.Match(pattern, target)
			if err != nil {
				t.Fatal(err)
			}
			if got := matches(pattern, target); got != want {
				t.Fatalf("%q and %q: %v, path.Match says %v", pattern, target, got, want)
			}
		}
	}
}

// words are all words of at most n of the letters.
func words(letters string, n int) []string {
	all := []string{""}
	for i := 0; i < len(all) && len(all[i]) < n; i++ {
		for _, c := range letters {
			all = append(all, all[i]+string(c))
		}
	}
	return all
}

// A pattern that keeps other matchers busy for years.
func TestMatchesIsQuick(t *testing.T) {
	if matches(strings.Repeat("*a", 100_000)+"b", strings.Repeat("a", 10_000)) {
		t.Error("a path without b is covered")
	}
}

// Canonical form is stable, and is JSON again unless it holds control characters.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":1,"a":["\u00e9\\",true,null]}`))
	f.Add([]byte(`{"a":{"a":{"a":-12}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if strictjson.CheckExact(data) != nil {
			return
		}
		once, err := canonical(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		twice, err := canonical(once)
		if err == nil && !bytes.Equal(once, twice) {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}

// Whatever a file holds, reading it ends in metadata or a typed error.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"signatures":[{"keyid":"a","sig":"00"}],"signed":{"_type":"root","spec_version":"1.0.0","version":1,"expires":"2030-01-01T00:00:00Z","consistent_snapshot":true,"keys":{"a":{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}}},"roles":{"root":{"keyids":["a"],"threshold":1}}}}`))
	f.Add([]byte(`{"signatures":[],"signed":{"_type":"timestamp","spec_version":"1.0.0","version":1,"expires":"2030-01-01T00:00:00Z","meta":{"snapshot.json":{"version":1,"length":5,"hashes":{"sha256":"00"}}}}}`))
	f.Add([]byte(`{"signatures":[],"signed":{"_type":"targets","spec_version":"1.0.0","version":1,"expires":"2030-01-01T00:00:00Z","targets":{"a":{"length":1,"hashes":{"sha256":"00"},"custom":{}}},"delegations":{"keys":{},"roles":[{"name":"a","keyids":[],"threshold":1,"terminating":true,"paths":["*"]}]}}}`))
	f.Add([]byte(`{"signatures":[],"signed":{"_type":"targets","spec_version":"1.0.0","version":1,"expires":"2030-01-01T00:00:00Z","targets":{},"delegations":{"keys":{},"succinct_roles":{"keyids":[],"threshold":1,"bit_length":5,"name_prefix":"b"}}}}`))
	nobody := &role{} // threshold 0: reads what no key has signed
	f.Fuzz(func(t *testing.T, data []byte) {
		typed := func(err error) bool {
			if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUntrusted) {
				t.Fatalf("%v is not typed", err)
			}
			return err == nil
		}
		if r, _, err := parseRoot(data); typed(err) && r.version < 1 {
			t.Fatal("root version", r.version)
		}
		if m, err := parse(timestampRole, timestampRole, data, nobody); typed(err) && m.version < 1 {
			t.Fatal("timestamp version", m.version)
		}
		parsed, err := parse(targetsRole, targetsRole, data, nobody)
		if !typed(err) {
			return
		}
		for path := range parsed.targets {
			target, err := parsed.target(path)
			if typed(err) && target.SHA256 == "" && target.SHA512 == "" {
				t.Fatal("a target without a hash")
			}
		}
		for _, d := range parsed.delegations {
			if d.name == "" {
				t.Fatal("a delegation without a name")
			}
			d.roleFor("1.0/linux/amd64/release.json")
		}
	})
}
