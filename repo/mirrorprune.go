package repo

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/exe"
)

// prune removes what nobody is led to any more. Of releases that is release.json first, as [Repo.Remove] does. Metadata stays, and what
// is none of a repository's files.
func (m *mirror) prune(ctx context.Context, taken map[string]*metadata.TargetFiles) error {
	if !m.o.Prune {
		return nil
	}
	gone := m.forgotten(taken)
	slices.SortStableFunc(gone, func(a, b string) int {
		x, y := strings.HasSuffix(a, "/"+specName), strings.HasSuffix(b, "/"+specName)
		switch {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return 0
	})
	m.result.Removed = gone
	if m.o.Dry {
		return nil
	}
	for _, name := range gone {
		if err := m.to.store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// forgotten are the files of releases and channels that are not among those taken. The document of a channel that was the current one until now
// stays with the new one: a client may be on its way to it.
func (m *mirror) forgotten(taken map[string]*metadata.TargetFiles) []string {
	keep := map[string]bool{}
	for file, f := range taken {
		keep[file], keep[servedName(file, f)] = true, true
	}
	for file, f := range m.listed {
		if _, _, ok := channelOf(file); ok && taken[file] != nil {
			keep[servedName(file, f)] = true
		}
	}
	gone := []string{}
	for _, name := range slices.Sorted(maps.Keys(m.there)) {
		_, _, isChannel := channelOf(name)
		if (isChannel || m.ofRelease(name)) && !keep[name] {
			gone = append(gone, name)
		}
	}
	return gone
}

// ofRelease tells whether a file lies where only those of a release do: one that is or was published, or what is left of one for a
// platform that there is. A web site in the same folder has files as deep.
func (m *mirror) ofRelease(name string) bool {
	r, ok := placeOf(name)
	if !ok {
		return false
	}
	spec := path.Join(r.Version, r.OS, r.Arch, specName)
	_, there := m.there[spec]
	base, _, _, _ := channel.Variant(r.Arch)
	return there || m.listed[spec] != nil || exe.Known(r.OS, base) == nil
}
