package channel

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Choose decides for a host. In this order:
//
//  1. the version that runs is recalled: go back, whatever else is offered
//  2. releases newer than it, the newest first: the first that is offered to this host; the floor is offered to
//     all who are below it
//  3. on the way to that, the releases that it has to be reached through
//  4. hold-off, splay and windows say when; going back waits for the splay alone
func (d *Document) Choose(h Host) Decision {
	c := &choice{doc: d, host: h}
	c.say("channel %s, serial %d; this host runs %s on %s/%s", d.Name, d.Serial, known(h.Version), h.OS, h.Arch)
	decision := c.decide()
	if decision.Change {
		decision.Cause = decision.Reason
		c.schedule(&decision)
	}
	decision.Lines = c.lines
	return decision
}

func known(version string) string {
	if version == "" {
		return "an unknown version"
	}
	return version
}

// choice is one decision in the making.
type choice struct {
	doc   *Document
	host  Host
	lines []string
}

func (c *choice) say(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *choice) decide() Decision {
	current := c.doc.Find(c.host.Version)
	if current != nil && current.State == Recalled {
		return c.goBack(current)
	}
	mandatory := c.doc.Floor != "" && c.order(c.host.Version, c.doc.Floor) == older
	if mandatory {
		c.say("%s is below the floor %s, which is mandatory", known(c.host.Version), c.doc.Floor)
	}
	stay := Decision{Reason: UpToDate, Mandatory: mandatory}
	for _, r := range c.newestFirst() {
		if r.Version == c.host.Version {
			break // what follows is older
		}
		reason := c.direction(r)
		if reason == UpToDate {
			continue
		}
		way := r
		if reason != Unordered {
			if no := c.refuse(r, reason, mandatory && r.Version == c.doc.Floor); no != "" {
				reason = no
			} else if way = c.wayTo(r); way == nil {
				reason = NeedsStep
			}
		}
		if way == nil || !changes(reason) {
			if stay.Version == "" {
				stay.Version, stay.Reason, stay.Due, stay.Note = r.Version, reason, c.startOf(r, reason), r.Note
			}
			continue
		}
		return c.take(way, r, reason, mandatory)
	}
	if stay.Reason == UpToDate {
		c.say("nothing newer is in the channel")
	}
	return stay
}

func changes(r Reason) bool { return r == Newer || r == Downgrade }

// startOf is when a release will be offered that is refused for being early.
func (c *choice) startOf(r *Release, reason Reason) time.Time {
	if reason == NotYet {
		return r.From
	}
	return time.Time{}
}

// direction tells where a release lies from the version that runs: Newer, Downgrade, Unordered, or UpToDate
// for one that is older or the same.
func (c *choice) direction(r *Release) Reason {
	switch c.order(c.host.Version, r.Version) {
	case older:
		return Newer
	case newer:
		if !c.host.AllowDowngrade || c.doc.Find(c.host.Version) != nil {
			return UpToDate
		}
		return Downgrade
	case unknown:
		if !c.host.AllowDowngrade {
			c.say("%s: nobody can tell whether it is newer than %s", r.Version, known(c.host.Version))
			return Unordered
		}
		return Downgrade
	}
	return UpToDate
}

// take is the decision for a release, which is the way to the one that was chosen.
func (c *choice) take(way, chosen *Release, reason Reason, mandatory bool) Decision {
	switch {
	case way != chosen:
		reason = Step
		c.say("%s: it has to be reached through %s", chosen.Version, way.Version)
	case mandatory && reason == Newer && c.order(way.Version, c.doc.Floor) != older:
		reason = Mandatory
	}
	d := Decision{
		Change: true, Version: way.Version, Platform: c.platform(way), Reason: reason,
		Mandatory: mandatory, Critical: way.Critical || chosen.Critical, Note: way.Note,
	}
	c.say("%s: it is for this host, as %s", way.Version, d.Platform)
	return d
}

// refuse tells why a release is not for this host, "" if it is. The floor, once forced, is for
// all groups, all of the rollout and all times.
func (c *choice) refuse(r *Release, direction Reason, forced bool) Reason {
	if reason := c.stopped(r); reason != "" {
		return reason
	}
	if direction == Downgrade && c.belowFloor(r) {
		return BelowFloor
	}
	if forced {
		return ""
	}
	return c.notOffered(r)
}

// belowFloor tells whether nobody may go back to a release.
func (c *choice) belowFloor(r *Release) bool {
	if c.doc.RollbackFloor == "" || c.order(r.Version, c.doc.RollbackFloor) != older {
		return false
	}
	c.say("%s: nobody goes back below %s", r.Version, c.doc.RollbackFloor)
	return true
}

