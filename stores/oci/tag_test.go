package oci

import (
	"regexp"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/store"
)

var validTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func TestTags(t *testing.T) {
	for name, want := range map[string]string{
		"release.json":                       "_release.json",
		"metadata/1.root.json":               "_metadata__1.root.json",
		"1.0+x/linux/amd64/a_b":              "_1.0_2bx__linux__amd64__a_5fb",
		"~é":                                 "__7e_c3_a9",
		"claim":                              "_claim",
		"_claim":                             "__5fclaim",
		strings.Repeat("x", tagLimit-1):      "_" + strings.Repeat("x", tagLimit-1),
		strings.Repeat("y", tagLimit):        "___",
		strings.Repeat("z/", tagLimit) + "z": "___",
	} {
		tag := tagOf(name)
		if tag != want && !(len(name) >= tagLimit && strings.HasPrefix(tag, "___") && len(tag) == 67) || !validTag.MatchString(tag) {
			t.Errorf("the tag of %s is %s, want %s", name, tag, want)
		}
		back, hashed, ok := fileOf(tag)
		if !ok || hashed != (len(name) >= tagLimit) || !hashed && back != name {
			t.Errorf("the file of %s is %q, %t, %t", tag, back, hashed, ok)
		}
	}
	for _, tag := range []string{claimTag, "1.0.0", "latest", "sha256-" + strings.Repeat("a", 64), "_a_", "_a_4", "_a_zz", "_a_61", "_a_5F", "___", "___abc", "__"} {
		if name, hashed, ok := fileOf(tag); ok && (hashed || store.CheckName(name) == nil) {
			t.Errorf("%s is the tag of %q", tag, name)
		}
	}
}

// Whatever a name is, its tag is its own, and a registry takes it.
func FuzzTag(f *testing.F) {
	f.Add("a/b", "a__b")
	f.Add("_a", "__a")
	f.Fuzz(func(t *testing.T, one, other string) {
		for _, name := range []string{one, other} {
			if store.CheckName(name) != nil {
				return
			}
			tag := tagOf(name)
			if back, hashed, ok := fileOf(tag); !ok || !hashed && back != name || tag == claimTag || !validTag.MatchString(tag) {
				t.Errorf("%q has the tag %q, which is the file %q", name, tag, back)
			}
		}
		if one != other && tagOf(one) == tagOf(other) {
			t.Errorf("%q and %q have one tag", one, other)
		}
	})
}
