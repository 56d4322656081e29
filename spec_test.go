package updater

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

var goodHash = strings.Repeat("ab", 32)

func TestParseSpecRefuses(t *testing.T) {
	good := func(change string) string {
		return `{"binary":"tool.bz2","hash":"` + goodHash + `"` + change + `}`
	}
	for name, doc := range map[string]string{
		"web page":            "<html>log in</html>",
		"null":                "null",
		"no binary":           `{"hash":"` + goodHash + `"}`,
		"no hash":             `{"binary":"tool.bz2"}`,
		"wrong case":          `{"Binary":"tool.bz2","HASH":"` + goodHash + `"}`,
		"short hash":          `{"binary":"tool.bz2","hash":"abcd"}`,
		"hash not hex":        `{"binary":"tool.bz2","hash":"` + strings.Repeat("zz", 32) + `"}`,
		"hash a number":       `{"binary":"tool.bz2","hash":1}`,
		"duplicate hash":      good(`,"hash":"` + goodHash + `"`),
		"negative size":       good(`,"size":-1`),
		"fractional size":     good(`,"size":1.5`),
		"huge size":           good(`,"size":1e400`),
		"artifacts an object": good(`,"artifacts":{}`),
		"artifact by path":    good(`,"artifacts":[{"file":"../x.zst","encoding":"zstd"}]`),
		"artifact's hash":     good(`,"artifacts":[{"file":"x.zst","encoding":"zstd","sha256":"00"}]`),
		"too large":           good(`,"x":"` + strings.Repeat("x", SpecLimit) + `"`),
		"trailing data":       good("") + "{}",
	} {
		if _, err := ParseSpec([]byte(doc)); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v, want ErrRejected", name, err)
		}
	}
	for _, binary := range []string{"", "../tool", "/tool", "a/b", `a\b`, "http://x/y", "C:tool", "a%2eb", "a\x00b", ".", "..", "a?b", strings.Repeat("x", 256)} {
		doc, err := json.Marshal(map[string]string{"binary": binary, "hash": goodHash})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSpec(doc); !errors.Is(err, ErrRejected) {
			t.Errorf("binary %q: %v, want ErrRejected", binary, err)
		}
	}
}

func TestParseSpecOfV010(t *testing.T) {
	spec, err := ParseSpec([]byte(`{"binary":"choria-linux-amd64-1.2.3.bz2","BinaryURI":null,"hash":"` + strings.ToUpper(goodHash) + `","signature":""}`))
	if err != nil {
		t.Fatal(err)
	}
	if c := spec.candidates(); len(c) != 1 || c[0].Encoding != Bzip2 || c[0].File != "choria-linux-amd64-1.2.3.bz2" {
		t.Errorf("candidates %+v", c)
	}
	if spec.Sha256Hash != goodHash {
		t.Errorf("hash %s", spec.Sha256Hash)
	}
}

func TestHostileElements(t *testing.T) {
	r := newRepo(t)
	for _, v := range []string{"../1", "1/2", `1\2`, "..", ".", "1 2", "1%2f2", "1\x002", "1?x", strings.Repeat("1", 129)} {
		for _, opt := range []Option{Version(v), OS(v), Arch(v)} {
			if _, err := FetchSpec(append(r.options("x"), opt)...); err == nil {
				t.Errorf("%q is accepted", v)
			}
		}
		if _, err := Folder(v, "linux", "amd64"); err == nil { // which asks no store, that would refuse some of them as well
			t.Errorf("%q is part of a path", v)
		}
	}
	if r.count() != 0 {
		t.Errorf("%d requests were made", r.count())
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add([]byte(`{"binary":"tool.bz2","hash":"` + goodHash + `","size":5,"artifacts":[{"file":"tool.zst","encoding":"zstd","size":3,"sha256":"` + goodHash + `"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := ParseSpec(data)
		if err != nil {
			if !errors.Is(err, ErrRejected) {
				t.Fatalf("%v does not wrap ErrRejected", err)
			}
			return
		}
		for _, a := range spec.candidates() {
			if CheckFileName(a.File) != nil || strings.ContainsAny(a.File, `/\%:`) {
				t.Fatalf("file name %q", a.File)
			}
		}
		if len(spec.Sha256Hash) != 64 || spec.Size < 0 {
			t.Fatalf("%+v", spec)
		}
	})
}