// stopped tells why nobody should take a release, or this host cannot.
func (c *choice) stopped(r *Release) Reason {
	switch r.State {
	case Paused:
		c.say("%s: it is paused", r.Version)
		return IsPaused
	case Withdrawn:
		c.say("%s: it is withdrawn", r.Version)
		return IsWithdrawn
	case Recalled:
		c.say("%s: it is recalled, to %s", r.Version, r.BackTo)
		return IsRecalled
	}
	return c.impossible(r)
}

// impossible tells why this host cannot take a release.
func (c *choice) impossible(r *Release) Reason {
	if c.host.Held != nil {
		if why, held := c.host.Held(r.Version); held {
			c.say("%s: held on this host: %s", r.Version, why)
			return HeldHere
		}
	}
	if c.platform(r) == "" {
		c.say("%s: it is not there for what this host can run, but for %s", r.Version, strings.Join(r.Platforms, ", "))
		return OtherVariant
	}
	return ""
}

func (c *choice) notOffered(r *Release) Reason {
	h := c.host
	switch {
	case !r.From.IsZero() && h.Now.Before(r.From):
		c.say("%s: it is offered from %s on", r.Version, formatTime(r.From))
		return NotYet
	case !r.Until.IsZero() && !h.Now.Before(r.Until):
		c.say("%s: it was offered until %s", r.Version, formatTime(r.Until))
		return Over
	case len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(h.Groups, g) }):
		c.say("%s: it is offered to the groups %s", r.Version, strings.Join(r.Groups, ", "))
		return OtherGroup
	}
	place := Cohort(h.ID, c.doc.Product, r.Version)
	if place >= r.Rollout {
		c.say("%s: it is offered to %s %% of the hosts, this one comes at %s %%", r.Version, FormatPercent(r.Rollout), FormatPercent(place+1))
		return NotInRollout
	}
	return ""
}

func (c *choice) platform(r *Release) string {
	return best(r.Platforms, c.host.OS, c.host.Arch, c.host.Can)
}

// wayTo is the release to take first to get to r: r itself where nothing lies in between, nil if this host
// cannot have what does. Who may have a release may have what leads to it.
func (c *choice) wayTo(r *Release) *Release {
	way := r
	for range c.doc.Releases {
		through := c.doc.Find(way.Through)
		if through == nil || c.host.Version == through.Version || c.order(c.host.Version, through.Version) == newer {
			return way
		}
		if c.stopped(through) != "" {
			c.say("%s: it has to be reached through %s", r.Version, through.Version)
			return nil
		}
		way = through
	}
	c.say("%s: the way to it is a circle", r.Version)
	return nil
}

// goBack follows the recall of the version that runs.
func (c *choice) goBack(current *Release) Decision {
	r := current
	for range c.doc.Releases {
		c.say("%s: it is recalled, to %s", r.Version, r.BackTo)
		if r = c.doc.Find(r.BackTo); r == nil || r.State != Recalled {
			break
		}
	}
	stay := func(reason Reason) Decision {
		return Decision{Reason: reason, Version: current.BackTo, Note: current.Note}
	}
	switch {
	case r == nil || r.State == Recalled:
		c.say("%s: the way back is a circle", current.Version)
		return stay(IsRecalled)
	case r.State == Withdrawn:
		c.say("%s: it is withdrawn", r.Version)
		return stay(IsWithdrawn)
	case c.belowFloor(r):
		return stay(BelowFloor)
	}
	if reason := c.impossible(r); reason != "" {
		return stay(reason)
	}
	c.say("%s: this host goes back to it", r.Version)
	return Decision{Change: true, Version: r.Version, Platform: c.platform(r), Reason: GoBack, Critical: true, Note: current.Note}
}

// schedule says when a change may be made.
func (c *choice) schedule(d *Decision) {
	h, r := c.host, c.doc.Find(d.Version)
	start := r.Since
	if r.From.After(start) {
		start = r.From
	}
	splay := Splay(h.ID, c.doc.Product, d.Version, h.Splay)
	held := start.Add(h.HoldOff)
	switch {
	case d.Reason == GoBack:
		held = c.doc.Find(h.Version).Since
	case d.Critical:
		held, splay = start, 0
	}
	ready := held.Add(splay)
	if d.Reason == GoBack {
		d.Due = later(ready, h.Now)
	} else {
		d.Due = Open(h.Windows, later(ready, h.Now))
	}
	if !d.Due.After(h.Now) {
		return
	}
	d.Change = false
	switch {
	case h.Now.Before(held):
		d.Reason = InHoldOff
		c.say("%s: it is held off until %s", d.Version, formatTime(held))
	case h.Now.Before(ready):
		d.Reason = InSplay
	default:
		d.Reason = OutsideWindow
		c.say("%s: the update window is closed", d.Version)
	}
	c.say("%s: due at %s", d.Version, formatTime(d.Due))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
