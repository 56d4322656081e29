package repo

import (
	"context"
	"fmt"
	"slices"

	updater "github.com/choria-io/go-updater"
)

// DeltaUpdate says what MakeDeltas does.
type DeltaUpdate struct {
	Deltas
	Version string // of the releases that get deltas, all if empty

	// Progress is as in Addition.
	Progress func(file string, done, total int64)
}

// DeltaChange is what became of a release's deltas.
type DeltaChange struct {
	*Release
	Made    int `json:"made"`
	Dropped int `json:"dropped"` // no release has their base any more
}

// MakeDeltas makes the deltas that are missing, and drops those whose base no release has any more. In a signed
// repository all of it becomes visible together. It returns the releases that changed.
//
// Errors: ErrKeys unless the keys at hand are enough to publish, and those of the store.
func (r *Repo) MakeDeltas(ctx context.Context, u DeltaUpdate) ([]DeltaChange, error) {
	t, err := r.transaction(ctx)
	if err != nil {
		return nil, err
	}
	defer t.end()
	if err := t.enough(); err != nil {
		return nil, err
	}
	list, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	if u.Version != "" && !slices.ContainsFunc(list, func(r Release) bool { return r.Version == u.Version }) {
		return nil, refused(listAdvice, "there is no release %s in %s", u.Version, r.store)
	}
	hashes := hashesOf(list)
	changes := []DeltaChange{}
	var rewrites []*rewrite
	for i := range list {
		if list[i].Spec == nil || u.Version != "" && list[i].Version != u.Version {
			continue
		}
		change, w, err := t.redelta(ctx, &list[i], hashes, u)
		if err != nil {
			return nil, err
		}
		if w != nil {
			changes, rewrites = append(changes, change), append(rewrites, w)
		}
	}
	return changes, t.commitRewrites(ctx, rewrites)
}

// redelta brings the deltas of one release up to date. It returns nil if nothing changes.
func (t *transaction) redelta(ctx context.Context, release *Release, hashes map[string]bool, u DeltaUpdate) (DeltaChange, *rewrite, error) {
	change := DeltaChange{Release: release}
	w, unfinished, err := t.openRewrite(ctx, release)
	if err != nil {
		return change, nil, fmt.Errorf("%s: %w", release, err)
	}
	if w == nil {
		u.note("no deltas to %s: it is not signed; add it again, or remove it", release)
		return change, nil, nil
	}
	w.dropBaseless(hashes)
	m := deltaMaker{
		repo: t.repo, to: release, name: archiveName(release.Spec), want: u.Deltas, progress: u.Progress,
		fresh: func() ([]byte, error) {
			if release.Spec.Size == 0 { // v0.1.0 wrote none, and neither those of its archives
				if _, err := t.repo.measureAll(ctx, w.folder, release.Spec); err != nil {
					return nil, err
				}
			}
			return t.repo.binary(ctx, release)
		},
	}
	if change.Made, err = m.make(ctx); err != nil {
		return change, nil, fmt.Errorf("%s: %w", release, err)
	}
	change.Dropped = len(w.dropped())
	if change.Made+change.Dropped == 0 && !unfinished {
		return change, nil, nil
	}
	return change, w, w.fill(ctx, t)
}

// dropBaseless drops the deltas whose base no release of the platform has.
func (w *rewrite) dropBaseless(hashes map[string]bool) {
	w.release.Spec.Deltas = slices.DeleteFunc(w.release.Spec.Deltas, func(d updater.Delta) bool {
		if hashes[w.release.OS+"/"+w.release.Arch+" "+d.From] {
			return false
		}
		w.gone = append(w.gone, d.File)
		return true
	})
}

// hashesOf are the binaries of releases, by platform and hash.
func hashesOf(list []Release) map[string]bool {
	hashes := map[string]bool{}
	for _, r := range list {
		if r.Spec != nil {
			hashes[r.OS+"/"+r.Arch+" "+r.Spec.Sha256Hash] = true
		}
	}
	return hashes
}

// Baseless returns the files of deltas whose base no release has any more: programs that have that binary can use them, but
// nobody can check them. MakeDeltas drops them.
func (r *Repo) Baseless(ctx context.Context) ([]string, error) {
	list, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	var files []string
	hashes := hashesOf(list)
	for i := range list {
		if list[i].Spec == nil {
			continue
		}
		w := rewrite{release: &list[i]}
		w.dropBaseless(hashes)
		for _, file := range w.gone {
			files = append(files, list[i].Version+"/"+list[i].OS+"/"+list[i].Arch+"/"+file)
		}
	}
	return files, nil
}
