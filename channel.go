package updater

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/machine"
	"github.com/choria-io/go-updater/internal/tuf"
)

// Channel installs what a channel of the repository offers to this machine, in the place of [Version]: the
// publisher decides by `update-repo channel` and its kin which share of the machines gets a release and when, stops
// a bad one, and calls it back. It needs a [TrustRoot].
//
// [Check] says what is on offer, and if nothing is, why: see [Plan.Offer]. [CurrentVersion], or an earlier update
// by this library, tells which version runs; where nobody knows, nothing is installed.
func Channel(name string) Option { return followed(name, (*Config).signedChannel, true) }

// UnsignedChannel is [Channel] without a trust root: whoever can change the repository's files, or what is
// received from it, decides what is installed.
func UnsignedChannel(name string) Option { return followed(name, (*Config).unsignedChannel, false) }

// channelAsker gets a channel's document. quick says that it may leave off when there is news, with a document
// that is nil.
type channelAsker func(c *Config, state *trustState, quick bool) (*channel.Document, error)

func followed(name string, ask channelAsker, signed bool) Option {
	return func(c *Config) error {
		if err := checkElement("channel", name); err != nil {
			return err
		}
		c.channel, c.signsChannel = name, signed
		c.follow = func(c *Config, ctx context.Context, p *Plan) error { return c.followChannel(ctx, p, ask) }
		return nil
	}
}

// validateChannel tells what is missing or malformed where the channel decides on the version.
func (c *Config) validateChannel() error {
	switch _, err := Folder("0", c.OperatingSystem, c.Architecture); {
	case err != nil:
		return err
	case c.signsChannel && c.trustRoot == nil:
		return errors.New("a channel needs a trust root, please use TrustRoot(), or UnsignedChannel() if anyone may decide")
	case !c.signsChannel && c.trustRoot != nil:
		return errors.New("with a trust root the channel is signed, too, please use Channel()")
	}
	return nil
}

// Groups names the groups that this machine belongs to, "canary" for example. A release may be
// offered to some groups alone.
func Groups(names ...string) Option {
	return func(c *Config) error {
		for _, name := range names {
			if err := checkElement("group", name); err != nil {
				return err
			}
		}
		c.groups = append(c.groups, names...)
		return nil
	}
}

// MachineID sets what a channel tells machines apart by, any text that stays the same. The default is the operating
// system's (/etc/machine-id, MachineGuid, the hardware's UUID), or where there is none a random one that is kept in the
// state folder. It decides, hashed, when a rollout reaches this machine, and is sent nowhere.
func MachineID(id string) Option {
	return func(c *Config) error {
		if id == "" {
			return errors.New("the machine id is empty")
		}
		c.machineID = id
		return nil
	}
}

// HoldOff lets a release of a channel rest for a while after it is offered: others find out first how good it
// is. Critical releases and recalls do not wait.
func HoldOff(d time.Duration) Option {
	return func(c *Config) error {
		if d < 0 {
			return cause.Errorf("a hold-off of %s", d)
		}
		c.holdOff = d
		return nil
	}
}

// Splay spreads the machines of a fleet over a time: each waits a part of it, always the same for the same
// release, so that they neither fetch nor restart at once. Critical releases and recalls do not wait.
func Splay(d time.Duration) Option {
	return func(c *Config) error {
		if d < 0 {
			return cause.Errorf("a splay of %s", d)
		}
		c.splay = d
		return nil
	}
}

// Window is a time of the week in which releases may be applied.
type Window = channel.Window

// UpdateWindow has releases of a channel applied in certain times of the week alone; it may be given more than once.
// Recalls do not wait for it.
func UpdateWindow(w Window) Option {
	return func(c *Config) error {
		if err := w.Check(); err != nil {
			return err
		}
		c.windows = append(c.windows, w)
		return nil
	}
}

// Variants names what this machine can run beside the baseline of its platform: at most one of v2, v3, v4 (GOAMD64), v6, v7
// (GOARM), and of musl and glibc those that are there, the preferred one first. The default is found out
// where the target is for the platform of this program, and nothing elsewhere.
func Variants(names ...string) Option {
	return func(c *Config) error {
		can := channel.Ability{}
		for _, name := range names {
			_, level, libc, ok := channel.Variant("x-" + name)
			switch {
			case !ok || level != "" && (libc != "" || can.Level != ""):
				return cause.Errorf("%q is no variant, or one too many", clip(name))
			case level != "":
				can.Level = level
			default:
				can.Libcs = append(can.Libcs, libc)
			}
		}
		c.ability = &can
		return nil
	}
}

// Reason is why a channel changes this machine, has it wait, or leaves it as it is. New ones may come.
type Reason = channel.Reason

// Reasons to change: [Offer.Cause], and Offer.Reason when it is time.
const (
	ReasonOffered   = channel.Newer     // a newer release is offered
	ReasonMandatory = channel.Mandatory // this machine is below the channel's floor
	ReasonStep      = channel.Step      // a release that a newer one has to be reached through
	ReasonGoBack    = channel.GoBack    // the version that runs is recalled
	ReasonDowngrade = channel.Downgrade // the channel does not list what runs, and AllowDowngrade is set
)

// Reasons to wait: Offer.Due says until when.
const (
	ReasonHoldOff       = channel.InHoldOff
	ReasonSplay         = channel.InSplay
	ReasonOutsideWindow = channel.OutsideWindow
)

