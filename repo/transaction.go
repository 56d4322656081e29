package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// transaction collects what becomes of files, and signs and publishes it once. In a
// repository that is not signed it only holds the lock.
type transaction struct {
	repo  *Repo
	base  *signed // nil if the repository is not signed
	files map[string]*metadata.TargetFiles
	end   func() // gives the lock back
}

// transaction takes the lock. In a signed repository it fails with ErrKeys unless a key is at hand that signs
// releases, and with ErrWaiting while another change waits for signatures.
func (r *Repo) transaction(ctx context.Context) (*transaction, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	t := &transaction{repo: r, files: map[string]*metadata.TargetFiles{}, end: unlock}
	if t.base, err = r.loadUnstaged(ctx, false); err == nil && t.base != nil {
		if _, err = r.ready(t.base.root(), metadata.TARGETS); err != nil {
			err = fmt.Errorf("the repository is signed: %w", err)
		}
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return t, nil
}

func (t *transaction) commit(ctx context.Context) error {
	if t.base == nil || len(t.files) == 0 {
		return nil
	}
	return t.repo.commitFiles(ctx, t.base, t.files)
}

// signedFile is what is signed about a file, nil if nothing is.
func (s *signed) signedFile(ctx context.Context, path string) (*metadata.TargetFiles, error) {
	role, err := s.roleOf(ctx, path)
	if role == nil || err != nil {
		return nil, err
	}
	return role.Signed.Targets[path], nil
}

// roleOf is the role that is trusted with a path and lists files, nil if there is none.
func (s *signed) roleOf(ctx context.Context, path string) (*targetsMeta, error) {
	targets := s.roles[metadata.TARGETS]
	name := delegationTo(targets, patternOf(path))
	if name == "" {
		return nil, nil
	}
	role, err := s.role(ctx, name, targets)
	if err != nil {
		return nil, err
	}
	if bins := binsOf(role); bins != nil {
		return s.role(ctx, bins.GetRolesForTarget(path)[0].Name, role)
	}
	return role, nil
}

// has tells whether the release.json that is there is signed, and for this binary. Where
// nothing is signed it is as good as that.
func (t *transaction) has(ctx context.Context, folder, sum string) (bool, error) {
	if t.base == nil {
		return true, nil
	}
	f, err := t.base.signedFile(ctx, folder+"/"+specName)
	if f == nil || err != nil {
		return false, err
	}
	data, err := t.repo.read(ctx, folder+"/"+specName, updater.SpecLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // it was lost, or is being removed
	}
	if err != nil || f.VerifyLengthHashes(data) != nil {
		return false, err
	}
	var custom releaseCustom
	if f.Custom == nil || json.Unmarshal(*f.Custom, &custom) != nil {
		return false, nil
	}
	return custom.SHA256 == sum, nil
}

// withdraw publishes that a release is not there any more, before its files are replaced:
// at no time does the metadata list files that are others.
func (t *transaction) withdraw(ctx context.Context, folder string) error {
	if t.base == nil {
		return nil
	}
	f, err := t.base.signedFile(ctx, folder+"/"+specName)
	if err != nil {
		return err
	}
	if f == nil {
		return t.fence(ctx, folder)
	}
	names, err := t.repo.filesOf(ctx, folder)
	if err != nil {
		return err
	}
	gone := map[string]*metadata.TargetFiles{}
	for _, name := range names {
		gone[name] = nil
	}
	if err := t.repo.commitFiles(ctx, t.base, gone); err != nil {
		return err
	}
	return t.reload(ctx, folder)
}

// fence makes sure that nobody else is about to sign the release.json that is there and not signed: whoever began before
// the new timestamp cannot publish any more. The lock, where there is one, does the same.
func (t *transaction) fence(ctx context.Context, folder string) error {
	if _, ok := t.repo.store.(store.Locker); ok {
		return nil
	}
	_, err := t.repo.read(ctx, folder+"/"+specName, updater.SpecLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.repo.renewTimestamp(ctx, t.base); err != nil {
		return err
	}
	return t.reload(ctx, folder)
}

// reload begins anew after something was published, releases withdrawn for example.
func (t *transaction) reload(ctx context.Context, withdrawn ...string) error {
	var err error
	if t.base, err = t.repo.load(ctx, false); err != nil {
		return err
	}
	for _, folder := range withdrawn {
		f, err := t.base.signedFile(ctx, folder+"/"+specName)
		if err == nil && f != nil {
			err = fmt.Errorf("%w: it has published %s", ErrBusy, folder)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// filesOf are the files of a release: those that are there, and those that release.json names.
func (r *Repo) filesOf(ctx context.Context, folder string) ([]string, error) {
	entries, err := r.store.List(ctx, folder+"/")
	if err != nil {
		return nil, err
	}
	names := []string{folder + "/" + specName}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	spec, err := r.spec(ctx, folder+"/"+specName)
	switch {
	case err == nil:
		for file := range named(spec) {
			names = append(names, folder+"/"+file)
		}
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, updater.ErrRejected) && !errors.Is(err, errRemoving):
		return nil, err
	}
	return names, nil
}

// releaseCustom is what is signed about the binary of a release.
type releaseCustom struct {
	Arch    string `json:"arch"`
	Length  int64  `json:"length"` // of the uncompressed binary
	OS      string `json:"os"`
	Product string `json:"product"`
	SHA256  string `json:"sha256"` // of the uncompressed binary
	Version string `json:"version"`
}

// release has release.json, whose bytes are data, and the artifacts that it names signed.
func (t *transaction) release(release *Release, data []byte) error {
	if t.base == nil {
		return nil
	}
	files, err := signedFiles(product(t.base.root()), release, data)
	if err != nil {
		return err
	}
	for name, f := range files {
		t.files[name] = f
	}
	return nil
}

func signedFiles(product string, release *Release, data []byte) (map[string]*metadata.TargetFiles, error) {
	folder, err := updater.Folder(release.Version, release.OS, release.Arch)
	if err != nil {
		return nil, err
	}
	custom, err := json.Marshal(releaseCustom{
		Product: product, Version: release.Version, OS: release.OS, Arch: release.Arch,
		Length: release.Spec.Size, SHA256: release.Spec.Sha256Hash,
	})
	if err != nil {
		return nil, err
	}
	raw := json.RawMessage(custom)
	files := map[string]*metadata.TargetFiles{
		folder + "/" + specName: {Length: int64(len(data)), Hashes: sha256Of(data), Custom: &raw},
	}
	for _, a := range append(slices.Clone(release.Spec.Artifacts), deltaFiles(release.Spec)...) {
		var sum metadata.HexBytes
		if err := sum.UnmarshalJSON([]byte(`"` + a.SHA256 + `"`)); err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("%s: %s has no sha256", release, a.File)
		}
		files[folder+"/"+a.File] = &metadata.TargetFiles{Length: a.Size, Hashes: metadata.Hashes{"sha256": sum}}
	}
	return files, nil
}

// deltaFiles are the files of a release's deltas.
func deltaFiles(spec *updater.Spec) (list []updater.Artifact) {
	for _, d := range spec.Deltas {
		list = append(list, updater.Artifact{File: d.File, Encoding: updater.DeltaEncoding, Size: d.Size, SHA256: d.SHA256})
	}
	return list
}
