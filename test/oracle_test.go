package test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

type object = tuftest.Object

// pair is one client of each implementation that has the same past.
type pair struct {
	t     *testing.T
	root  []byte
	files map[string][]byte
	ours  *tuftest.Env
	dir   string // of theirs
}

func newPair(t *testing.T, root []byte, files map[string][]byte) *pair {
	return &pair{t: t, root: root, files: files, dir: t.TempDir(),
		ours: &tuftest.Env{State: map[string][]byte{}, Time: tuftest.Now}}
}

// look refreshes both, and looks a path up: what each says of it.
func (p *pair) look(path string) (ours, theirs error) {
	p.ours.Files = p.files
	client, err := tuf.New(p.ours, p.root)
	if err == nil {
		err = client.Refresh()
	}
	if err == nil {
		_, err = client.Target(path)
	}
	return err, p.lookTheirs(path)
}

// lookTheirs takes a panic, of which go-tuf has some, for a refusal.
func (p *pair) lookTheirs(path string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("it panics: %v", cause)
		}
	}()
	cfg, err := config.New("http://repository/metadata", p.root)
	if err != nil {
		p.t.Fatal(err)
	}
	cfg.LocalMetadataDir, cfg.LocalTargetsDir = p.dir, p.dir
	cfg.Fetcher = fetcher(p.files)
	u, err := updater.New(cfg)
	if err != nil {
		return err
	}
	u.UnsafeSetRefTime(tuftest.Now)
	if err := u.Refresh(); err != nil {
		return err
	}
	_, err = u.GetTargetInfo(path)
	return err
}

// fetcher serves files to go-tuf as a web server would.
type fetcher map[string][]byte

func (f fetcher) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	data, ok := f[path.Base(u.EscapedPath())]
	if !ok {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: address}
	}
	if int64(len(data)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: "too large"}
	}
	return data, nil
}

// platforms is a repository like those that update-repo writes.
func platforms() *tuftest.Repo {
	r := tuftest.New()
	r.Delegate("targets", "linux-amd64", true, "*/linux/amd64/*")
	r.Target("linux-amd64", file, []byte("data"), object{"product": "x"})
	r.Publish("linux-amd64", "targets")
	return r
}

const file = "1.0/linux/amd64/release.json"

// What we sign in tests, go-tuf reads.
func TestTheirsReadsOurs(t *testing.T) {
	r := platforms()
	p := newPair(t, r.Files["1.root.json"], r.Files)
	for i := range 3 {
		if ours, theirs := p.look(file); ours != nil || theirs != nil {
			t.Fatalf("round %d: ours: %v, theirs: %v", i, ours, theirs)
		}
		old := r.Signers["root"]
		r.Trust("root", 1, tuftest.Key(fmt.Sprint("root ", i)))
		r.Trust("timestamp", 1, tuftest.Key(fmt.Sprint("timestamp ", i)))
		r.PublishRoot(old...)
		r.Publish("linux-amd64", "targets")
	}
	if ours, theirs := p.look("1.0/linux/amd64/other"); !errors.Is(ours, tuf.ErrNoTarget) || theirs == nil {
		t.Errorf("ours: %v, theirs: %v", ours, theirs)
	}
}

// What go-tuf signs, with each kind of key, we read.
func TestOursReadsTheirs(t *testing.T) {
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pss, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		public crypto.PublicKey
		signer func() (signature.Signer, error)
	}{
		"ed25519": {edPublic, func() (signature.Signer, error) { return signature.LoadSigner(ed, crypto.Hash(0)) }},
		"ecdsa":   {ec.Public(), func() (signature.Signer, error) { return signature.LoadSigner(ec, crypto.SHA256) }},
		"rsa":     {pss.Public(), func() (signature.Signer, error) { return signature.LoadRSAPSSSigner(pss, crypto.SHA256, nil) }},
	} {
		for _, bins := range []int{0, 1, 5, 10} {
			t.Run(fmt.Sprintf("%s, %d bits", name, bins), func(t *testing.T) {
				signer, err := k.signer()
				if err != nil {
					t.Fatal(err)
				}
				root, files := writeTheirs(t, k.public, signer, bins)
				p := newPair(t, root, files)
				if ours, theirs := p.look(file); ours != nil || theirs != nil {
					t.Errorf("ours: %v, theirs: %v", ours, theirs)
				}
				if ours, theirs := p.look("1.0/linux/amd64/other"); !errors.Is(ours, tuf.ErrNoTarget) || theirs == nil {
					t.Errorf("no such file: ours: %v, theirs: %v", ours, theirs)
				}
			})
		}
	}
}

