package repo

import (
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/version"
)

// None takes a floor away.
const None = "none"

// Floor sets what nobody stays below, what nobody goes back below, and what a release has to be reached through.
type Floor struct {
	Mandatory string // a release of the channel, None, or empty to leave it
	Rollback  string // a version, None, or empty to leave it

	// Version is the release that has to be reached through Through, a release of the channel or None.
	Version, Through string
}

func (f Floor) apply(e *channelEdit) error {
	if f.Mandatory != "" {
		if err := e.setMandatory(f.Mandatory); err != nil {
			return err
		}
	}
	if f.Rollback != "" {
		if err := e.setRollbackFloor(f.Rollback); err != nil {
			return err
		}
	}
	if f.Version == "" {
		return nil
	}
	r, err := e.find(f.Version)
	if err != nil {
		return err
	}
	return e.setThrough(r, f.Through)
}

func (e *channelEdit) setMandatory(v string) error {
	if v == None {
		e.doc.Floor = ""
		return nil
	}
	r, err := e.find(v)
	if err != nil {
		return err
	}
	if r.State != channel.Offered {
		return refused("choose one that is offered", "%s cannot be the floor: it is %s", v, r.State)
	}
	for _, other := range e.doc.Releases {
		if other.BackTo != "" && e.doc.Older(other.BackTo, v) {
			return refused("recall it to one that is not below", "%s is recalled to %s, which is below %s", other.Version, other.BackTo, v)
		}
	}
	if r.Rollout < channel.Everyone {
		e.note("%s is offered to %s %% of the hosts; those below it get it all the same", v, channel.FormatPercent(r.Rollout))
	}
	e.doc.Floor = v
	return nil
}

func (e *channelEdit) setRollbackFloor(v string) error {
	if v == None {
		e.doc.RollbackFloor = ""
		return nil
	}
	if err := channel.CheckName(v); err != nil {
		return err
	}
	if e.doc.Find(v) == nil && !version.Ordered(v) {
		return refused("name one that is listed", "channel %s has no release %s, and it is no number to compare others with", e.doc.Name, v)
	}
	for _, r := range e.doc.Releases {
		if r.BackTo != "" && e.doc.Older(r.BackTo, v) {
			return refused("recall it to one that is not below", "%s is recalled to %s, which is below %s", r.Version, r.BackTo, v)
		}
	}
	e.doc.RollbackFloor = v
	return nil
}

func (e *channelEdit) setThrough(r *ChannelRelease, through string) error {
	if through == None {
		r.Through = ""
		return nil
	}
	step, err := e.find(through)
	if err != nil {
		return err
	}
	if !e.doc.Older(through, r.Version) {
		return refused("name an older one", "%s cannot be reached through %s, which is not older", r.Version, through)
	}
	if step.State != channel.Offered {
		return refused("choose one that is offered", "%s cannot be reached through %s: it is %s", r.Version, through, step.State)
	}
	r.Through = through
	return nil
}

// Note says something about a release.
type Note struct {
	Version string
	Text    *string // what is new, or where that stands; nil to leave it

	// Critical releases are not delayed by hold-off and splay; nil leaves that.
	Critical *bool
}

func (n Note) apply(e *channelEdit) error {
	r, err := e.find(n.Version)
	if err != nil {
		return err
	}
	if n.Text != nil {
		if len(*n.Text) > channel.MaxNote {
			return refused("put it on a page, and note that page's address", "a note of %d bytes; %d are allowed", len(*n.Text), channel.MaxNote)
		}
		r.Note = *n.Text
	}
	if n.Critical != nil {
		r.Critical = *n.Critical
	}
	return nil
}
