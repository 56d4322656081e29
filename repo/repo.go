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
	"bytes"
	"context"
	"encoding/json"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// Repo is an update repository. Beside the errors that its methods name they return those of its store, and of a context that ended.
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
	There   bool          `json:"there,omitempty"` // Add found it as it is to be, and changed nothing
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

// specBytes reads release.json; its bytes also where they are malformed. The error wraps errRemoving where the release is being
// removed.
func (r *Repo) specBytes(ctx context.Context, name string) ([]byte, *updater.Spec, error) {
	data, err := r.read(ctx, name, updater.SpecLimit)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Equal(data, removing) {
		return data, nil, errRemoving
	}
	spec, err := updater.ParseSpec(data)
	return data, spec, err
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
