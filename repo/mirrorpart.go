package repo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/version"
)

// Part says which releases of a repository a mirror takes. The zero value takes all. A release is taken whole, with all its
// deltas, or not at all; metadata is always taken whole, since it is signed so.
type Part struct {
	// Platforms are OS/ARCH, each with its variants; none takes all.
	Platforms []string

	// Channels are those that are taken, with the versions that they name; none takes all channels.
	Channels []string

	// Keep takes the newest versions of each platform, so many, beside those that the channels name and those that cannot be
	// ordered. With 0 Channels alone decides.
	Keep int
}

func (p Part) all() bool { return len(p.Platforms) == 0 && len(p.Channels) == 0 && p.Keep == 0 }

// platform tells whether a platform is taken.
func (p Part) platform(goos, arch string) bool {
	return len(p.Platforms) == 0 || slices.ContainsFunc(p.Platforms, func(want string) bool {
		os, of, _ := strings.Cut(want, "/")
		return goos == os && (arch == of || strings.HasPrefix(arch, of+"-"))
	})
}

// placeOf is the release that a file belongs to; ok is false for other files.
func placeOf(path string) (r Release, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) != 4 {
		return r, false
	}
	if _, err := updater.Folder(parts[0], parts[1], parts[2]); err != nil {
		return r, false
	}
	return Release{Version: parts[0], OS: parts[1], Arch: parts[2]}, true
}

// selection is a Part of one repository.
type selection struct {
	part   Part
	named  map[string]bool            // versions that the channels name
	newest map[string]map[string]bool // by platform, those that Keep takes
}

// choose finds out which releases, whose files are given by path, a part takes. channels are those of the part.
func (p Part) choose(paths map[string]*metadata.TargetFiles, channels []*Channel) (*selection, error) {
	s := &selection{part: p, named: map[string]bool{}, newest: map[string]map[string]bool{}}
	for _, d := range channels {
		for _, r := range d.Releases {
			s.named[r.Version] = true
		}
	}
	versions := map[string][]string{}
	for path := range paths {
		if r, ok := placeOf(path); ok && strings.HasSuffix(path, "/"+specName) {
			versions[r.OS+"/"+r.Arch] = append(versions[r.OS+"/"+r.Arch], r.Version)
		}
	}
	for platform, list := range versions {
		s.newest[platform] = map[string]bool{}
		for i, v := range newestFirst(list) {
			s.newest[platform][v] = i < p.Keep
		}
	}
	for _, want := range p.Platforms {
		one := Part{Platforms: []string{want}}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(versions)), func(is string) bool {
			goos, arch, _ := strings.Cut(is, "/")
			return one.platform(goos, arch)
		}) {
			return nil, fmt.Errorf("there is no release for %s; there are some for %s", want, strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
		}
	}
	return s, nil
}

// takes tells whether a file is one of the part's.
func (s *selection) takes(path string) bool {
	if name, _, ok := channelOf(path); ok {
		return len(s.part.Channels) == 0 || slices.Contains(s.part.Channels, name)
	}
	r, ok := placeOf(path)
	switch {
	case !ok:
		return true
	case !s.part.platform(r.OS, r.Arch):
		return false
	case len(s.part.Channels) == 0 && s.part.Keep == 0, s.named[r.Version]:
		return true
	}
	return s.part.Keep > 0 && (s.newest[r.OS+"/"+r.Arch][r.Version] || !version.Ordered(r.Version))
}

// take leaves out what the part does not take, and returns what is left. What the destination has already of a release or a channel is gone on
// with, unless it is to be pruned: the new metadata would contradict what was copied by the old one.
func (m *mirror) take(ctx context.Context, files map[string]*metadata.TargetFiles) (map[string]*metadata.TargetFiles, error) {
	var channels []*Channel
	if !m.o.Part.all() {
		var err error
		if channels, err = m.channels(ctx); err != nil {
			return nil, err
		}
	}
	s, err := m.o.Part.choose(files, channels)
	if err != nil {
		return nil, err
	}
	held := m.held()
	taken := maps.Clone(files)
	maps.DeleteFunc(taken, func(path string, _ *metadata.TargetFiles) bool { return !s.takes(path) && !held[groupOf(path)] })
	m.result.Left = len(files) - len(taken)
	return taken, nil
}

// held are the releases and channels of which the destination has any file and keeps it.
func (m *mirror) held() map[string]bool {
	held := map[string]bool{}
	if m.o.Prune {
		return held
	}
	for name := range m.there {
		if group := groupOf(name); group != "" {
			held[group] = true
		}
	}
	return held
}

// groupOf names the release or the channel that a file belongs to, "" if neither.
func groupOf(name string) string {
	if r, ok := placeOf(name); ok {
		return r.String()
	}
	if c, _, ok := channelOf(name); ok {
		return channelName(c)
	}
	return ""
}

// channels are those that the part names, or all.
func (m *mirror) channels(ctx context.Context) (list []*Channel, err error) {
	r := m.reading(m.seen)
	names := m.o.Part.Channels
	if len(names) == 0 {
		if names, err = r.channelNames(ctx, m.now); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		d, err := r.channel(ctx, m.now, name)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}
