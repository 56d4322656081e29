package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// Verify fetches every artifact of a release from a store with the client
// that programs embed, and so re-hashes and decodes it; deltas are applied to their bases, as far as those are there (see
// [Repo.Baseless]). It returns one error for each file that is not as release.json says, which begins with the file's name.
//
// key may be nil; with it, the release's signature is checked, and opts may hold a trust root. What [Repo.Unnamed] returns
// is no damage.
func Verify(ctx context.Context, from store.Reader, r Release, key []byte, opts ...updater.Option) error {
	folder, err := os.MkdirTemp("", "update-repo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	v := &verifier{from: from, key: key, opts: opts, binary: filepath.Join(folder, "binary")}
	spec, d, err := v.spec(r)
	if err != nil {
		return err
	}
	var failures []error
	for _, a := range decodable(spec) {
		if err := ctx.Err(); err != nil {
			return err
		}
		one := *spec
		one.BinaryPath, one.Artifacts = a.File, []updater.Artifact{a}
		if err := d.FetchBinary(&one, v.binary); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", a.File, err))
		}
	}
	return errors.Join(append(failures, v.deltas(ctx, r, spec)...)...)
}

// verifier sees a repository as a client does.
type verifier struct {
	from   store.Reader
	key    []byte
	opts   []updater.Option
	binary string // where what is fetched is put
}

// spec fetches a release.json, and returns what fetches the binary.
func (v *verifier) spec(r Release) (*updater.Spec, *updater.HTTPDownloader, error) {
	d := &updater.HTTPDownloader{}
	spec, err := updater.FetchSpec(append([]updater.Option{
		updater.Repository(v.from), updater.Version(r.Version), updater.OS(r.OS), updater.Arch(r.Arch),
		updater.TargetFile(v.binary), updater.PublicKey(v.key),
		updater.DownloadMethod(d), updater.Attempts(1), updater.Logger(log.New(io.Discard, "", 0))}, v.opts...)...)
	return spec, d, err
}

// Unnamed returns the files in folders of releases that no client ever
// fetches, since their release.json does not name them or is not there: what an
// interrupted Add left, or someone put there by hand. Sorted by path.
func (r *Repo) Unnamed(ctx context.Context) ([]string, error) {
	entries, err := r.store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var unnamed []string
	known := map[string]map[string]bool{}
	for _, e := range entries {
		parts := strings.Split(e.Name, "/")
		if len(parts) != 4 || parts[3] == specName {
			continue
		}
		folder := strings.Join(parts[:3], "/")
		if known[folder] == nil {
			spec, err := r.spec(ctx, folder+"/"+specName)
			if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, updater.ErrRejected) && !errors.Is(err, errRemoving) {
				return nil, err
			}
			known[folder] = named(spec)
		}
		if !known[folder][parts[3]] {
			unnamed = append(unnamed, e.Name)
		}
	}
	return unnamed, nil
}