// writeTheirs makes a repository with go-tuf, with hash bins or without.
func writeTheirs(t *testing.T, public crypto.PublicKey, signer signature.Signer, bins int) (root []byte, files map[string][]byte) {
	t.Helper()
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id, err := key.ID()
	if err != nil {
		t.Fatal(err)
	}
	expires := tuftest.Now.AddDate(0, 0, 7)
	files = map[string][]byte{}
	rootMD, timestamp, snapshot, targets := metadata.Root(expires), metadata.Timestamp(expires), metadata.Snapshot(expires), metadata.Targets(expires)
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		if err := rootMD.Signed.AddKey(key, role); err != nil {
			t.Fatal(err)
		}
	}
	delegation := metadata.DelegatedRole{Name: "linux-amd64", KeyIDs: []string{id}, Threshold: 1, Terminating: true, Paths: []string{"*/linux/amd64/*"}}
	targets.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{id: key}, Roles: []metadata.DelegatedRole{delegation}}
	platform, holder, role := metadata.Targets(expires), metadata.Targets(expires), "linux-amd64"
	if bins > 0 {
		succinct := &metadata.SuccinctRoles{KeyIDs: []string{id}, Threshold: 1, BitLength: bins, NamePrefix: "linux-amd64-bins"}
		platform.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{id: key}, SuccinctRoles: succinct}
		for _, name := range succinct.GetRoles() {
			snapshot.Signed.Meta[name+".json"] = metadata.MetaFile(1)
			files["1."+name+".json"] = sign(t, metadata.Targets(expires), signer)
		}
		role = succinct.GetRolesForTarget(file)[0].Name
	} else {
		holder = platform
	}
	target, err := metadata.TargetFile().FromBytes(file, []byte("data"), "sha256", "sha512")
	if err != nil {
		t.Fatal(err)
	}
	holder.Signed.Targets[file] = target
	snapshot.Signed.Meta["linux-amd64.json"] = metadata.MetaFile(1)
	files["1.linux-amd64.json"] = sign(t, platform, signer)
	if holder != platform {
		files["1."+role+".json"] = sign(t, holder, signer)
	}
	files["1.targets.json"], files["1.snapshot.json"] = sign(t, targets, signer), sign(t, snapshot, signer)
	files["timestamp.json"], files["1.root.json"] = sign(t, timestamp, signer), sign(t, rootMD, signer)
	return files["1.root.json"], files
}

func sign[T metadata.Roles](t *testing.T, md *metadata.Metadata[T], signer signature.Signer) []byte {
	t.Helper()
	if _, err := md.Sign(signer); err != nil {
		t.Fatal(err)
	}
	data, err := md.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The canonical form is the one that go-tuf signs: a signature over strings
// with everything that JSON can escape is good for both.
func TestCanonicalStrings(t *testing.T) {
	for _, s := range []string{"plain", "é€😀", "a\"b\\c/d", "tab\tnewline\n\u0001", "<&>", "\u2028", "\u007f"} {
		r := tuftest.New()
		signed := r.Signed["targets"]
		signed["note"], signed["version"] = s, 2
		canonical, err := cjson.EncodeCanonical(signed)
		if err != nil {
			t.Fatal(err)
		}
		key := tuftest.Key("targets")
		id, _ := tuftest.Public(key)
		data, err := json.Marshal(object{"signed": signed, "signatures": []any{object{"keyid": id, "sig": fmt.Sprintf("%x", ed25519.Sign(key, canonical))}}})
		if err != nil {
			t.Fatal(err)
		}
		r.Files["2.targets.json"] = data
		r.Signed["snapshot"]["meta"].(object)["targets.json"] = object{"version": 2}
		r.Publish()
		p := newPair(t, r.Files["1.root.json"], r.Files)
		ours, theirs := p.look("x")
		if !errors.Is(ours, tuf.ErrNoTarget) || theirs == nil || !strings.Contains(theirs.Error(), "not found") {
			t.Errorf("%q: ours: %v, theirs: %v", s, ours, theirs)
		}
	}
}

// Which paths a pattern covers, both say alike, but for what the specification does not name:
// it has * and ?, to which go-tuf adds the classes and the escapes of path.Match. To us
// those are plain characters, so that such a pattern covers only what is spelled like it.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		differ        bool
	}{
		{"a/*", "a/x", false}, {"a/*", "a/x/y", false}, {"a/*", "b/x", false}, {"*", "x", false}, {"*", "a/x", false},
		{"*/linux/*", "1.0/linux/x", false}, {"*/linux/*", "1.0/linux/x/y", false}, {"a?c", "abc", false}, {"a?c", "a/c", false},
		{"*.zip", "x.zip", false}, {"*.zip", "x.gz", false}, {"a*c*e", "abcde", false}, {"é?", "éü", false},
		{"a/[xy]", "a/z", false},
		{"a/[xy]", "a/x", true},
		{"a/[xy]", "a/[xy]", true},
		{`a/\*`, "a/*", true},
	} {
		r := tuftest.New()
		r.Delegate("targets", "A", false, c.pattern)
		r.Target("A", c.path, []byte("data"), nil)
		r.Publish("A", "targets")
		ours, theirs := newPair(t, r.Files["1.root.json"], r.Files).look(c.path)
		if differ := (ours == nil) != (theirs == nil); differ != c.differ {
			t.Errorf("%s and %s: ours: %v, theirs: %v", c.pattern, c.path, ours, theirs)
		}
	}
}
