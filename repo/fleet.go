package repo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/channel"
)

// HostQuestion describes a host, to be told what it would do.
type HostQuestion struct {
	Version   string
	Platform  string // os/arch
	Variants  []string
	Groups    []string
	MachineID string
	Place     float64 // in every rollout, in percent; 0: as MachineID has it
	Time      time.Time
	Held      []string // versions that it stays away from
	HoldOff   time.Duration
	Splay     time.Duration
}

// HostDecision is what a host would do.
type HostDecision = channel.Decision

// Ask tells what a host would do in a channel, by the very code that hosts use. Its error is for a platform or a variant that is none.
func Ask(d *Channel, q HostQuestion) (HostDecision, error) {
	goos, arch, ok := strings.Cut(q.Platform, "/")
	if !ok {
		return HostDecision{}, fmt.Errorf("%q is no platform such as linux/amd64", q.Platform)
	}
	h := channel.Host{
		Version: q.Version, OS: goos, Arch: arch, Groups: q.Groups, Now: q.Time, HoldOff: q.HoldOff, Splay: q.Splay,
		ID: channel.HostID(q.MachineID), Place: int(q.Place * 100), Held: heldOf(q.Held),
	}
	for _, v := range q.Variants {
		_, level, libc, ok := channel.Variant("x-" + v)
		switch {
		case !ok:
			return HostDecision{}, fmt.Errorf("%q is no variant", v)
		case level != "":
			h.Can.Level = level
		default:
			h.Can.Libcs = append(h.Can.Libcs, libc)
		}
	}
	return d.Choose(h), nil
}

func heldOf(versions []string) func(string) (string, bool) {
	return func(v string) (string, bool) {
		for _, held := range versions {
			if v == held {
				return "it failed here", true
			}
		}
		return "", false
	}
}

// Fleet is a number of hosts that follow a channel, to be simulated.
type Fleet struct {
	Hosts    int
	Parts    []FleetPart   // what they are at first
	From     time.Time     // when the simulation begins
	For      time.Duration // how long it is
	Interval time.Duration // between two checks of a host; each begins at a time of its own

	HoldOff, Splay time.Duration

	// Channel is the channel as it is at a time.
	Channel func(time.Time) *Channel

	// Fails tells, if not nil, whether a version fails on a host, and how long it takes to go back then. The host stays away
	// from the version from then on.
	Fails func(version string) (after time.Duration, fails bool)

	// Changed is called for each change of a host, if not nil.
	Changed func(host int, at time.Time, from, to string)
}

// FleetPart is a share of the hosts.
type FleetPart struct {
	Share    float64 // of all; those of all parts are added up
	Version  string
	Platform string // os/arch
	Groups   []string
}

// FleetTime is what happened within one interval.
type FleetTime struct {
	Time     time.Time      `json:"time"` // when it began
	Versions map[string]int `json:"versions"`
	Quiet    int            `json:"quiet"`   // checks that found nothing new
	News     int            `json:"news"`    // checks that found a new document, and changed nothing
	Updates  int            `json:"updates"` // checks that led to another version
	Failed   int            `json:"failed"`  // hosts that went back because a version failed
}

type fleetHost struct {
	channel.Host
	offset time.Duration // of its checks in an interval
	serial int64         // of the document that it has seen
	held   []string
	before string    // the version that it goes back to
	backAt time.Time // zero: it does not
}

// Simulate has each host check in each interval, and decide by the very code that hosts use.
func (f Fleet) Simulate(ctx context.Context) ([]FleetTime, error) {
	hosts, err := f.hosts()
	if err != nil {
		return nil, err
	}
	var times []FleetTime
	for t := f.From; t.Before(f.From.Add(f.For)); t = t.Add(f.Interval) {
		now := FleetTime{Time: t, Versions: map[string]int{}}
		for i, h := range hosts {
			if i%1024 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			f.goBack(i, h, t.Add(h.offset), &now)
			f.check(i, h, t.Add(h.offset), &now)
			f.goBack(i, h, t.Add(f.Interval), &now)
			now.Versions[h.Version]++
		}
		times = append(times, now)
	}
	return times, nil
}

func (f Fleet) hosts() ([]*fleetHost, error) {
	total := 0.0
	for _, p := range f.Parts {
		total += p.Share
	}
	if f.Hosts < 1 || f.Interval <= 0 || f.For <= 0 || total <= 0 {
		return nil, fmt.Errorf("%d hosts that check each %s for %s are nothing to simulate", f.Hosts, f.Interval, f.For)
	}
	var hosts []*fleetHost
	sum := 0.0
	for _, p := range f.Parts {
		goos, arch, ok := strings.Cut(p.Platform, "/")
		if !ok || p.Share < 0 {
			return nil, fmt.Errorf("%v of the hosts on %q: a share and a platform such as linux/amd64 are needed", p.Share, p.Platform)
		}
		for sum += p.Share; len(hosts) < int(float64(f.Hosts)*sum/total+0.5); {
			id := channel.HostID(fmt.Sprint("host ", len(hosts)))
			h := &fleetHost{offset: channel.Splay(id, "", "check", f.Interval)}
			h.Host = channel.Host{Version: p.Version, OS: goos, Arch: arch, Groups: p.Groups, ID: id, HoldOff: f.HoldOff, Splay: f.Splay}
			h.Held = func(v string) (string, bool) { return heldOf(h.held)(v) }
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

// check has a host look at the channel.
func (f Fleet) check(i int, h *fleetHost, at time.Time, now *FleetTime) {
	d := f.Channel(at)
	if d == nil {
		return
	}
	h.Now = at
	decision := d.Choose(h.Host)
	switch {
	case decision.Change:
		now.Updates++
		before := h.Version
		f.set(i, h, at, decision.Version)
		h.backAt = time.Time{}
		if after, fails := f.fails(decision.Version); fails {
			h.before, h.backAt = before, at.Add(after)
		}
	case h.serial == d.Serial:
		now.Quiet++
	default:
		now.News++
	}
	h.serial = d.Serial
}

func (f Fleet) fails(version string) (time.Duration, bool) {
	if f.Fails == nil {
		return 0, false
	}
	return f.Fails(version)
}

// goBack brings the old version back where the new one has failed by then.
func (f Fleet) goBack(i int, h *fleetHost, by time.Time, now *FleetTime) {
	if h.backAt.IsZero() || h.backAt.After(by) {
		return
	}
	h.held = append(h.held, h.Version)
	f.set(i, h, h.backAt, h.before)
	h.backAt = time.Time{}
	now.Failed++
}

func (f Fleet) set(i int, h *fleetHost, at time.Time, version string) {
	from := h.Version
	h.Version = version
	if f.Changed != nil {
		f.Changed(i, at, from, version)
	}
}
