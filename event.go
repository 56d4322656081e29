package updater

import (
	"time"
)

// Step names a part of an update.
type Step string

// The steps, in the order in which they are reached.
const (
	StepPreflight Step = "preflight" // looking at the target and its folder
	StepCheck     Step = "check"     // fetching release.json
	StepPlan      Step = "plan"      // what will be fetched is known
	StepFetch     Step = "fetch"     // bytes are arriving; Done, Total and Rate are set
	StepVerify    Step = "verify"    // decoding, hashing, reading the executable's header
	StepSelfTest  Step = "self-test" // running the new version, see [SelfTest]
	StepSwap      Step = "swap"      // making the backup and replacing the target
	StepDone      Step = "done"
	StepRollback  Step = "rollback"
	StepWarning   Step = "warning" // something that does not stop the update; Err is set
)

// Event is what a function set with [OnEvent] is told.
type Event struct {
	_ uncomparable

	Step    Step
	Message string // for people

	// For StepFetch: the file, how many of its bytes are there, its size
	// or -1, and the bytes per second since it began.
	File        string
	Done, Total int64
	Rate        float64

	Err error // for StepWarning
}

// Event is large: built at each of the calls it would cost a kilobyte.
//
//go:noinline
func (c *Config) event(step Step, message string) {
	if c.events != nil {
		c.events(Event{Step: step, Message: message})
	}
}

// warn tells both the log and the listener.
func (c *Config) warn(err error) {
	if c.Log != nil {
		c.Log.Printf("warning: %v", err)
	}
	if c.events != nil {
		c.events(Event{Step: StepWarning, Message: err.Error(), Err: err})
	}
}

// progress returns a function that turns byte counts into events, at most one
// every tenth of a second and one at the end.
//
//go:noinline
func (c *Config) progress(file string) func(done, total int64) {
	if c.events == nil {
		return nil
	}
	var began time.Time
	var first int64
	last := -time.Hour
	return func(done, total int64) {
		if began.IsZero() {
			began, first = time.Now(), done
		}
		took := time.Since(began)
		if done != total && took-last < 100*time.Millisecond {
			return
		}
		last = took
		e := Event{Step: StepFetch, Message: "fetching " + file, File: file, Done: done, Total: total}
		if took > 0 {
			e.Rate = float64(done-first) / took.Seconds()
		}
		c.events(e)
	}
}

// silent is the log of those who listen to events, or to nothing.
var silent Log = discard{}

type discard struct{}

func (discard) Print(...any)          {}
func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}
func (discard) Fatal(...any)          {}
func (discard) Fatalf(string, ...any) {}
func (discard) Fatalln(...any)        {}
func (discard) Panic(...any)          {}
func (discard) Panicf(string, ...any) {}
func (discard) Panicln(...any)        {}
