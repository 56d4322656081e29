package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/store"
)

// runUnsigned copies a repository that nobody has signed: what its store lists, checked against what release.json says. A release appears when
// its release.json is written, a channel last.
func (m *mirror) runUnsigned(ctx context.Context) error {
	if _, ok := m.src.(lister); !ok {
		return fmt.Errorf("%s is %w: name the folder or bucket behind it, or sign it (update-repo init), which makes its metadata the list", m.src, ErrNotListable)
	}
	u := &unsigned{r: m.reading(m.src), files: map[string]*metadata.TargetFiles{}, data: map[string][]byte{}}
	if err := u.find(ctx); err != nil {
		return err
	}
	s, err := u.choose(m.o.Part)
	if err != nil {
		return err
	}
	taken := maps.Clone(u.files)
	maps.DeleteFunc(taken, func(path string, _ *metadata.TargetFiles) bool { return !s.takes(path) })
	m.result.Left = len(u.files) - len(taken)
	if err := m.goneBack(ctx, u, taken); err != nil {
		return err
	}
	if err := m.listUnsigned(ctx, u, taken); err != nil {
		return err
	}
	var artifacts, specs, channels []*mirrorFile
	for _, path := range slices.Sorted(maps.Keys(taken)) {
		f := &mirrorFile{path, path, taken[path]}
		_, _, isChannel := channelOf(path)
		switch {
		case isChannel:
			channels = append(channels, f)
		case strings.HasSuffix(path, "/"+specName):
			specs = append(specs, f)
		default:
			artifacts = append(artifacts, f)
		}
	}
	if err := m.bringAll(ctx, artifacts, specs, channels); err != nil {
		return err
	}
	return m.prune(ctx, taken)
}

// unsigned is a repository that is known by listing it.
type unsigned struct {
	r        *Repo
	files    map[string]*metadata.TargetFiles
	data     map[string][]byte // of the small ones
	channels []*Channel
}

// find reads every release.json and every channel.
func (u *unsigned) find(ctx context.Context) error {
	releases, err := u.r.List(ctx)
	if err != nil {
		return err
	}
	if len(releases) == 0 {
		return fmt.Errorf("there is no release in %s", u.r.store)
	}
	for i := range releases {
		if err := u.release(ctx, &releases[i]); err != nil {
			return fmt.Errorf("%s: %w", &releases[i], err)
		}
	}
	names, err := u.r.channelNames(ctx, nil)
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := u.r.channelData(ctx, nil, name)
		if err != nil {
			return err
		}
		d, err := channel.Parse(data)
		if err != nil {
			return fmt.Errorf("channel %s: %w", name, err)
		}
		u.channels = append(u.channels, d)
		u.small(channelName(name), data)
	}
	return nil
}

func (u *unsigned) small(path string, data []byte) {
	u.data[path] = data
	u.files[path] = &metadata.TargetFiles{Length: int64(len(data)), Hashes: sha256Of(data)}
}

// release lists the files of a release. What its release.json does not say of them, as those of v0.1.0 do not, is measured.
func (u *unsigned) release(ctx context.Context, r *Release) error {
	folder, err := updater.Folder(r.Version, r.OS, r.Arch)
	if err != nil {
		return err
	}
	data, spec, err := u.r.specBytes(ctx, folder+"/"+specName)
	if err != nil {
		return err
	}
	r.Spec = spec
	listed := slices.ContainsFunc(spec.Artifacts, func(a updater.Artifact) bool { return a.File == spec.BinaryPath })
	unknown := slices.ContainsFunc(spec.Artifacts, func(a updater.Artifact) bool { return a.Size == 0 || a.SHA256 == "" })
	if !listed || unknown || spec.Size == 0 {
		if _, err := u.r.measureAll(ctx, folder, spec); err != nil {
			return err
		}
	}
	files, err := signedFiles("", r, data)
	if err != nil {
		return err
	}
	maps.Copy(u.files, files)
	u.data[folder+"/"+specName] = data
	return nil
}

func (u *unsigned) choose(p Part) (*selection, error) {
	channels := u.channels
	if len(p.Channels) > 0 {
		channels = slices.DeleteFunc(slices.Clone(channels), func(d *Channel) bool { return !slices.Contains(p.Channels, d.Name) })
		for _, name := range p.Channels {
			if u.files[channelName(name)] == nil {
				return nil, fmt.Errorf("%w: %s in %s", ErrNoChannel, name, u.r.store)
			}
		}
	}
	return p.choose(u.files, channels)
}

// goneBack finds a channel that is older than the destination's: clients that have seen that would refuse it.
func (m *mirror) goneBack(ctx context.Context, u *unsigned, taken map[string]*metadata.TargetFiles) error {
	for _, d := range u.channels {
		name := channelName(d.Name)
		if _, there := m.there[name]; !there || taken[name] == nil {
			continue
		}
		data, err := m.to.read(ctx, name, channel.MaxSize)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrTooLarge) {
			return err
		}
		// One that is damaged is replaced.
		if was, perr := channel.Parse(data); err == nil && perr == nil && d.Serial < was.Serial {
			return fmt.Errorf("channel %s: serial %d of %s is %w: serial %d", d.Name, d.Serial, m.src, updater.ErrOlderMetadata, was.Serial)
		}
	}
	return nil
}

// listUnsigned finds the releases that the destination has with the same release.json: their files are what it says if they have the size that it
// says, since it is written last.
func (m *mirror) listUnsigned(ctx context.Context, u *unsigned, taken map[string]*metadata.TargetFiles) error {
	m.listed, m.calm = map[string]*metadata.TargetFiles{}, true
	same := map[string]bool{}
	for path := range taken {
		data := u.data[path]
		size, there := m.there[path]
		if data == nil || !there || size != int64(len(data)) {
			continue
		}
		is, err := m.to.read(ctx, path, size)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(is, data) {
			m.listed[path] = taken[path]
			same[strings.TrimSuffix(path, specName)] = true
		}
	}
	for path, f := range taken {
		if i := strings.LastIndexByte(path, '/'); same[path[:i+1]] {
			m.listed[path] = f
		}
	}
	return nil
}
