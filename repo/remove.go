package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// removing stands in the place of release.json while a release's files go from a store that has no lock. It is no release to any client,
// and keeps publishers of the same release out, since their release.json depends on what was there.
var removing = []byte("{\"removing\": true}\n")

var errRemoving = fmt.Errorf("%w: it removes this release; if it was interrupted, update-repo remove ends that", ErrBusy)

// Remove removes a release: from the signed metadata first, then release.json, so that no reader is sent to
// files that are gone. It returns how many files that were. What a channel names stays: ErrNamed.
func (r *Repo) Remove(ctx context.Context, version, goos, arch string) (int, error) {
	folder, err := updater.Folder(version, goos, arch)
	if err != nil {
		return 0, err
	}
	t, err := r.transaction(ctx)
	if err != nil {
		return 0, err
	}
	defer t.end()
	entries, err := r.store.List(ctx, folder+"/")
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 {
		return 0, refused(listAdvice, "there is no release %s for %s/%s in %s", version, goos, arch, r.store)
	}
	named, err := r.namedBy(ctx)
	if err != nil {
		return 0, err
	}
	if by := named[version]; len(by) > 0 {
		return 0, fmt.Errorf("%s: %w: %s", version, ErrNamed, strings.Join(by, ", "))
	}
	if err := t.withdraw(ctx, folder); err != nil {
		return 0, err
	}
	return len(entries), t.delete(ctx, []Release{{Version: version, OS: goos, Arch: arch}})
}

// delete removes the files of releases that the metadata has forgotten. Where a lock keeps others out, release.json
// goes first, so that no reader is sent to files that are gone.
func (t *transaction) delete(ctx context.Context, releases []Release) error {
	if _, ok := t.repo.store.(store.Locker); !ok {
		if err := t.mark(ctx, releases); err != nil {
			return err
		}
	}
	for _, release := range releases {
		if err := t.repo.deleteFiles(ctx, release); err != nil {
			return err
		}
	}
	return nil
}

// mark writes removing in the place of each release.json. Who has published one meanwhile keeps it, and so does who is about to have
// it signed: then all is put back, and nothing is removed.
func (t *transaction) mark(ctx context.Context, releases []Release) (err error) {
	was := map[string][]byte{}
	defer func() {
		for name, data := range was {
			if err != nil {
				err = errors.Join(err, t.repo.unmark(ctx, name, data))
			}
		}
	}()
	for _, release := range releases {
		folder, err := updater.Folder(release.Version, release.OS, release.Arch)
		if err != nil {
			return err
		}
		name := folder + "/" + specName
		data, _, err := t.repo.specBytes(ctx, name)
		if errors.Is(err, errRemoving) {
			continue // what was interrupted goes on
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, updater.ErrRejected) {
			return err
		}
		if err := t.repo.swap(ctx, name, data, removing); err != nil {
			return err
		}
		was[name] = data
	}
	return t.settleMarks(ctx, releases)
}

// settleMarks makes sure that nobody signs what is marked: who began before the new timestamp cannot publish any more, and who begins
// after it sees the mark.
func (t *transaction) settleMarks(ctx context.Context, releases []Release) error {
	if t.base == nil {
		return nil
	}
	var folders []string
	for _, release := range releases {
		folder, err := updater.Folder(release.Version, release.OS, release.Arch)
		if err != nil {
			return err
		}
		folders = append(folders, folder)
	}
	if err := t.reload(ctx, folders...); err != nil {
		return err
	}
	return t.repo.renewTimestamp(ctx, t.base)
}

// unmark puts back what was marked, which nobody else writes over.
func (r *Repo) unmark(ctx context.Context, name string, was []byte) error {
	if was == nil {
		return r.store.Delete(ctx, name)
	}
	return r.swap(ctx, name, removing, was)
}

// deleteFiles removes a release's files, release.json first unless it is marked: then the mark goes last.
func (r *Repo) deleteFiles(ctx context.Context, release Release) error {
	folder, err := updater.Folder(release.Version, release.OS, release.Arch)
	if err != nil {
		return err
	}
	entries, err := r.store.List(ctx, folder+"/")
	if err != nil {
		return err
	}
	spec := folder + "/" + specName
	names := []string{spec}
	for _, e := range entries {
		if e.Name != spec {
			names = append(names, e.Name)
		}
	}
	if _, _, err := r.specBytes(ctx, spec); errors.Is(err, errRemoving) {
		names = append(names[1:], spec)
	}
	for _, name := range names {
		if err := r.store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
