package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

// Each field of each role is removed, and replaced by values of other
// kinds, and signed again with the right keys. Both clients have to decide alike, or the
// difference is explained below.
func TestMutatedFields(t *testing.T) {
	values := map[string]any{
		"null": nil, "text": "x", "empty": "", "minus one": -1, "zero": 0, "ninety-nine": 99,
		"a list": []any{}, "an object": object{}, "true": true,
	}
	decisions, differences := 0, map[string]int{}
	for _, role := range []string{"root", "timestamp", "snapshot", "targets", "linux-amd64"} {
		for _, path := range pathsOf(platforms().Signed[role], nil) {
			for _, what := range append([]string{"removed"}, slices.Sorted(maps.Keys(values))...) {
				r := platforms()
				p := newPair(t, r.Files["1.root.json"], maps.Clone(r.Files))
				if ours, theirs := p.look(file); ours != nil || theirs != nil {
					t.Fatalf("before: ours: %v, theirs: %v", ours, theirs)
				}
				publishMutated(r, role, path, what, values[what])
				p.files = r.Files
				ours, theirs := p.look(file)
				decisions++
				if (ours == nil) == (theirs == nil) {
					continue
				}
				why := explain(role, path, what, ours != nil)
				if why == "" {
					t.Errorf("%s: %s %s:\n\tours:   %v\n\ttheirs: %v", role, strings.Join(path, "."), what, ours, theirs)
				}
				differences[why]++
			}
		}
	}
	t.Logf("%d decisions", decisions)
	for why, n := range differences {
		t.Logf("%4d differ: %s", n, why)
	}
}

// explain says why the clients may differ; refused tells whether ours refuses. Empty: they may not.
func explain(role string, path []string, what string, refused bool) string {
	last := path[len(path)-1]
	switch {
	case !refused && role == "root" && last == "consistent_snapshot" && what == "removed":
		return "go-tuf verifies what it writes anew, with the member that it takes to be false; we verify what was signed"
	case !refused:
		return ""
	case last == "spec_version":
		return "a client has to refuse specifications that it does not know (section 4.3); go-tuf does not look"
	case last == "scheme":
		return "a key of an unknown scheme does not count for us; go-tuf goes by the key's type"
	case last == "custom":
		return "custom is an object (section 4.5); go-tuf takes anything"
	case last == "targets" && what == "null":
		return "targets is an object; go-tuf takes null for an empty one"
	case last == "sha256" && what == "empty", last == "length" && what == "minus one":
		return "what no file can have is refused by us at once, and by go-tuf when the file arrives"
	}
	return ""
}

// publishMutated publishes the next version of everything, with one role changed after
// its version was set.
func publishMutated(r *tuftest.Repo, role string, path []string, what string, value any) {
	mutate := func() { set(r.Signed[role], path, what == "removed", value) }
	if role == "root" {
		r.Signed["root"]["version"] = 2
		mutate()
		r.Files["2.root.json"] = r.Sign("root")
		return
	}
	r.Publish("linux-amd64", "targets")
	mutate()
	if role == "timestamp" {
		r.Files["timestamp.json"] = r.Sign("timestamp")
		return
	}
	data := r.Sign(role)
	r.Files[fmt.Sprintf("2.%s.json", role)] = data
	if n, ok := r.Files["3."+role+".json"]; ok && n != nil {
		r.Files["3."+role+".json"] = data
	}
	if role == "snapshot" {
		r.Signed["timestamp"]["meta"].(object)["snapshot.json"] = object{"version": 3}
	}
	r.PublishTimestamp()
}

// pathsOf lists every member of an object, the members of its members, and so on.
func pathsOf(value any, at []string) [][]string {
	var paths [][]string
	switch v := value.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := append(slices.Clone(at), key)
			paths = append(append(paths, below), pathsOf(v[key], below)...)
		}
	case []any:
		for i := range v {
			below := append(slices.Clone(at), fmt.Sprint(i))
			paths = append(append(paths, below), pathsOf(v[i], below)...)
		}
	}
	return paths
}

func set(in any, path []string, remove bool, value any) {
	for ; len(path) > 1; path = path[1:] {
		in = step(in, path[0])
	}
	switch v := in.(type) {
	case object:
		if v[path[0]] = value; remove {
			delete(v, path[0])
		}
	case []any:
		var i int
		fmt.Sscan(path[0], &i)
		if v[i] = value; remove {
			v[i] = json.RawMessage(`"removed"`)
		}
	}
}

func step(in any, key string) any {
	if list, ok := in.([]any); ok {
		var i int
		fmt.Sscan(key, &i)
		return list[i]
	}
	return in.(object)[key]
}
