package repo

import (
	"fmt"
	"slices"

	"github.com/choria-io/go-updater/internal/channel"
)

// Rollout changes the share of hosts that a release is offered to.
type Rollout struct {
	Version string
	Share   int  // hundredths of a percent, 0 to 10000
	Force   bool // lower it
}

func (o Rollout) apply(e *channelEdit) error {
	r, err := e.find(o.Version)
	if err != nil {
		return err
	}
	if r.State != channel.Offered {
		advice := fmt.Sprintf("update-repo resume %s %s", r.Version, e.doc.Name)
		if r.State != channel.Paused {
			advice = fmt.Sprintf("update-repo promote %s %s --force offers it again", r.Version, e.doc.Name)
		}
		return refused(advice, "%s is %s", r.Version, r.State)
	}
	if o.Share > r.Rollout {
		r.Since = e.now
	}
	return setRollout(r, o.Share, o.Force)
}

// Pause offers a release to nobody new.
type Pause struct {
	Version string
	Force   bool // though it is the floor
}

func (p Pause) apply(e *channelEdit) error { return e.stop(p.Version, channel.Paused, p.Force) }

// Withdrawal offers a release to nobody. Those who have it keep it.
type Withdrawal struct {
	Version string
	Force   bool // though other releases rest on it
}

func (w Withdrawal) apply(e *channelEdit) error { return e.stop(w.Version, channel.Withdrawn, w.Force) }

func (e *channelEdit) stop(v string, state channel.State, force bool) error {
	r, err := e.find(v)
	if err != nil {
		return err
	}
	switch {
	case r.State == state:
		return refused("nothing is to be done", "%s is %s already", v, state)
	case r.State == channel.Recalled:
		return refused("nobody is offered it, and who has it goes back", "%s is recalled", v)
	case r.State == channel.Withdrawn:
		return refused(fmt.Sprintf("update-repo promote %s %s --force, then pause it", v, e.doc.Name), "%s is withdrawn", v)
	}
	if why := e.neededBy(v); why != "" && !force {
		return refused("change that first, or stop it all the same with --force", "%s cannot be %s: %s", v, state, why)
	}
	r.State = state
	return nil
}

// Resume offers a release again that was paused.
type Resume struct{ Version string }

func (s Resume) apply(e *channelEdit) error {
	r, err := e.find(s.Version)
	if err != nil {
		return err
	}
	if r.State != channel.Paused {
		return refused("update-repo channel show "+e.doc.Name+" shows what is", "%s is not paused", s.Version)
	}
	r.State, r.Since = channel.Offered, e.now
	return nil
}

// Recall has those who run a release go back to another.
type Recall struct {
	Version string
	To      string
	Force   bool // though To is not there for all platforms of Version
}

func (c Recall) apply(e *channelEdit) error {
	if c.To == c.Version {
		return refused("name another with --to", "%s cannot be recalled to itself", c.Version)
	}
	for _, v := range []string{c.Version, c.To} {
		if err := e.known(v); err != nil {
			return err
		}
	}
	to, r := e.doc.Find(c.To), e.doc.Find(c.Version)
	if err := e.checkWayBack(c, r, to); err != nil {
		return err
	}
	r.State, r.BackTo, r.Since = channel.Recalled, c.To, e.now
	return nil
}

// known has a version in the channel; one that is in the repository alone is offered to nobody.
func (e *channelEdit) known(v string) error {
	if e.doc.Find(v) != nil {
		return nil
	}
	platforms, err := e.present(v)
	if err != nil {
		return err
	}
	e.insert(channel.Release{Version: v, Platforms: platforms, Since: e.now})
	e.notes = nil
	e.note("%s was not in the channel; it is now, at 0 %%", v)
	return nil
}

func (e *channelEdit) checkWayBack(c Recall, r, to *ChannelRelease) error {
	if e.doc.Floor == c.Version {
		return refused(fmt.Sprintf("update-repo floor %s --mandatory VERSION, or none", e.doc.Name), "%s is the floor of the channel", c.Version)
	}
	if to.State == channel.Withdrawn || to.State == channel.Recalled {
		return refused("name a release with --to that is good", "%s cannot be gone back to: it is %s", c.To, to.State)
	}
	for _, floor := range []string{e.doc.RollbackFloor, e.doc.Floor} {
		if floor != "" && e.doc.Older(c.To, floor) {
			return refused("name a release with --to that is not below it, or change the floor with update-repo floor", "%s is below the floor %s", c.To, floor)
		}
	}
	if _, err := e.present(c.To); err != nil {
		return err
	}
	for _, p := range r.Platforms {
		if !slices.Contains(to.Platforms, p) && !c.Force {
			return refused("name another with --to, or leave those hosts where they are with --force", "%s is not there for %s, which has %s", c.To, p, c.Version)
		}
	}
	return nil
}

// Drop takes a release out of the channel, as if it had never been there. Nobody who has it is told anything.
type Drop struct {
	Version string
	Force   bool // though it is recalled
}

func (d Drop) apply(e *channelEdit) error {
	r, err := e.find(d.Version)
	if err != nil {
		return err
	}
	if why := e.neededBy(d.Version); why != "" {
		return refused("change that first", "%s cannot be dropped: %s", d.Version, why)
	}
	if r.State == channel.Recalled && !d.Force {
		return refused("drop it with --force if no host has it any more", "%s is recalled: hosts that have it would not hear of it", d.Version)
	}
	e.doc.Releases = slices.DeleteFunc(e.doc.Releases, func(r ChannelRelease) bool { return r.Version == d.Version })
	return nil
}
