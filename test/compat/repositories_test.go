//go:build unix

package compat

import (
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dsnet "github.com/dsnet/compress/bzip2"

	updater "github.com/choria-io/go-updater"
)

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// oldRepository lays files out as v0.1.0's update-repo did for linux/amd64.
func oldRepository(t *testing.T, archive, binary []byte) string {
	t.Helper()
	repo := t.TempDir()
	folder := filepath.Join(repo, "1.2.3", "linux", "amd64")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	const name = "choria-linux-amd64-1.2.3.bz2"
	spec := fmt.Sprintf(`{"binary":%q,"hash":%q}`, name, sum(binary))
	for file, data := range map[string][]byte{name: archive, "release.json": []byte(spec)} {
		if err := os.WriteFile(filepath.Join(folder, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return repo
}

// testdata/program is a header for linux/amd64 and text; program.bz2 is it as bzip2 1.0.8 compresses it.
func TestOldRepositories(t *testing.T) {
	small, program := read(t, "testdata/program"), read(t, built["self 0.6.0"])
	elf := append(bytes.Clone(small[:20]), program...) // whatever this system's format is
	var archive bytes.Buffer
	w, err := dsnet.NewWriter(&archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(elf)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ archive, binary []byte }{
		"C":     {read(t, "testdata/program.bz2"), small},
		"dsnet": {archive.Bytes(), elf},
	} {
		repo := oldRepository(t, c.archive, c.binary)
		for _, source := range []string{repo, serve(t, repo)} {
			opts := []updater.Option{
				updater.SourceRepo(source), updater.Version("1.2.3"), updater.OS("linux"), updater.Arch("amd64"),
				updater.TargetFile(install(t, "self 0.6.0", t.TempDir(), "choria")),
			}
			spec, err := updater.FetchSpec(opts...)
			if err != nil || spec.BinaryPath != "choria-linux-amd64-1.2.3.bz2" || !strings.HasSuffix(spec.BinaryURI.Path, "/1.2.3/linux/amd64/"+spec.BinaryPath) {
				t.Errorf("%s: %+v, %v", name, spec, err)
			}
			target := install(t, "self 0.6.0", t.TempDir(), "choria")
			if err := updater.Apply(append(opts, updater.TargetFile(target))...); err != nil || !bytes.Equal(read(t, target), c.binary) {
				t.Errorf("%s from %s: %v", name, source, err)
			}
		}
		tool(t, "verify", "--repo", repo)
	}
}

// oldSpec is what v0.1.0 decoded release.json into.
type oldSpec struct {
	BinaryPath string   `json:"binary"`
	BinaryURI  *url.URL `json:"uri"`
	Sha256Hash string   `json:"hash"`
	Signature  string   `json:"signature"`
}

func get(t *testing.T, url string) io.Reader {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, response.Status, err)
	}
	return bytes.NewReader(data)
}

// A client of v0.1.0 reads what our update-repo wrote: signed, replaced, or just so.
func TestOldClients(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	tool(t, "keygen", "--out", key)
	for name, more := range map[string][]string{
		"plain": nil, "signed": {"--sign-key", key}, "replaced": {"--force"}, "uncompressed as well": {"--force", "--uncompressed"},
	} {
		repo, add := t.TempDir(), []string{"testdata/program", "--arch", "amd64", "--os", "linux", "--version", "0.99.0.20221201", "--repo"}
		tool(t, append(add, repo)...)
		tool(t, append(append(add, repo), more...)...)
		folder := serve(t, repo) + "/0.99.0.20221201/linux/amd64/"
		var spec oldSpec
		if err := json.NewDecoder(get(t, folder+"release.json")).Decode(&spec); err != nil {
			t.Fatal(err)
		}
		binary, err := io.ReadAll(bzip2.NewReader(get(t, folder+spec.BinaryPath)))
		if err != nil || sum(binary) != spec.Sha256Hash || !bytes.Equal(binary, read(t, "testdata/program")) {
			t.Errorf("%s: %d bytes of %+v, %v", name, len(binary), spec, err)
		}
	}
}
