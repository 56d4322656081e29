// Package channel decides which release of a channel a host should run.
//
// A channel is a named line of releases. Its document lists them, oldest first, and says to whom each
// is offered:
//
//	{
//	  "format": 1,
//	  "channel": "stable",
//	  "product": "choria",
//	  "serial": 12,
//	  "floor": "1.2.0",
//	  "rollback_floor": "1.1.0",
//	  "releases": [
//	    {"version": "1.2.0", "platforms": ["linux/amd64", "linux/arm64"], "rollout": 100, "since": "2026-11-20T09:00:00Z"},
//	    {"version": "1.3.0", "platforms": ["linux/amd64", "linux/amd64-v3", "linux/arm64"], "rollout": 2.5,
//	     "since": "2026-11-24T09:00:00Z", "groups": ["canary"], "from": "2026-11-25T09:00:00Z",
//	     "through": "1.2.0", "critical": true, "note": "https://example.net/notes/1.3.0"}
//	  ]
//	}
//
// A release is offered unless it has a "state": paused (nobody new), withdrawn (nobody), or recalled (nobody,
// and who has it goes to the version "back_to").
//
// [Parse] reads a document, [Document.Choose] decides for a [Host]. Everything is a pure function: the same
// document, host and time give the same decision, on every machine and in every later version of this
// package (testdata holds the vectors that see to it). The package touches no network, disk or clock.
package channel

import (
	"errors"
	"time"
)

// Format is the number of the documents that this version reads and writes. A field that a client
// must not ignore needs a new one.
const Format = 1

// Limits of a document.
const (
	MaxSize     = 64 << 10 // bytes
	MaxReleases = 256
	MaxList     = 64      // platforms, or groups, of one release
	MaxNote     = 4 << 10 // bytes
	maxName     = 128     // bytes of a name or version
)

// Everyone is the rollout of a release that all are offered, in hundredths of a percent.
const Everyone = 100_00

// ErrInvalid is wrapped by every error of Parse.
var ErrInvalid = errors.New("not a channel document")

// State of a release in a channel.
type State string

// Offered is the zero value.
const (
	Offered   State = ""
	Paused    State = "paused"    // offered to nobody new
	Withdrawn State = "withdrawn" // offered to nobody
	Recalled  State = "recalled"  // offered to nobody, and who has it goes back
)

// Document is what a channel says.
type Document struct {
	Name    string
	Product string // empty where the repository names none
	Serial  int64  // higher with each change

	// Floor is the release that is mandatory: nobody below it stays there. Empty for none.
	Floor string

	// RollbackFloor is the version that nobody goes back below. Empty for none.
	RollbackFloor string

	Releases []Release // oldest first
}

// Release is one version in a channel.
type Release struct {
	Version   string
	Platforms []string // os/arch or os/arch-variant, for which it is there

	Rollout int      // hundredths of a percent of the hosts that it is offered to, 0 to Everyone
	Groups  []string // of hosts that it is offered to; empty for all

	Since       time.Time // when it was last offered to more hosts
	From, Until time.Time // when it is offered; zero for no bound

	State  State
	BackTo string // where those go who have it, if it is recalled

	// Through is a release that hosts below it have to run before this one. Empty for none.
	Through string

	Critical bool   // not to be delayed by hold-offs and splay
	Note     string // for people: what is new, or where that stands
}

// Find is the release of that version, nil if the channel does not list it.
func (d *Document) Find(version string) *Release {
	for i := range d.Releases {
		if d.Releases[i].Version == version {
			return &d.Releases[i]
		}
	}
	return nil
}
