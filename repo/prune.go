package repo

import (
	"context"
	"fmt"
	"slices"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/version"
)

// Pruned is what Prune removes.
type Pruned struct {
	Releases  []Release     `json:"releases"`
	Deltas    []DeltaChange `json:"deltas"`    // kept releases with deltas from those, which go as well
	Unordered []Release     `json:"unordered"` // they stay: their versions cannot be compared
	Named     []Release     `json:"named"`     // they stay though they are older: a channel names them
}

// Prune removes all but the newest keep versions of each platform, and deltas whose base no release has any more. Versions that
// are no numbers with dots stay, and so do those that a channel names. With dry set it only tells what it would do.
//
// In a signed repository the metadata forgets the releases before their files go.
//
// Errors: ErrStaged if other maintainers have to sign; prune again after that. ErrWaiting, ErrKeys, and those of the store.
func (r *Repo) Prune(ctx context.Context, keep int, dry bool) (*Pruned, error) {
	if keep < 1 {
		return nil, fmt.Errorf("keeping %d versions would leave nothing", keep)
	}
	if dry {
		p, _, err := (&transaction{repo: r}).planPrune(ctx, keep)
		return p, err
	}
	t, err := r.transaction(ctx)
	if err != nil {
		return nil, err
	}
	defer t.end()
	p, rewrites, err := t.planPrune(ctx, keep)
	if err != nil {
		return nil, err
	}
	if len(rewrites) > 0 && t.enough() != nil {
		// release.json of those that stay cannot wait for signatures. MakeDeltas drops the deltas later.
		p.Deltas, rewrites = []DeltaChange{}, nil
	}
	for _, w := range rewrites {
		if err := w.fill(ctx, t); err != nil {
			return nil, err
		}
	}
	if err := t.forget(ctx, p.Releases); err != nil {
		return nil, err
	}
	if err := t.commitRewrites(ctx, rewrites); err != nil {
		return nil, err
	}
	return p, t.delete(ctx, p.Releases)
}

// planPrune finds out what goes.
func (t *transaction) planPrune(ctx context.Context, keep int) (*Pruned, []*rewrite, error) {
	list, err := t.repo.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	p := &Pruned{Releases: []Release{}, Deltas: []DeltaChange{}, Unordered: []Release{}, Named: []Release{}}
	named, err := t.repo.namedBy(ctx)
	if err != nil {
		return nil, nil, err
	}
	platforms := map[string][]string{}
	for _, r := range list {
		platforms[r.OS+"/"+r.Arch] = append(platforms[r.OS+"/"+r.Arch], r.Version)
	}
	for platform, versions := range platforms {
		platforms[platform] = newestFirst(versions)
	}
	var kept []Release
	for _, r := range list {
		newest := platforms[r.OS+"/"+r.Arch]
		switch {
		case !version.Ordered(r.Version):
			p.Unordered = append(p.Unordered, r)
		case slices.Index(newest, r.Version) < keep:
		case len(named[r.Version]) > 0:
			p.Named = append(p.Named, r)
		default:
			p.Releases = append(p.Releases, r)
			continue
		}
		kept = append(kept, r)
	}
	rewrites, err := t.baseless(ctx, p, kept)
	return p, rewrites, err
}

// baseless finds the deltas that no kept release is the base of.
func (t *transaction) baseless(ctx context.Context, p *Pruned, kept []Release) ([]*rewrite, error) {
	hashes := hashesOf(kept)
	var rewrites []*rewrite
	for i := range kept {
		if kept[i].Spec == nil {
			continue
		}
		w, unfinished, err := t.openRewrite(ctx, &kept[i])
		if err != nil {
			return nil, err
		}
		if w == nil {
			continue // nobody published it
		}
		if w.dropBaseless(hashes); len(w.gone) > 0 || unfinished {
			p.Deltas = append(p.Deltas, DeltaChange{Release: &kept[i], Dropped: len(w.dropped())})
			rewrites = append(rewrites, w)
		}
	}
	return rewrites, nil
}

// forget takes the files of releases out of what is signed.
func (t *transaction) forget(ctx context.Context, releases []Release) error {
	if t.base == nil {
		return nil
	}
	for _, release := range releases {
		folder, err := updater.Folder(release.Version, release.OS, release.Arch)
		if err != nil {
			return err
		}
		names, err := t.repo.filesOf(ctx, folder)
		if err != nil {
			return err
		}
		for _, name := range names {
			t.files[name] = nil
		}
	}
	return nil
}
