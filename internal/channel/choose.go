package channel

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Choose decides for a host. In this order:
//
//  1. the version that runs is recalled: go back, whatever else is offered
//  2. releases newer than it, the newest first: the first that is offered to this host; the floor is offered to
//     all who are below it
//  3. on the way to that, the releases that it has to be reached through
//  4. hold-off, splay and windows say when; going back waits for none of them
func (d *Document) Choose(h Host) Decision {
	c := &choice{doc: d, host: &h}
	c.say("channel "+d.Name, "serial ", strconv.FormatInt(d.Serial, 10), "; this host runs ", known(h.Version), " on ", h.OS, "/", h.Arch)
	c.decide()
	if c.Change {
		c.Cause, c.Due = c.Reason, h.Now
		if c.Reason != GoBack {
			c.schedule()
		}
	}
	return c.Decision
}

func known(version string) string {
	if version == "" {
		return "an unknown version"
	}
	return version
}

// choice is one decision in the making.
type choice struct {
	Decision
	doc  *Document
	host *Host
}

// say adds a line about a version. Inlined at its many places it would cost each program kilobytes.
//
//go:noinline
func (c *choice) say(version string, text ...string) {
	c.Lines = append(c.Lines, version+": "+strings.Join(text, ""))
}

func (c *choice) decide() {
	current := c.doc.Find(c.host.Version)
	if current != nil && current.State == Recalled {
		c.goBack(current)
		return
	}
	c.Mandatory = c.doc.Floor != "" && c.order(c.host.Version, c.doc.Floor) == older
	if c.Mandatory {
		c.say(c.doc.Floor, "it is the floor, which is mandatory, and ", c.host.Version, " is below it")
	}
	for _, r := range c.newestFirst() {
		if r == current {
			break // what follows is older
		}
		if c.try(r) {
			return
		}
	}
	if c.Reason == "" {
		c.Reason = UpToDate
		c.say(c.doc.Name, "nothing newer is in the channel")
	}
}

// try takes a release if it is for this host; of the others the first gives the reason to stay.
func (c *choice) try(r *Release) bool {
	reason := c.direction(r)
	if reason == UpToDate {
		return false
	}
	if changes(reason) {
		no := c.refuse(r, reason, c.Mandatory && r.Version == c.doc.Floor)
		if no == "" {
			if way := c.wayTo(r); way != nil {
				c.take(way, r, reason)
				return true
			}
			no = NeedsStep
		}
		reason = no
	}
	if c.Reason == "" {
		c.Version, c.Reason, c.Note = r.Version, reason, r.Note
		if reason == NotYet {
			c.Due = r.From
		}
	}
	return false
}

func changes(r Reason) bool { return r == Newer || r == Downgrade }

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
			c.say(r.Version, "nobody can tell whether it is newer than ", known(c.host.Version))
			return Unordered
		}
		return Downgrade
	}
	return UpToDate
}

// take decides for a release, which is the way to the one that was chosen.
func (c *choice) take(way, chosen *Release, reason Reason) {
	switch {
	case way != chosen:
		reason = Step
		c.say(chosen.Version, "it has to be reached through ", way.Version)
	case c.Mandatory && reason == Newer && c.order(way.Version, c.doc.Floor) != older:
		reason = Mandatory
	}
	c.Reason, c.Due = reason, time.Time{}
	c.change(way, way.Note, way.Critical || chosen.Critical)
	c.say(way.Version, "it is for this host, as ", c.Platform)
}

func (c *choice) change(r *Release, note string, critical bool) {
	c.Change, c.Version, c.Platform, c.Note, c.Critical = true, r.Version, c.platform(r), note, critical
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
	c.say(r.Version, "nobody goes back below ", c.doc.RollbackFloor)
	return true
}

// stopped tells why nobody should take a release, or this host cannot.
func (c *choice) stopped(r *Release) Reason {
	switch r.State {
	case Paused:
		c.say(r.Version, "it is paused")
		return IsPaused
	case Withdrawn:
		c.say(r.Version, "it is withdrawn")
		return IsWithdrawn
	case Recalled:
		c.say(r.Version, "it is recalled, to ", r.BackTo)
		return IsRecalled
	}
	return c.impossible(r)
}

// impossible tells why this host cannot take a release.
func (c *choice) impossible(r *Release) Reason {
	if c.host.Held != nil {
		if why, held := c.host.Held(r.Version); held {
			c.say(r.Version, "held on this host: ", why)
			return HeldHere
		}
	}
	if c.platform(r) == "" {
		c.say(r.Version, "it is not there for what this host can run, but for ", strings.Join(r.Platforms, ", "))
		return OtherVariant
	}
	return ""
}

func (c *choice) notOffered(r *Release) Reason {
	h := c.host
	switch {
	case !r.From.IsZero() && h.Now.Before(r.From):
		c.say(r.Version, "it is offered from ", formatTime(r.From), " on")
		return NotYet
	case !r.Until.IsZero() && !h.Now.Before(r.Until):
		c.say(r.Version, "it was offered until ", formatTime(r.Until))
		return Over
	case len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(h.Groups, g) }):
		c.say(r.Version, "it is offered to the groups ", strings.Join(r.Groups, ", "))
		return OtherGroup
	}
	place := h.Place - 1
	if place < 0 {
		place = Cohort(h.ID, c.doc.Product, r.Version)
	}
	if place >= r.Rollout {
		c.say(r.Version, "it is offered to ", FormatPercent(r.Rollout), " % of the hosts, this one comes at ", FormatPercent(place+1), " %")
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
			c.say(r.Version, "it has to be reached through ", through.Version)
			return nil
		}
		way = through
	}
	c.say(r.Version, "the way to it is a circle")
	return nil
}

// goBack follows the recall of the version that runs.
func (c *choice) goBack(current *Release) {
	r := current
	for range c.doc.Releases {
		c.say(r.Version, "it is recalled, to ", r.BackTo)
		if r = c.doc.Find(r.BackTo); r == nil || r.State != Recalled {
			break
		}
	}
	c.Version, c.Note = current.BackTo, current.Note
	switch {
	case r == nil || r.State == Recalled:
		c.say(current.Version, "the way back is a circle")
		c.Reason = IsRecalled
	case r.State == Withdrawn:
		c.say(r.Version, "it is withdrawn")
		c.Reason = IsWithdrawn
	case c.belowFloor(r):
		c.Reason = BelowFloor
	default:
		c.Reason = c.impossible(r)
	}
	if c.Reason != "" {
		return
	}
	c.Reason = GoBack
	c.change(r, current.Note, true)
	c.say(r.Version, "this host goes back to it")
}

// schedule says when a change may be made.
func (c *choice) schedule() {
	h, r := c.host, c.doc.Find(c.Version)
	ready := later(r.Since, r.From)
	splay := Splay(h.ID, c.doc.Product, c.Version, h.Splay)
	if c.Critical {
		splay = 0
	} else {
		ready = ready.Add(h.HoldOff)
	}
	held := h.Now.Before(ready)
	ready = ready.Add(splay)
	if c.Due = Open(h.Windows, later(ready, h.Now)); !c.Due.After(h.Now) {
		return
	}
	c.Change = false
	switch {
	case held:
		c.Reason = InHoldOff
	case h.Now.Before(ready):
		c.Reason = InSplay
	default:
		c.Reason = OutsideWindow
	}
	c.say(c.Version, string(c.Reason), ": due at ", formatTime(c.Due))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
