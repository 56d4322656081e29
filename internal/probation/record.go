package probation

import "time"

// Record is what probation.json remembers.
type Record struct {
	Format  int    `json:"format"`
	Last    int    `json:"last"` // number of the last trial
	Current *Trial `json:"current,omitempty"`
	Held    []Held `json:"held,omitempty"`
}

// Held is a binary that is not to be installed again.
type Held struct {
	Binary
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

const (
	format  = 1
	limit   = 256 << 10
	maxHeld = 50 // of more the oldest are forgotten
	recent  = 20 // trials that are kept as evidence
)

// New makes t the current trial.
func (r *Record) New(t *Trial) {
	t.N = r.Last + 1
	if over := r.Current; over != nil {
		over.Over = nil
		t.Over = over
	}
	r.Last, r.Current = t.N, t
}

// Hold adds a binary to those that are not to be installed again.
func (r *Record) Hold(b Binary, reason string, now time.Time) {
	r.Release(b.Version)
	r.Held = append(r.Held, Held{Binary: b, Reason: reason, Time: now})
	r.Held = r.Held[max(0, len(r.Held)-maxHeld):]
}

// Release gives a held version free, and tells whether it was held.
func (r *Record) Release(version string) bool {
	var left []Held
	for _, h := range r.Held {
		if h.Version != version {
			left = append(left, h)
		}
	}
	was := len(left) != len(r.Held)
	r.Held = left
	return was
}

// Holds finds out whether a version, or the binary with this hash, is held. Either may be empty.
// One that is on its way back is held already.
func (r *Record) Holds(version, sum string) (Held, bool) {
	all := r.Held
	if t := r.Current; t != nil && t.Back != "" {
		all = append(all[:len(all):len(all)], Held{Binary: t.To, Reason: t.Back, Time: t.Seen.Wall})
	}
	for _, h := range all {
		if version != "" && h.Version == version || sum != "" && h.SHA256 == sum {
			return h, true
		}
	}
	return Held{}, false
}

// How a trial ended.
const (
	Confirmed    = "confirmed"
	RolledBack   = "rolled back"
	Superseded   = "superseded"    // something else was installed
	NotInstalled = "not installed" // the swap never happened, or the binary was refused before it
)

// Evidence is a trial that has ended.
type Evidence struct {
	N        int       `json:"n"`
	From     Binary    `json:"from"`
	To       Binary    `json:"to"`
	Outcome  string    `json:"outcome"`
	Reason   string    `json:"reason,omitempty"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Starts   int       `json:"starts"`
	Unclean  int       `json:"unclean"`
	Reboots  int       `json:"reboots,omitempty"`
	Failures []Failure `json:"failures,omitempty"`
}

// Close ends the current trial and says what is to be remembered of it. A binary that went back is held.
func (r *Record) Close(outcome, reason string, now time.Time) Evidence {
	t := r.Current
	r.Current = nil
	if outcome == RolledBack {
		r.Hold(t.To, reason, now)
	}
	return Evidence{
		N: t.N, From: t.From, To: t.To, Outcome: outcome, Reason: reason, Began: t.Began, Ended: now,
		Starts: t.Starts, Unclean: t.Unclean, Reboots: t.Reboots, Failures: t.Failures,
	}
}

// Reconcile brings the record in line with what stands at the target's path. It returns what
// ended thereby, nil if nothing did; what is still current is on probation. A trial that is going
// back, and stands at the target's path, stays current: the caller has to finish it.
func (r *Record) Reconcile(sum string, now time.Time) *Evidence {
	t := r.Current
	if t == nil {
		return nil
	}
	var e Evidence
	switch place := t.Place(sum); {
	case place == IsNew:
		return nil
	case t.Over != nil && t.Over.Place(sum) == IsNew:
		r.Current = t.Over
		return nil
	case place == IsOld && t.Back != "":
		e = r.Close(RolledBack, t.Back, now)
	case place == IsOld && t.Starts > 0:
		e = r.Close(RolledBack, "somebody rolled it back", now)
	case place == IsOld:
		e = r.Close(NotInstalled, "the update was cut short", now)
	default:
		e = r.Close(Superseded, "another binary was installed", now)
	}
	return &e
}
