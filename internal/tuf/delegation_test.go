package tuf_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

type edge struct {
	parent, role string
	terminating  bool
	paths        []string
}

// Roles are asked depth first, in order, each once, and nobody after a terminating one.
func TestWalk(t *testing.T) {
	all := []string{"*"}
	for name, c := range map[string]struct {
		edges []edge
		want  []string
	}{
		"one":                      {[]edge{{"targets", "A", false, all}}, []string{"A"}},
		"two":                      {[]edge{{"targets", "A", false, all}, {"targets", "B", false, all}}, []string{"A", "B"}},
		"depth first":              {[]edge{{"targets", "A", false, all}, {"targets", "B", false, all}, {"A", "C", false, all}, {"A", "D", false, all}}, []string{"A", "C", "D", "B"}},
		"terminating":              {[]edge{{"targets", "A", false, all}, {"targets", "B", false, all}, {"A", "C", true, all}, {"A", "D", false, all}}, []string{"A", "C"}},
		"below a terminating one":  {[]edge{{"targets", "A", true, all}, {"targets", "B", false, all}, {"A", "C", false, all}}, []string{"A", "C"}},
		"a circle":                 {[]edge{{"targets", "A", false, all}, {"targets", "B", false, all}, {"B", "C", false, all}, {"C", "B", false, all}}, []string{"A", "B", "C"}},
		"other paths":              {[]edge{{"targets", "A", false, []string{"*.py"}}, {"targets", "B", false, all}, {"A", "C", false, all}}, []string{"B"}},
		"terminating, other paths": {[]edge{{"targets", "A", true, []string{"*.py"}}, {"targets", "B", false, all}}, []string{"B"}},
	} {
		r := tuftest.New()
		var roles []string
		for _, e := range c.edges {
			r.Delegate(e.parent, e.role, e.terminating, e.paths...)
			if !slices.Contains(roles, e.role) {
				roles = append(roles, e.role)
			}
		}
		r.Publish(append(roles, "targets")...)
		env := r.Env()
		client, err := refresh(env, r.Files["1.root.json"])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		env.Requests = nil
		if _, err := client.Target("missing"); !errors.Is(err, tuf.ErrNoTarget) {
			t.Errorf("%s: %v", name, err)
		}
		var want []string
		for _, role := range c.want {
			want = append(want, "1."+role)
		}
		if !slices.Equal(env.Requests, want) {
			t.Errorf("%s: asked %v, want %v", name, env.Requests, want)
		}
	}
}

// platforms is a repository as update-repo lays it out.
func platforms() *tuftest.Repo {
	r := tuftest.New()
	r.Delegate("targets", "linux-amd64", true, "*/linux/amd64/*")
	r.Delegate("targets", "linux-arm64", true, "*/linux/arm64/*")
	r.Target("linux-amd64", "1.0/linux/amd64/release.json", []byte("amd64"), nil)
	r.Target("linux-arm64", "1.0/linux/arm64/release.json", []byte("arm64"), nil)
	return r
}

