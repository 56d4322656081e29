package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/version"
	"github.com/choria-io/go-updater/store"
)

// base is a release from which a delta is to be made.
type base struct {
	*Release
	named bool // by the publisher: it has to work
}

// bases are the releases from which deltas to another are wanted, each binary once.
func (r *Repo) bases(ctx context.Context, to *Release, want Deltas) ([]base, error) {
	var list []base
	for _, v := range want.From {
		if v == to.Version {
			return nil, fmt.Errorf("a delta from %s to itself makes no sense", v)
		}
		release, err := r.release(ctx, v, to.OS, to.Arch)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, refused(listAdvice, "a delta from version %s: there is no release %s for %s/%s in %s", v, v, to.OS, to.Arch, r.store)
		}
		if err != nil {
			return nil, fmt.Errorf("a delta from version %s for %s/%s: %w", v, to.OS, to.Arch, err)
		}
		list = append(list, base{release, true})
	}
	if want.Last <= 0 {
		return list, nil
	}
	before, err := r.before(ctx, to, want)
	if err != nil {
		return nil, err
	}
	for _, b := range before {
		if !slices.ContainsFunc(list, func(a base) bool { return a.Spec.Sha256Hash == b.Spec.Sha256Hash }) {
			list = append(list, b)
		}
	}
	return list, nil
}

// before are the last releases of a platform that are older than another, the newest first.
func (r *Repo) before(ctx context.Context, to *Release, want Deltas) ([]base, error) {
	versions, err := r.versions(ctx, to.OS, to.Arch)
	if err != nil {
		return nil, err
	}
	var list []base
	for _, v := range newestFirst(versions) {
		if len(list) == want.Last {
			break
		}
		if !version.Older(v, to.Version) {
			continue
		}
		release, err := r.release(ctx, v, to.OS, to.Arch)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, updater.ErrRejected):
			want.note("no delta from %s to %s: %v", v, to, err)
		case err != nil:
			return nil, err
		default:
			list = append(list, base{release, false})
		}
	}
	return list, nil
}

// versions are those of a platform that are there.
func (r *Repo) versions(ctx context.Context, goos, arch string) ([]string, error) {
	entries, err := r.store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if v, ok := strings.CutSuffix(e.Name, "/"+goos+"/"+arch+"/"+specName); ok && !strings.Contains(v, "/") {
			list = append(list, v)
		}
	}
	return list, nil
}

// newestFirst leaves out versions that have no order.
func newestFirst(versions []string) []string {
	list := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return !version.Ordered(v) })
	slices.SortStableFunc(list, func(a, b string) int {
		switch {
		case version.Older(a, b):
			return 1
		case version.Older(b, a):
			return -1
		}
		return 0
	})
	return list
}

func (r *Repo) release(ctx context.Context, v, goos, arch string) (*Release, error) {
	folder, err := updater.Folder(v, goos, arch)
	if err != nil {
		return nil, err
	}
	spec, err := r.spec(ctx, folder+"/"+specName)
	if err != nil {
		return nil, err
	}
	return &Release{Version: v, OS: goos, Arch: arch, Spec: spec}, nil
}

// maxBinary is the largest binary in bytes that deltas are made for.
const maxBinary = 1<<31 - 1

// binary is a release's, decoded from whichever of its artifacts is good, the cheapest first.
func (r *Repo) binary(ctx context.Context, release *Release) ([]byte, error) {
	folder, err := updater.Folder(release.Version, release.OS, release.Arch)
	if err != nil {
		return nil, err
	}
	if release.Spec.Size > maxBinary {
		return nil, fmt.Errorf("its %d bytes are too many for a delta", release.Spec.Size)
	}
	var failures []error
	for _, a := range decodable(release.Spec) {
		data, err := r.decode(ctx, folder+"/"+a.File, a.Encoding, release.Spec)
		if err == nil {
			return data, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", a.File, err))
	}
	return nil, errors.Join(failures...)
}

// decodable are the artifacts that can be decoded, zstd first. Those of v0.1.0 are not listed.
func decodable(spec *updater.Spec) []updater.Artifact {
	var list []updater.Artifact
	for _, encoding := range []string{updater.Zstd, updater.None, updater.Bzip2} {
		for _, a := range spec.Artifacts {
			if a.Encoding == encoding {
				list = append(list, a)
			}
		}
	}
	if !slices.ContainsFunc(spec.Artifacts, func(a updater.Artifact) bool { return a.File == spec.BinaryPath }) {
		list = append(list, updater.Artifact{File: spec.BinaryPath, Encoding: updater.Bzip2})
	}
	return list
}

func (r *Repo) decode(ctx context.Context, name, encoding string, spec *updater.Spec) ([]byte, error) {
	object, err := r.store.Open(ctx, name, store.Request{})
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	limit := spec.Size
	if limit == 0 {
		limit = maxBinary // v0.1.0 wrote no size
	}
	data, err := io.ReadAll(io.LimitReader(decoder(object.Body, encoding), limit+1))
	if err != nil {
		return nil, err
	}
	if fileOf(data).SHA256 != spec.Sha256Hash {
		return nil, errors.New("it holds another binary than release.json says")
	}
	return data, nil
}
