package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	tufclient "github.com/theupdateframework/go-tuf/v2/metadata/updater"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// fetcher serves a store to go-tuf's client.
type fetcher struct{ store.Store }

func (f fetcher) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	name := strings.TrimPrefix(url, "mem:/")
	object, err := f.Open(ctx, name, store.Request{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: url}
	}
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	data, err := io.ReadAll(object.Body)
	if err == nil && int64(len(data)) > limit {
		err = &metadata.ErrDownloadLengthMismatch{Msg: url}
	}
	return data, err
}

// newOracle is go-tuf's client, with what it cached before.
func newOracle(s store.Store, root []byte, cache string) (*tufclient.Updater, error) {
	cfg, err := config.New("mem:/metadata", root)
	if err != nil {
		return nil, err
	}
	cfg.RemoteTargetsURL, cfg.PrefixTargetsWithHash = "mem:/", false
	cfg.Fetcher, cfg.DisableLocalCache = fetcher{s}, true
	if cache != "" {
		cfg.DisableLocalCache, cfg.LocalMetadataDir, cfg.LocalTargetsDir = false, cache, cache
	}
	u, err := tufclient.New(cfg)
	if err != nil {
		return nil, err
	}
	return u, u.Refresh()
}

// installable has go-tuf's client fetch release.json of a version and all that it names. It is
// false if no trusted role lists the release.
func installable(s store.Store, root []byte, version string) (bool, error) {
	u, err := newOracle(s, root, "")
	if err != nil {
		return false, err
	}
	target, err := u.GetTargetInfo(version + "/linux/amd64/release.json")
	if err != nil && strings.HasSuffix(err.Error(), "not found") {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, data, err := u.DownloadTarget(target, "x", "")
	if err != nil {
		return false, err
	}
	spec, err := updater.ParseSpec(data)
	if err != nil || len(spec.Artifacts) < 2 {
		return false, fmt.Errorf("release.json: %+v, %w", spec, err)
	}
	for _, a := range spec.Artifacts {
		target, err := u.GetTargetInfo(version + "/linux/amd64/" + a.File)
		if err != nil {
			return false, err
		}
		if _, _, err = u.DownloadTarget(target, "x", ""); err != nil {
			return false, err
		}
	}
	return true, nil
}

// keys are those of a single maintainer.
type keys struct{ root, release, timestamp *PrivateKey }

func newKeys(t testing.TB) keys {
	t.Helper()
	make := func(kind string) *PrivateKey {
		k, err := NewKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return keys{make(Ed25519), make(ECDSA), make(Ed25519)}
}

func (k keys) init() Init {
	return Init{Product: "tool", Keys: map[string][]*PublicKey{
		"root": {k.root.public}, "targets": {k.release.public}, "snapshot": {k.release.public}, "timestamp": {k.timestamp.public},
	}}
}

func (k keys) open(s store.Store) *Repo {
	r := Open(s)
	r.SignWith(k.root, k.release, k.timestamp)
	return r
}

// small is a small file that is published as a binary.
func small(t testing.TB, version, content string) Addition {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Addition{Path: path, Name: "tool", Version: version, OS: "linux", Arch: "amd64", Force: true}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyMem(t testing.TB, s store.Store) *store.Mem {
	t.Helper()
	entries, err := s.List(ctx, "")
	must(t, err)
	m := &store.Mem{}
	for _, e := range entries {
		object, err := s.Open(ctx, e.Name, store.Request{})
		must(t, err)
		must(t, m.Put(ctx, e.Name, object.Body))
	}
	return m
}

func expect(t *testing.T, s store.Store, root []byte, want map[string]bool) {
	t.Helper()
	for version, want := range want {
		if got, err := installable(s, root, version); err != nil || got != want {
			t.Errorf("version %s: installable %t, %v; want %t", version, got, err, want)
		}
	}
}

func TestSignAddRemove(t *testing.T) {
	s, k := &store.Mem{}, newKeys(t)
	r := k.open(s)
	root, err := r.Sign(ctx, k.init())
	must(t, err)
	_, err = r.Add(ctx, small(t, "1.0.0", "one"))
	must(t, err)
	_, err = r.AddAll(ctx, []Addition{small(t, "1.1.0", "two"), small(t, "1.2.0", "three")})
	must(t, err)
	expect(t, s, root, map[string]bool{"1.0.0": true, "1.1.0": true, "1.2.0": true, "2.0.0": false})

	_, err = r.Remove(ctx, "1.1.0", "linux", "amd64")
	must(t, err)
	expect(t, s, root, map[string]bool{"1.0.0": true, "1.1.0": false, "1.2.0": true})
	// Other bytes under the same names: withdrawn, then published.
	_, err = r.Add(ctx, small(t, "1.0.0", "other"))
	must(t, err)
	expect(t, s, root, map[string]bool{"1.0.0": true, "1.2.0": true})
	if _, err := r.Sign(ctx, k.init()); !errors.Is(err, ErrSigned) {
		t.Errorf("signed twice: %v", err)
	}
	if _, err := Open(s).Add(ctx, small(t, "3.0.0", "x")); !errors.Is(err, ErrKeys) {
		t.Errorf("published without keys: %v", err)
	}
	online := Open(s)
	online.SignWith(k.timestamp)
	e, err := online.Timestamp(ctx)
	if err != nil || time.Until(e.Expires) < 29*day {
		t.Errorf("timestamp: %+v, %v", e, err)
	}
	if _, err := online.Remove(ctx, "1.0.0", "linux", "amd64"); !errors.Is(err, ErrKeys) {
		t.Errorf("the online key removes: %v", err)
	}
	expect(t, s, root, map[string]bool{"1.0.0": true, "1.2.0": true})
	if data, _ := Open(s).read(ctx, "metadata/1.root.json", rootLimit); !bytes.Equal(data, root) || !bytes.Contains(root, []byte(`"product":"tool"`)) {
		t.Errorf("root: %s", root)
	}
}
