package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/channel"
)

// ErrNamed: a channel names the release. Take it out of the channel with update-repo channel drop, or leave it.
var ErrNamed = errors.New("a channel names the release")

// IgnoreChannels lets Remove and Prune remove what channels name. Hosts that are offered it then find
// nothing, and stay as they are.
func (r *Repo) IgnoreChannels() { r.ignoreChannels = true }

// namedBy are the channels that name a version, by version. Those of a damaged channel are not known, which is an error.
func (r *Repo) namedBy(ctx context.Context) (map[string][]string, error) {
	named := map[string][]string{}
	if r.ignoreChannels {
		return named, nil
	}
	list, err := r.Channels(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		for _, release := range d.Releases {
			named[release.Version] = append(named[release.Version], d.Name)
		}
	}
	return named, nil
}

// CheckChannels tells what is wrong with channels: problems that clients trip over, and what is to be looked at.
func (r *Repo) CheckChannels(ctx context.Context) (problems, warnings []string, err error) {
	base, err := r.load(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	names, err := r.channelNames(ctx, base)
	if err != nil {
		return nil, nil, err
	}
	here, err := r.presence(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := &transaction{repo: r, base: base}
	for _, name := range names {
		if left, err := here.leaves(ctx, base, channelName(name)); left || err != nil {
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		d, err := r.channel(ctx, base, name)
		if errors.Is(err, ErrUntrusted) || errors.Is(err, channel.ErrInvalid) || errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err.Error())
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("channel %s: %w", name, err)
		}
		p, w, err := t.checkChannel(ctx, d, here)
		if err != nil {
			return nil, nil, err
		}
		problems, warnings = append(problems, p...), append(warnings, w...)
	}
	w, err := r.strayChannels(ctx, base)
	return problems, append(warnings, w...), err
}

// checkChannel compares what a channel lists with what is there.
func (t *transaction) checkChannel(ctx context.Context, d *Channel, here *presence) (problems, warnings []string, err error) {
	for _, release := range d.Releases {
		there, err := t.platforms(ctx, release.Version)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range release.Platforms {
			left, err := here.leaves(ctx, t.base, release.Version+"/"+p+"/"+specName)
			if err != nil {
				return nil, nil, err
			}
			if left || slices.Contains(there, p) {
				continue
			}
			what := fmt.Sprintf("channel %s names %s for %s, which is not there", d.Name, release.Version, p)
			if release.State == channel.Offered {
				problems = append(problems, what)
			} else {
				warnings = append(warnings, what)
			}
		}
		for _, p := range there {
			if !slices.Contains(release.Platforms, p) && release.State == channel.Offered {
				warnings = append(warnings, fmt.Sprintf("channel %s does not offer %s for %s, which is there: update-repo promote %s %s", d.Name, release.Version, p, release.Version, d.Name))
			}
		}
	}
	return problems, warnings, nil
}

// strayChannels finds documents that nobody signed, and plain ones that are not the signed ones.
func (r *Repo) strayChannels(ctx context.Context, base *signed) (warnings []string, err error) {
	if base == nil {
		return nil, nil
	}
	entries, err := r.store.List(ctx, channelsFolder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, sum, ok := channelOf(e.Name)
		if !ok || sum != "" {
			continue
		}
		f, err := base.signedFile(ctx, channelName(name))
		if err != nil {
			return nil, err
		}
		if f == nil {
			warnings = append(warnings, fmt.Sprintf("%s is not signed: update-repo promote makes a channel", e.Name))
			continue
		}
		if err := r.checkFile(ctx, e.Name, f); err != nil {
			warnings = append(warnings, fmt.Sprintf("%s is not the signed one; the next change of the channel mends it", e.Name))
		}
	}
	return warnings, nil
}

// servedName is where clients find a signed file.
func servedName(path string, f *metadata.TargetFiles) string {
	if name, sum, ok := channelOf(path); ok && sum == "" && strings.HasPrefix(path, channelsFolder) {
		return hashedName(name, f.Hashes["sha256"].String())
	}
	return path
}
