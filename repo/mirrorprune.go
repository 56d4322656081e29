package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
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
	for path, f := range taken {
		keep[path], keep[servedName(path, f)] = true, true
	}
	for path, f := range m.listed {
		if _, _, ok := channelOf(path); ok && taken[path] != nil {
			keep[servedName(path, f)] = true
		}
	}
	gone := []string{}
	for _, name := range slices.Sorted(maps.Keys(m.there)) {
		_, _, isChannel := channelOf(name)
		_, isRelease := placeOf(name)
		if (isRelease || isChannel) && !keep[name] {
			gone = append(gone, name)
		}
	}
	return gone
}
