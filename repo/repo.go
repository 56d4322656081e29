// Package repo makes and keeps update repositories: the publisher's side of
// package updater. The command update-repo is a thin layer over it.
//
// A repository is a [store.Store] of immutable files:
//
//	VERSION/OS/ARCH/NAME.bz2
//	VERSION/OS/ARCH/NAME.zst
//	VERSION/OS/ARCH/NAME.FROM.delta
//	VERSION/OS/ARCH/release.json   written last, it makes the release visible
//	channels/NAME.json             to whom each release is offered, the one file that changes
package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// Repo is an update repository.
type Repo struct {
	store store.Store
	signing
	ignoreChannels bool
	partial        bool
}

// Open returns the repository in a store. An empty store is an empty repository.
func Open(s store.Store) *Repo { return &Repo{store: s} }

const specName = "release.json"

// Release is one version for one platform.
type Release struct {
	Version string        `json:"version"`
	OS      string        `json:"os"`
	Arch    string        `json:"arch"`
	Spec    *updater.Spec `json:"release,omitempty"`
	Err     string        `json:"error,omitempty"` // why release.json could not be read
}

func (r Release) String() string { return r.Version + " for " + r.OS + "/" + r.Arch }

// List returns all releases, sorted by path. A release whose release.json is
// malformed is listed with its error.
func (r *Repo) List(ctx context.Context) ([]Release, error) {
	entries, err := r.store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var list []Release
	for _, e := range entries {
		parts := strings.Split(e.Name, "/")
		if len(parts) != 4 || parts[3] != specName {
			continue
		}
		release := Release{Version: parts[0], OS: parts[1], Arch: parts[2]}
		if _, err := updater.Folder(parts[0], parts[1], parts[2]); err != nil {
			continue
		}
		release.Spec, err = r.spec(ctx, e.Name)
		if err != nil {
			release.Err = err.Error()
		}
		list = append(list, release)
	}
	return list, nil
}

func (r *Repo) spec(ctx context.Context, name string) (*updater.Spec, error) {
	_, spec, err := r.specBytes(ctx, name)
	return spec, err
}

// specBytes reads release.json; its bytes also where they are malformed.
func (r *Repo) specBytes(ctx context.Context, name string) ([]byte, *updater.Spec, error) {
	data, err := r.read(ctx, name, updater.SpecLimit)
	if err != nil {
		return nil, nil, err
	}
	spec, err := updater.ParseSpec(data)
	return data, spec, err
}

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
		return 0, fmt.Errorf("there is no release %s for %s/%s in %s", version, goos, arch, r.store)
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
	return len(entries), r.deleteRelease(ctx, Release{Version: version, OS: goos, Arch: arch})
}

// putSpec writes release.json, which was as given, and returns its bytes.
func (r *Repo) putSpec(ctx context.Context, folder string, was []byte, spec *updater.Spec) ([]byte, error) {
	data, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	return data, r.swap(ctx, folder+"/"+specName, was, data)
}