// Reasons to stay: why the newest release is not for this machine, or that there is none.
const (
	ReasonUpToDate     = channel.UpToDate
	ReasonHeld         = channel.HeldHere     // this machine stays away from it
	ReasonNotInRollout = channel.NotInRollout // its turn has not come
	ReasonOtherGroup   = channel.OtherGroup   // it is offered to other groups
	ReasonNotYet       = channel.NotYet       // it is offered later
	ReasonOver         = channel.Over         // it was offered earlier
	ReasonPaused       = channel.IsPaused
	ReasonWithdrawn    = channel.IsWithdrawn
	ReasonRecalled     = channel.IsRecalled
	ReasonNeedsStep    = channel.NeedsStep    // a release in between comes first, and this machine cannot have it
	ReasonBelowFloor   = channel.BelowFloor   // it is below what this machine may go back to
	ReasonOtherVariant = channel.OtherVariant // it is not there for what this machine can run
	ReasonUnordered    = channel.Unordered    // nobody can tell whether it is newer than what runs
)

// Offer is what a channel decides for this machine.
type Offer = channel.Decision

// followChannel asks the channel and makes its decision the plan's. What costs one request when nothing has
// changed is asked first; before anything is installed the repository is asked in full for the release.
func (c *Config) followChannel(ctx context.Context, p *Plan, ask channelAsker) error {
	if _, err := c.fs.Lstat(p.Target); p.From == "" && errors.Is(err, fs.ErrNotExist) {
		return cause.Errorf("%w: %s", ErrTargetMissing, p.Target) // else it would be one of an unknown version, and left alone
	}
	c.event(StepCheck, fmt.Sprintf("asking %s what channel %s offers", c.repository(), c.channel))
	state := c.openTrustState(ctx, p.Target)
	defer state.close()
	host := c.host(p, state)
	doc, err := ask(c, state, true)
	if err == nil && doc == nil { // there is news
		doc, err = ask(c, state, false)
	}
	if errors.Is(err, tuf.ErrNoTarget) || !c.signsChannel && errors.Is(err, fs.ErrNotExist) {
		err = cause.Errorf("%w: %w", errNoChannel, err)
	}
	if err != nil {
		return cause.Errorf("channel %s: %w", c.channel, err)
	}
	offer := doc.Choose(host)
	p.Offer, p.To, p.Why = &offer, offer.Version, strings.Join(offer.Lines, "; ")
	c.event(StepPlan, p.Why)
	if !offer.Change {
		p.UpToDate, p.Fetch = true, 0
		return nil
	}
	_, c.Architecture, _ = strings.Cut(offer.Platform, "/")
	c.Version = offer.Version
	return c.validatePlatform()
}

// host describes this machine.
func (c *Config) host(p *Plan, state *trustState) channel.Host {
	if p.From == "" {
		p.From = c.installedVersion(p.Target)
	}
	return channel.Host{
		Version: p.From, OS: c.OperatingSystem, Arch: c.Architecture, Can: c.abilities(), Groups: c.groups,
		ID: c.hostID(state), Now: state.Now(), Held: c.holder(p.Target), AllowDowngrade: c.allowDowngrade,
		HoldOff: c.holdOff, Splay: c.splay, Windows: c.windows,
	}
}

// holder tells which versions this machine stays away from; nil where none can be.
func (c *Config) holder(target string) func(version string) (string, bool) {
	if c.trials == nil {
		return nil
	}
	return func(version string) (string, bool) {
		if err := c.trials.held(c, target, version, ""); err != nil {
			return err.Error(), true
		}
		return "", false
	}
}

// parseChannel reads a document, and makes sure that it is the one that was asked for.
func (c *Config) parseChannel(data []byte, product string) (*channel.Document, error) {
	doc, err := channel.Parse(data)
	if err != nil {
		return nil, cause.Errorf("%w: %w", ErrRejected, err)
	}
	if doc.Name != c.channel || product != "" && doc.Product != product {
		return nil, cause.Errorf("%w: it is channel %s of %q, not %s of %q", ErrOtherProduct, doc.Name, clip(doc.Product), c.channel, product)
	}
	return doc, nil
}

// abilities are what this machine can run, as far as the target is for it.
func (c *Config) abilities() channel.Ability {
	if c.ability != nil {
		return *c.ability
	}
	if c.OperatingSystem != runtime.GOOS || c.Architecture != runtime.GOARCH {
		return channel.Ability{}
	}
	return channel.Ability{Level: machine.Level(), Libcs: machine.Libcs()}
}

// hostID stands for this machine in a rollout. It is empty, and the machine the last one, where it has no
// identifier and none can be kept.
func (c *Config) hostID(state *trustState) string {
	id := c.machineID
	if id == "" {
		id = machine.ID()
	}
	if id == "" {
		id = c.ownID(state)
	}
	if id == "" {
		return ""
	}
	return channel.HostID(id)
}

// ownID is the identifier that this library has given the machine.
func (c *Config) ownID(state *trustState) string {
	if data, err := state.Load("machine-id"); err == nil && len(data) > 0 {
		return string(data)
	}
	id := rand.Text()
	if state.lock == nil {
		return "" // it would be another one next time
	}
	if err := state.Store("machine-id", []byte(id)); err != nil {
		c.warn(err)
		return ""
	}
	return id
}
