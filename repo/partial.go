package repo

import (
	"context"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Partial has Audit and CheckChannels take the repository for a mirror of a [Part]: metadata that names releases and channels which are not there
// at all is no damage. A release or channel that is there has to be whole all the same.
func (r *Repo) Partial() { r.partial = true }

// presence is which releases and files a store has, by listing it once.
type presence struct {
	partial bool
	folders map[string]bool // of releases of which any file is there
	files   map[string]bool
}

func (r *Repo) presence(ctx context.Context) (*presence, error) {
	p := &presence{partial: r.partial, folders: map[string]bool{}, files: map[string]bool{}}
	if !r.partial {
		return p, nil
	}
	entries, err := r.store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		p.files[e.Name] = true
		if place, ok := placeOf(e.Name); ok {
			p.folders[place.String()] = true
		}
	}
	return p, nil
}

// leftOut tells whether a file that is signed belongs to what the part does not take.
func (p *presence) leftOut(path string, f *metadata.TargetFiles) bool {
	if !p.partial {
		return false
	}
	if place, ok := placeOf(path); ok {
		return !p.folders[place.String()]
	}
	_, _, channel := channelOf(path)
	return channel && !p.files[path] && !p.files[servedName(path, f)]
}

// leaves tells whether a path is signed, and left out.
func (p *presence) leaves(ctx context.Context, base *signed, path string) (bool, error) {
	if !p.partial || base == nil {
		return false, nil
	}
	f, err := base.signedFile(ctx, path)
	return f != nil && p.leftOut(path, f), err
}
