package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

// signer signs everything; no key of a test is worth keeping apart.
func signer(t testing.TB, folder string) *repo.KeyFile {
	t.Helper()
	path := filepath.Join(folder, "key")
	if _, err := os.Stat(path); err != nil {
		key, err := repo.NewKey(repo.Ed25519)
		must(t, err)
		must(t, repo.WriteKey(path, key, "all", ""))
	}
	key, err := repo.OpenKeyFile(path)
	must(t, err)
	return key
}

func publisher(s store.Store, key *repo.KeyFile) *repo.Repo {
	r := repo.Open(s)
	r.SignWith(key)
	return r
}

// initialize makes a signed repository, and returns its trust root.
func initialize(t testing.TB, s store.Store, key *repo.KeyFile) []byte {
	t.Helper()
	keys := map[string][]*repo.PublicKey{}
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		keys[role] = []*repo.PublicKey{key.Public()}
	}
	root, err := publisher(s, key).Sign(ctx, repo.Init{Product: "tool", Keys: keys})
	must(t, err)
	return root
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	must(t, os.WriteFile(path, []byte(content), 0o700))
	return path
}

func addition(path, version string) repo.Addition {
	return repo.Addition{Path: path, Name: "tool", Version: version, OS: "linux", Arch: "amd64", Force: true}
}

// installs tells whether a client gets a version, and fails the test if it gets anything but that or nothing.
func installs(t testing.TB, r store.Reader, root []byte, version, want string) bool {
	t.Helper()
	target := file(t, "before")
	_, err := updater.ApplyContext(ctx, updater.Repository(r), updater.TrustRoot(root), updater.TargetFile(target), updater.Version(version),
		updater.OS("linux"), updater.Arch("amd64"), updater.AllowContainer(), updater.AllowManaged())
	got, rerr := os.ReadFile(target)
	must(t, rerr)
	switch {
	case err == nil && string(got) == want:
		return true
	case errors.Is(err, fs.ErrNotExist) && string(got) == "before":
		return false
	}
	t.Fatalf("version %s: %d bytes, %v", version, len(got), err)
	return false
}

// dying is a store whose publisher dies at its n-th call: that call has its effect or not, and nothing happens after it.
type dying struct {
	store.Store
	at    int
	after bool
	calls int
}

var errDied = errors.New("the publisher is dead")

func (d *dying) do(call func() error) error {
	d.calls++
	switch {
	case d.calls < d.at:
		return call()
	case d.calls == d.at && d.after:
		call()
	}
	return errDied
}

func (d *dying) Open(ctx context.Context, name string, req store.Request) (o *store.Object, err error) {
	err = d.do(func() error { o, err = d.Store.Open(ctx, name, req); return err })
	return o, err
}

func (d *dying) Put(ctx context.Context, name string, r io.Reader) error {
	return d.do(func() error { return d.Store.Put(ctx, name, r) })
}

func (d *dying) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	return d.do(func() error { return store.PutIf(ctx, d.Store, name, r, version) })
}

func (d *dying) Delete(ctx context.Context, name string) error {
	return d.do(func() error { return d.Store.Delete(ctx, name) })
}

func (d *dying) List(ctx context.Context, prefix string) (list []store.Entry, err error) {
	err = d.do(func() error { list, err = d.Store.List(ctx, prefix); return err })
	return list, err
}

// The test's program is its own publisher, to be killed.
func TestMain(m *testing.M) {
	if location := os.Getenv("STORES_TEST_PUBLISH"); location != "" {
		if err := publishAsChild(location); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func publishAsChild(location string) error {
	r, err := openAny(location)
	if err != nil {
		return err
	}
	key, err := repo.OpenKeyFile(os.Getenv("STORES_TEST_KEY"))
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(os.Getenv("STORES_TEST_FIRST"))
	if err != nil {
		return err
	}
	for i := first; ; i++ {
		_, err := publisher(r.(store.Store), key).Add(ctx, addition(os.Getenv("STORES_TEST_FILE"), fmt.Sprintf("2.%d", i)))
		if err != nil {
			return err
		}
	}
}
