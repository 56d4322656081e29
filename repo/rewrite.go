package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
)

// rewrite is a release whose release.json gets other deltas. The binary and its archives stay.
type rewrite struct {
	release   *Release
	folder    string
	old, data []byte   // release.json before and after
	gone      []string // files of deltas that it named
}

// dropped are the files that it does not name any more.
func (w *rewrite) dropped() []string {
	kept := named(w.release.Spec)
	return slices.DeleteFunc(slices.Clone(w.gone), func(file string) bool { return kept[file] })
}

// openRewrite reads a release, and tells whether something of it has to be published again: an interruption may have left
// a release.json that is not the signed one. Its deltas are not believed then.
//
// It returns nil for a release that the metadata does not list: what nobody published is not signed here.
func (t *transaction) openRewrite(ctx context.Context, release *Release) (w *rewrite, unfinished bool, err error) {
	w = &rewrite{release: release}
	if w.folder, err = updater.Folder(release.Version, release.OS, release.Arch); err != nil {
		return nil, false, err
	}
	if w.old, err = t.repo.read(ctx, w.folder+"/"+specName, updater.SpecLimit); err != nil {
		return nil, false, err
	}
	if release.Spec, err = updater.ParseSpec(w.old); err != nil || t.base == nil {
		return w, false, err
	}
	f, err := t.base.signedFile(ctx, w.folder+"/"+specName)
	if err != nil {
		return nil, false, err
	}
	var custom releaseCustom
	if f == nil || f.Custom == nil || json.Unmarshal(*f.Custom, &custom) != nil || custom.SHA256 != release.Spec.Sha256Hash {
		return nil, false, nil
	}
	if f.VerifyLengthHashes(w.old) == nil {
		return w, false, nil
	}
	for _, d := range release.Spec.Deltas {
		w.gone = append(w.gone, d.File)
	}
	release.Spec.Deltas = nil
	return w, true, nil
}

// fill makes the new release.json. What it says of the archives is measured again: it is about to be signed.
func (w *rewrite) fill(ctx context.Context, t *transaction) error {
	if _, err := t.repo.measureAll(ctx, w.folder, w.release.Spec); err != nil {
		return fmt.Errorf("%s: %w", w.release, err)
	}
	var err error
	w.data, err = amend(w.old, w.release.Spec)
	if err != nil {
		return fmt.Errorf("%s: %w", w.release, err)
	}
	return nil
}

// sign lists what becomes of the release's files.
func (w *rewrite) sign(t *transaction) error {
	if t.base == nil {
		return nil
	}
	for _, file := range w.dropped() {
		t.files[w.folder+"/"+file] = nil
	}
	files, err := signedFiles(product(t.base.root()), w.release, w.data)
	maps.Copy(t.files, files)
	return err
}

// commitRewrites publishes releases that got other deltas, together with what else the transaction has. The files of new deltas are
// there already. If it fails release.json becomes what is signed; should even that fail, or the process
// die here, clients find a release.json that is not the signed one, keep what they have, and the next run
// finishes it.
func (t *transaction) commitRewrites(ctx context.Context, list []*rewrite) error {
	for _, w := range list {
		if err := w.sign(t); err != nil {
			return err
		}
	}
	err := t.putRewrites(ctx, list)
	if err == nil {
		err = t.commit(ctx)
	}
	if err != nil {
		return errors.Join(err, t.restore(context.WithoutCancel(ctx), list))
	}
	for _, w := range list {
		for _, file := range w.dropped() {
			if err := t.repo.store.Delete(ctx, w.folder+"/"+file); err != nil {
				return fmt.Errorf("removing a delta that nobody uses: %w", err)
			}
		}
	}
	return nil
}

func (t *transaction) putRewrites(ctx context.Context, list []*rewrite) error {
	for _, w := range list {
		if err := t.repo.swap(ctx, w.folder+"/"+specName, w.old, w.data); err != nil {
			return err
		}
	}
	return nil
}

// restore puts back each release.json that is signed as it was.
func (t *transaction) restore(ctx context.Context, list []*rewrite) error {
	if t.base == nil || len(list) == 0 {
		return nil // each is whole, old or new
	}
	now, err := t.repo.load(ctx, false)
	if err != nil {
		return err
	}
	for _, w := range list {
		f, err := now.signedFile(ctx, w.folder+"/"+specName)
		if err != nil {
			return err
		}
		if f == nil || f.VerifyLengthHashes(w.old) != nil || bytes.Equal(w.old, w.data) {
			continue
		}
		// It may not have been replaced yet.
		is, err := t.repo.read(ctx, w.folder+"/"+specName, updater.SpecLimit)
		if err == nil && !bytes.Equal(is, w.old) {
			err = t.repo.swap(ctx, w.folder+"/"+specName, w.data, w.old)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enough makes sure that a change can be published at once, without another maintainer's signature: release.json cannot
// wait for one.
func (t *transaction) enough() error {
	if t.base == nil {
		return nil
	}
	enough, err := t.repo.ready(t.base.root(), metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP)
	if err == nil && !enough {
		err = fmt.Errorf("%w: deltas of releases that are there need as many as the thresholds ask for; those of a new release come with it", ErrKeys)
	}
	return err
}
