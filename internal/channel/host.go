package channel

import "time"

// Host is who asks.
type Host struct {
	Version string // that runs; empty where unknown
	OS      string
	Arch    string
	Can     Ability
	Groups  []string
	ID      string // see HostID
	Place   int    // in every rollout, from 1 to Everyone; 0: as ID has it
	Now     time.Time

	// Held tells which versions this host stays away from, and why. Nil means none.
	Held func(version string) (why string, held bool)

	// AllowDowngrade leads a host down to the channel whose version the channel does not list.
	AllowDowngrade bool

	HoldOff time.Duration // between a release being offered and being applied
	Splay   time.Duration // over which hosts spread beyond that
	Windows []Window      // in which releases may be applied; none for always
}

// Reason is why a host gets a release, or stays as it is.
type Reason string

// Reasons to change.
const (
	Newer     Reason = "offered"   // a newer release is offered
	Mandatory Reason = "mandatory" // the host is below the channel's floor
	Step      Reason = "step"      // a release on the way to a newer one
	GoBack    Reason = "go-back"   // the version that runs is recalled
	Downgrade Reason = "downgrade" // the channel does not list the version that runs, and downgrades are allowed
)

// Reasons to stay.
const (
	UpToDate     Reason = "up-to-date"     // nothing newer is in the channel
	HeldHere     Reason = "held"           // this host stays away from it
	NotInRollout Reason = "not-in-rollout" // it is offered to some, and this host is not yet among them
	OtherGroup   Reason = "other-group"    // it is offered to groups that this host is not in
	NotYet       Reason = "not-yet"        // the time from which it is offered has not come
	Over         Reason = "over"           // the time until which it was offered has passed
	IsPaused     Reason = "paused"
	IsWithdrawn  Reason = "withdrawn"
	IsRecalled   Reason = "recalled"
	NeedsStep    Reason = "needs-step"    // a release in between comes first, and this host cannot have that
	BelowFloor   Reason = "below-floor"   // going there would be below the channel's rollback floor
	OtherVariant Reason = "other-variant" // it is not there for what this host can run
	Unordered    Reason = "unordered"     // nobody can tell whether it is newer than what runs
)

// Reasons to wait: the release is this host's, at Due.
const (
	InHoldOff     Reason = "hold-off"
	InSplay       Reason = "splay"
	OutsideWindow Reason = "outside-window"
)

// Decision is what a host should do.
type Decision struct {
	// Change says that the host should be brought to Version now, as Platform (os/arch, with the variant).
	Change bool

	// Version is the one to change to, now or when it is Due; else the newest that is not for this host, empty
	// where there is nothing newer.
	Version  string
	Platform string

	Reason Reason
	Cause  Reason    // one of the reasons to change, also while the host waits; empty if it stays
	Due    time.Time // when the change may be made; zero where there is none to be made, or no time is known

	Mandatory bool // the host is below the floor
	Critical  bool
	Note      string

	Lines []string // how the decision came about, for people
}
