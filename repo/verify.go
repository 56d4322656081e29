package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	updater "github.com/choria-io/go-updater"
)

// Verify fetches every artifact of a release from location with the client
// that programs embed, and so re-hashes and decodes it. It returns one error
// for each artifact that is not as release.json says.
//
// key may be nil; with it, the release's signature is checked, and opts may hold a trust root. What [Repo.Unnamed] returns
// is no damage.
func Verify(ctx context.Context, location string, r Release, key []byte, opts ...updater.Option) error {
	folder, err := os.MkdirTemp("", "update-repo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	d := &updater.HTTPDownloader{}
	spec, err := updater.FetchSpec(append([]updater.Option{
		updater.SourceRepo(location), updater.Version(r.Version), updater.OS(r.OS), updater.Arch(r.Arch),
		updater.TargetFile(filepath.Join(folder, "binary")), updater.PublicKey(key),
		updater.DownloadMethod(d), updater.Attempts(1), updater.Logger(log.New(io.Discard, "", 0))}, opts...)...)
	if err != nil {
		return err
	}
	var failures []error
	artifacts := spec.Artifacts
	if !slices.ContainsFunc(artifacts, func(a updater.Artifact) bool { return a.File == spec.BinaryPath }) {
		artifacts = append(artifacts, updater.Artifact{File: spec.BinaryPath, Encoding: updater.Bzip2})
	}
	for _, a := range artifacts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if a.Encoding != updater.Zstd && a.Encoding != updater.Bzip2 && a.Encoding != updater.None {
			continue // of a later version
		}
		one := *spec
		one.BinaryPath, one.Artifacts = a.File, []updater.Artifact{a}
		if err := d.FetchBinary(&one, filepath.Join(folder, "binary")); err != nil {
			failures = append(failures, fmt.Errorf("%s: %s: %w", r, a.File, err))
		}
	}
	return errors.Join(failures...)
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
			if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, updater.ErrRejected) {
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