func TestDelegatedTarget(t *testing.T) {
	r := platforms()
	r.Target("linux-arm64", "1.0/linux/amd64/evil", []byte("not theirs"), nil)
	r.Publish("linux-amd64", "linux-arm64", "targets")
	env := r.Env()
	client, err := refresh(env, r.Files["1.root.json"])
	if err != nil {
		t.Fatal(err)
	}
	if target, err := client.Target("1.0/linux/amd64/release.json"); err != nil || target.Verify([]byte("amd64")) != nil {
		t.Errorf("%+v, %v", target, err)
	}
	for _, path := range []string{"1.0/linux/amd64/evil", "1.0/linux/arm64/x/release.json", "linux/amd64/release.json", ""} {
		if _, err := client.Target(path); !errors.Is(err, tuf.ErrNoTarget) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if slices.Contains(env.Requests, "1.linux-arm64") && !slices.Contains(env.Requests, "1.linux-amd64") {
		t.Errorf("requests %v", env.Requests)
	}
	for name := range env.State {
		if name == "linux-amd64.json" {
			return
		}
	}
	t.Errorf("the delegated role is not stored: %v", env.State)
}

// What delegated roles may get wrong, and what then is refused.
func TestDelegationMutations(t *testing.T) {
	const path = "1.0/linux/amd64/release.json"
	delegations := func(r *tuftest.Repo) object { return r.Signed["targets"]["delegations"].(object) }
	entry := func(r *tuftest.Repo) object { return delegations(r)["roles"].([]any)[0].(object) }
	// rename also has snapshot list the name: the file would be missing.
	rename := func(r *tuftest.Repo, name string) {
		entry(r)["name"] = name
		r.Signed["snapshot"]["meta"].(object)[name+".json"] = object{"version": 1}
	}
	for name, c := range map[string]struct {
		want   error
		change func(r *tuftest.Repo)
	}{
		"nothing":            {nil, func(r *tuftest.Repo) {}},
		"another key":        {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["linux-amd64"] = keys(tuftest.Key("evil")) }},
		"targets' key":       {tuf.ErrUntrusted, func(r *tuftest.Repo) { r.Signers["linux-amd64"] = keys(tuftest.Key("targets")) }},
		"expired":            {tuf.ErrExpired, func(r *tuftest.Repo) { r.Signed["linux-amd64"]["expires"] = tuftest.Time(-1) }},
		"another type":       {tuf.ErrMalformed, func(r *tuftest.Repo) { r.Signed["linux-amd64"]["_type"] = "root" }},
		"threshold 0":        {tuf.ErrMalformed, func(r *tuftest.Repo) { entry(r)["threshold"] = 0 }},
		"threshold 2":        {tuf.ErrUntrusted, func(r *tuftest.Repo) { entry(r)["threshold"] = 2 }},
		"no terminating":     {tuf.ErrMalformed, func(r *tuftest.Repo) { delete(entry(r), "terminating") }},
		"paths and prefixes": {tuf.ErrMalformed, func(r *tuftest.Repo) { entry(r)["path_hash_prefixes"] = []any{"00"} }},
		"no paths":           {tuf.ErrMalformed, func(r *tuftest.Repo) { delete(entry(r), "paths") }},
		"empty name":         {tuf.ErrMalformed, func(r *tuftest.Repo) { rename(r, "") }},
		"long name":          {tuf.ErrMalformed, func(r *tuftest.Repo) { rename(r, strings.Repeat("n", 201)) }},
		"named twice":        {tuf.ErrMalformed, func(r *tuftest.Repo) { entry(r)["name"] = "linux-arm64" }},
		"not in snapshot": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			entry(r)["name"] = "elsewhere"
		}},
		"length wrong type": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Signed["linux-amd64"]["targets"].(object)[path].(object)["length"] = "5"
		}},
		"no hashes": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			delete(r.Signed["linux-amd64"]["targets"].(object)[path].(object), "hashes")
		}},
		"short hash": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Signed["linux-amd64"]["targets"].(object)[path].(object)["hashes"] = object{"sha256": "abcd"}
		}},
		"only md5": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Signed["linux-amd64"]["targets"].(object)[path].(object)["hashes"] = object{"md5": "abcd"}
		}},
		"custom a list": {tuf.ErrMalformed, func(r *tuftest.Repo) {
			r.Signed["linux-amd64"]["targets"].(object)[path].(object)["custom"] = []any{}
		}},
	} {
		r := platforms()
		c.change(r)
		r.Publish("linux-amd64", "linux-arm64", "targets")
		client, err := refresh(r.Env(), r.Files["1.root.json"])
		if err == nil {
			_, err = client.Target(path)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A path's bin is named by the first bits of its hash (TAP 15).
func TestSuccinctBins(t *testing.T) {
	for bits, digits := range map[int]int{1: 1, 4: 1, 5: 2, 8: 2, 9: 3, 16: 4} {
		r := tuftest.New()
		const path = "1.0/linux/amd64/release.json"
		sum := sha256.Sum256([]byte(path))
		bin := (uint64(sum[0])<<24 | uint64(sum[1])<<16 | uint64(sum[2])<<8 | uint64(sum[3])) >> (32 - bits)
		role := fmt.Sprintf("bins-%0*x", digits, bin)
		k := tuftest.Key("bins")
		id, public := tuftest.Public(k)
		r.Signed["targets"]["delegations"] = object{
			"keys":           object{id: public},
			"succinct_roles": object{"keyids": []any{id}, "threshold": 1, "bit_length": bits, "name_prefix": "bins"},
		}
		r.Signed[role] = object{"_type": "targets", "spec_version": "1.0.31", "version": 0, "expires": tuftest.Time(1), "targets": object{}}
		r.Signers[role] = keys(k)
		r.Target(role, path, []byte("data"), nil)
		r.Publish(role, "targets")
		client, err := refresh(r.Env(), r.Files["1.root.json"])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Target(path); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestHashPrefixes(t *testing.T) {
	r := tuftest.New()
	r.Delegate("targets", "A", false)
	entry := r.Signed["targets"]["delegations"].(object)["roles"].([]any)[0].(object)
	delete(entry, "paths")
	entry["path_hash_prefixes"] = []any{"", strings.ToUpper(tuftest.Hash([]byte("mine"))[:8])}
	r.Target("A", "mine", []byte("x"), nil)
	r.Target("A", "other", []byte("x"), nil)
	r.Publish("A", "targets")
	client, err := refresh(r.Env(), r.Files["1.root.json"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Target("mine"); err != nil {
		t.Error(err)
	}
	if _, err := client.Target("other"); !errors.Is(err, tuf.ErrNoTarget) {
		t.Errorf("a path with another hash: %v", err)
	}
}

func TestTooManyDelegations(t *testing.T) {
	r := tuftest.New()
	var roles []string
	for i := range tuf.MaxDelegations + 1 {
		role := fmt.Sprint("r", i)
		r.Delegate("targets", role, false, "*")
		roles = append(roles, role)
	}
	r.Publish(append(roles, "targets")...)
	client, err := refresh(r.Env(), r.Files["1.root.json"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Target("x"); !errors.Is(err, tuf.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

// Role names may have any characters: those of files and requests are escaped.
func TestUnusualRoleNames(t *testing.T) {
	for role, escaped := range map[string]string{"?": "%3F", "#": "%23", "/x": "%2Fx", "../x": "..%2Fx", "%2e": "%252e", "ä": "%C3%A4"} {
		r := tuftest.New()
		r.Delegate("targets", role, false, "*")
		r.Publish(role, "targets")
		r.Files["1."+escaped+".json"] = r.Files["1."+role+".json"]
		env := r.Env()
		client, err := refresh(env, r.Files["1.root.json"])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Target("x"); !errors.Is(err, tuf.ErrNoTarget) {
			t.Errorf("%q: %v", role, err)
		}
		if env.State[escaped+".json"] == nil || env.Requests[len(env.Requests)-1] != "1."+escaped {
			t.Errorf("%q: requests %v", role, env.Requests)
		}
	}
}
