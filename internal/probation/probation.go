// Package probation is what is remembered while a new binary runs but is not yet trusted, and
// the rules by which it is kept or given up. It decides; replacing files is others' business.
//
// A [Trial] is written before the swap ([New]). From then on the hash of the target says where
// it stands ([Trial.Place]): the old binary there means that the swap never was, or that it was
// undone; any third one that somebody replaced it. Each start is counted ([Trial.Arrive]) and settled
// later: an exit that was meant ([Trial.Leave]), a reboot, or an unclean one. [Trial.Verdict] says
// when it is to go. Then Back is written, the backup takes the target's place, and the trial
// is closed ([Record.Close]): whoever finds a trial with Back set finishes what was begun.
//
// Where the disk is too full to write, renaming a file that [Store.Put] wrote beforehand still
// says that the trial goes back ([Store.MarkBack]).
//
// Times are measured from the machine's start ([Moment]); the wall clock is noted for people and decides nothing.
package probation

import (
	"fmt"
	"time"
)

// Binary is an executable: its version, empty where unknown, and its SHA-256 in lower case hex.
type Binary struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Moment is a time since the machine's start.
type Moment struct {
	Boot string        `json:"boot"`  // names this start of the machine, empty where unknown
	Up   time.Duration `json:"up_ns"` // since it, sleep included
	Wall time.Time     `json:"wall"`
}

// SameBoot tells whether the machine was not started between m and the later moment now.
func (m Moment) SameBoot(now Moment) bool { return m.Boot == now.Boot && m.Up <= now.Up }

// Who counts a start.
const (
	ByProgram = "program" // the new binary itself: it holds a lock for as long as it lives
	ByGuard   = "guard"   // whoever is about to start it, who cannot know how it ends
)

// Start is one start of the new binary that has not been settled.
type Start struct {
	N   int    `json:"n"`
	By  string `json:"by"`
	Pid int    `json:"pid,omitempty"` // of the program
	At  Moment `json:"at"`
}

// Failure is an unclean exit.
type Failure struct {
	Time   time.Time `json:"time"`             // when it was noticed
	Exit   string    `json:"exit"`             // what is known of it
	Output []string  `json:"output,omitempty"` // the last lines that it wrote to standard error
}

// Trial is a binary on probation.
type Trial struct {
	N        int           `json:"n"`
	From     Binary        `json:"from"` // what the backup holds
	To       Binary        `json:"to"`
	Backup   string        `json:"backup"`   // its path
	Attempts int           `json:"attempts"` // unclean exits after which it goes back
	Within   time.Duration `json:"within_ns"`
	Began    time.Time     `json:"began"`
	Baseline string        `json:"baseline,omitempty"` // how the old binary failed its health check

	Starts   int       `json:"starts"`
	Unclean  int       `json:"unclean"`
	Reboots  int       `json:"reboots,omitempty"`
	Open     []Start   `json:"open,omitempty"`
	Failures []Failure `json:"failures,omitempty"` // the last few

	Since *Moment       `json:"since,omitempty"` // from when on time counts, nil while nothing runs
	Seen  Moment        `json:"seen"`            // the last that was heard of it
	Spent time.Duration `json:"spent_ns"`        // before Since

	Back string `json:"back,omitempty"` // why it goes back, once that is decided

	// Over is the trial that this one replaces, for as long as the swap may not have happened.
	Over *Trial `json:"over,omitempty"`
}

const (
	maxOpen     = 16 // starts that nobody settled; of more the oldest are forgotten
	maxFailures = 5
)

// Place says where a trial stands, by the target's hash.
type Place int

// What stands at the target's path.
const (
	IsNew   Place = iota // the binary on probation
	IsOld                // the one before
	IsOther              // neither
)

// Place compares the target's hash with the trial's.
func (t *Trial) Place(sum string) Place {
	switch sum {
	case t.To.SHA256:
		return IsNew
	case t.From.SHA256:
		return IsOld
	}
	return IsOther
}

