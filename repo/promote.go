package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/version"
)

// ChannelChange is one change of a channel: [Promotion], [Rollout], [Pause], [Resume], [Withdrawal], [Recall], [Floor],
// [Note], [Drop].
type ChannelChange interface {
	apply(e *channelEdit) error
}

// channelEdit is a channel that is being changed.
type channelEdit struct {
	ctx   context.Context
	t     *transaction
	doc   *Channel
	now   time.Time
	notes []string
}

func (e *channelEdit) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// find is a release that has to be in the channel.
func (e *channelEdit) find(v string) (*ChannelRelease, error) {
	if r := e.doc.Find(v); r != nil {
		return r, nil
	}
	return nil, refused(fmt.Sprintf("it lists %s; update-repo promote %s %s adds it", e.listed(), v, e.doc.Name),
		"channel %s has no release %s", e.doc.Name, v)
}

func (e *channelEdit) listed() string {
	var list []string
	for _, r := range e.doc.Releases {
		list = append(list, r.Version)
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// present are the platforms of a version, of which there has to be one.
func (e *channelEdit) present(v string) ([]string, error) {
	platforms, err := e.t.platforms(e.ctx, v)
	if err != nil {
		return nil, err
	}
	if len(platforms) == 0 {
		return nil, refused("publish it with update-repo add; "+listAdvice, "there is no release %s in %s", v, e.t.repo.store)
	}
	return platforms, nil
}

// keptReleases are how many a channel lists; a promotion drops older ones that nothing needs.
const keptReleases = 32

// Promotion offers a release.
type Promotion struct {
	Version string

	// Rollout is the share of hosts that it is offered to, in hundredths of a percent, from 0 to 10000. Nil is all of them, or what
	// it was if the channel has the release.
	Rollout *int

	Groups      []string  // of hosts; nil for all, or as it was
	From, Until time.Time // zero for no bound, or as it was
	Through     string    // what hosts below it have to run first; empty for none, or as it was
	Critical    bool      // not delayed by hold-off and splay
	Note        string    // empty for none, or as it was

	// Force offers what was withdrawn or recalled, lowers the rollout, and leaves out platforms that the releases before have.
	Force bool
}

func (p Promotion) apply(e *channelEdit) error {
	platforms, err := e.present(p.Version)
	if err != nil {
		return err
	}
	if err := e.checkPlatforms(p.Version, platforms, p.Force); err != nil {
		return err
	}
	r := e.doc.Find(p.Version)
	there := r != nil
	if !there {
		r = e.insert(channel.Release{Version: p.Version, Rollout: channel.Everyone})
		if p.Rollout != nil {
			r.Rollout = 0
		}
	}
	if err := p.revive(e, r); err != nil {
		return err
	}
	r.Platforms, r.Since = platforms, e.now
	if err := p.set(e, r); err != nil {
		return err
	}
	if there && p.Rollout == nil && r.Rollout < channel.Everyone {
		e.note("%s stays at %s %%; --rollout 100 offers it to all", r.Version, channel.FormatPercent(r.Rollout))
	}
	e.trim()
	return nil
}

// revive offers a release again that was stopped.
func (p Promotion) revive(e *channelEdit, r *ChannelRelease) error {
	if r.State == channel.Paused {
		return refused(fmt.Sprintf("update-repo resume %s %s", r.Version, e.doc.Name), "%s is paused", r.Version)
	}
	if r.State != channel.Offered && !p.Force {
		return refused("publish what is right under a new version, or offer it again with --force", "%s is %s", r.Version, r.State)
	}
	r.State, r.BackTo = channel.Offered, ""
	return nil
}

func (p Promotion) set(e *channelEdit, r *ChannelRelease) error {
	if p.Rollout != nil {
		if err := setRollout(r, *p.Rollout, p.Force); err != nil {
			return err
		}
	}
	if p.Groups != nil {
		r.Groups = p.Groups
	}
	if !p.From.IsZero() {
		r.From = p.From
	}
	if !p.Until.IsZero() {
		r.Until = p.Until
	}
	if !r.Until.IsZero() && !r.Until.After(e.now) {
		return refused("give a later --until", "%s would be offered until %s, which has passed", r.Version, date(r.Until))
	}
	if !r.Until.IsZero() && !r.Until.After(r.From) {
		return refused("give a later --until, or an earlier --at", "%s would be offered until before it is offered", r.Version)
	}
	if p.Through != "" {
		if err := e.setThrough(r, p.Through); err != nil {
			return err
		}
	}
	r.Critical = r.Critical || p.Critical
	if p.Note != "" {
		r.Note = p.Note
	}
	return nil
}

// checkPlatforms makes sure that hosts are not left behind because a build was forgotten.
func (e *channelEdit) checkPlatforms(v string, platforms []string, force bool) error {
	newest := e.newestOffered(v)
	if newest == nil || force {
		return nil
	}
	for _, p := range newest.Platforms {
		if !slices.Contains(platforms, p) {
			return refused("publish it with update-repo add, or leave those hosts where they are with --force",
				"%s is not there for %s, for which the channel has %s", v, p, newest.Version)
		}
	}
	return nil
}

// newestOffered is the newest release that all are offered, other than v.
func (e *channelEdit) newestOffered(v string) *ChannelRelease {
	var newest *ChannelRelease
	for i := range e.doc.Releases {
		r := &e.doc.Releases[i]
		if r.Version != v && r.State == channel.Offered && r.Rollout > 0 && (newest == nil || e.doc.Older(newest.Version, r.Version)) {
			newest = r
		}
	}
	return newest
}

// insert adds a release where its version belongs: before the first that is newer as far as that can be told, else last.
func (e *channelEdit) insert(r ChannelRelease) *ChannelRelease {
	at := slices.IndexFunc(e.doc.Releases, func(other ChannelRelease) bool { return version.Older(r.Version, other.Version) })
	if at < 0 {
		at = len(e.doc.Releases)
	} else {
		e.note("%s is older than %s, which the channel has: hosts that run that stay there", r.Version, e.doc.Releases[at].Version)
	}
	e.doc.Releases = slices.Insert(e.doc.Releases, at, r)
	return &e.doc.Releases[at]
}

// trim drops the oldest releases that nothing needs. What has no number stays, since the list is what orders it.
func (e *channelEdit) trim() {
	for i := 0; len(e.doc.Releases) > keptReleases && i < len(e.doc.Releases)-keptReleases/2; {
		r := e.doc.Releases[i]
		if e.neededBy(r.Version) != "" || r.State == channel.Recalled || !version.Ordered(r.Version) {
			i++
			continue
		}
		e.note("the channel lists %d releases; %s is dropped from it", len(e.doc.Releases), r.Version)
		e.doc.Releases = slices.Delete(e.doc.Releases, i, i+1)
	}
}

// neededBy says what else in the channel rests on a release, "" if nothing does.
func (e *channelEdit) neededBy(v string) string {
	if e.doc.Floor == v {
		return "the floor is " + v
	}
	for _, r := range e.doc.Releases {
		switch v {
		case r.BackTo:
			return r.Version + " is recalled to it"
		case r.Through:
			return "the way to " + r.Version + " is through it"
		}
	}
	return ""
}

// setRollout changes a share.
func setRollout(r *ChannelRelease, share int, force bool) error {
	switch {
	case share < 0 || share > channel.Everyone:
		return refused("give a percentage from 0 to 100", "a rollout of %s %%", channel.FormatPercent(share))
	case share < r.Rollout && !force:
		return refused("to stop it, pause or withdraw it; --force lowers the share for those who do not have it yet",
			"%s is offered to %s %% already, and who has it keeps it", r.Version, channel.FormatPercent(r.Rollout))
	}
	r.Rollout = share
	return nil
}