// Settle accounts for the starts that have ended. alive tells whether the process of a start still runs; guard
// says that a new start is about to be counted by one, so that what it counted last has ended.
func (t *Trial) Settle(now Moment, alive func(n int) bool, guard bool) {
	var open []Start
	for _, s := range t.Open {
		switch {
		case !s.At.SameBoot(now):
			t.Reboots++
		case s.By == ByGuard && !guard, s.By == ByProgram && alive(s.N):
			open = append(open, s)
		case s.By == ByGuard:
			t.fail(Failure{Time: now.Wall, Exit: "ended before the program said that it runs"})
		default:
			t.fail(Failure{Time: now.Wall, Exit: "ended without notice"})
		}
	}
	t.Open = open
	t.turn(now)
}

// turn moves the measured time on to now.
func (t *Trial) turn(now Moment) {
	if t.Since != nil && !t.Since.SameBoot(now) {
		t.Spent += max(0, t.Seen.Up-t.Since.Up)
		t.Since = nil
	}
	if t.Since == nil && len(t.Open) > 0 {
		t.Since = &now
	}
	t.Seen = now
}

// Fail accounts for an unclean exit of which more is known than that.
func (t *Trial) Fail(n int, f Failure) {
	if t.close(n) {
		t.fail(f)
	}
}

func (t *Trial) fail(f Failure) {
	t.Unclean++
	t.Failures = append(t.Failures, f)
	t.Failures = t.Failures[max(0, len(t.Failures)-maxFailures):]
}

// Arrive counts a start and returns its number. What a guard counted just before is that same start.
func (t *Trial) Arrive(now Moment, by string, pid int) int {
	for i, s := range t.Open {
		if by == ByProgram && s.By == ByGuard {
			t.Open[i].By, t.Open[i].At, t.Open[i].Pid = by, now, pid
			t.turn(now)
			return s.N
		}
	}
	t.Starts++
	t.Open = append(t.Open, Start{N: t.Starts, By: by, At: now, Pid: pid})
	t.Open = t.Open[max(0, len(t.Open)-maxOpen):]
	t.turn(now)
	return t.Starts
}

// Leave accounts for an exit that was meant. While nothing runs no time counts.
func (t *Trial) Leave(n int, now Moment) {
	if !t.close(n) {
		return
	}
	if t.Since != nil && len(t.Open) == 0 {
		t.Spent, t.Since = t.Elapsed(now), nil
	}
	t.Seen = now
}

// Last is the latest start that nobody settled, 0 if there is none.
func (t *Trial) Last() int {
	if len(t.Open) == 0 {
		return 0
	}
	return t.Open[len(t.Open)-1].N
}

func (t *Trial) close(n int) bool {
	for i, s := range t.Open {
		if s.N == n {
			t.Open = append(t.Open[:i:i], t.Open[i+1:]...)
			return true
		}
	}
	return false
}

// Elapsed is for how long it has been running.
func (t *Trial) Elapsed(now Moment) time.Duration {
	switch {
	case t.Since == nil:
		return t.Spent
	case t.Since.SameBoot(now):
		return t.Spent + now.Up - t.Since.Up
	}
	return t.Spent + max(0, t.Seen.Up-t.Since.Up)
}

// Left is the time in which it can still be confirmed.
func (t *Trial) Left(now Moment) time.Duration { return t.Within - t.Elapsed(now) }

// Verdict says why the trial has to go back, and is empty while it may go on.
func (t *Trial) Verdict(now Moment) string {
	switch {
	case t.Back != "":
		return t.Back
	case t.Unclean >= t.Attempts:
		return fmt.Sprintf("it ended uncleanly %d times", t.Unclean)
	case t.Left(now) <= 0:
		return fmt.Sprintf("it was not confirmed within %v", t.Within)
	}
	return ""
}
