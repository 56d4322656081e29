package probation

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
)

func at(minutes int) Moment {
	return Moment{Boot: "one", Up: time.Duration(minutes) * time.Minute}
}

func later(minutes int) Moment { return Moment{Boot: "two", Up: time.Duration(minutes) * time.Minute} }

func trial() *Trial {
	return &Trial{N: 1, From: Binary{"1", "old"}, To: Binary{"2", "new"}, Attempts: 2, Within: 10 * time.Minute}
}

func none(int) bool { return false }
func all(int) bool  { return true }

// A story is what happens to a trial; what comes of it stands behind.
func TestStories(t *testing.T) {
	for name, c := range map[string]struct {
		story                    func(*Trial) Moment
		starts, unclean, reboots int
		elapsed                  time.Duration
		back                     bool
	}{
		"never started": {func(t *Trial) Moment { return at(1000) }, 0, 0, 0, 0, false},
		"one start":     {func(t *Trial) Moment { t.Arrive(at(1), ByProgram, 7); return at(3) }, 1, 0, 0, 2 * time.Minute, false},
		"two unclean exits": {func(t *Trial) Moment {
			t.Arrive(at(1), ByProgram, 7)
			t.Settle(at(2), none, false)
			t.Arrive(at(2), ByProgram, 8)
			t.Settle(at(3), none, false)
			return at(3)
		}, 2, 2, 0, 2 * time.Minute, true},
		"one of two instances": {func(t *Trial) Moment {
			t.Arrive(at(1), ByProgram, 7)
			t.Arrive(at(1), ByProgram, 8)
			t.Settle(at(2), func(n int) bool { return n == 1 }, false)
			return at(2)
		}, 2, 1, 0, time.Minute, false},
		"past the deadline": {func(t *Trial) Moment { t.Arrive(at(1), ByProgram, 7); return at(11) }, 1, 0, 0, 10 * time.Minute, true},
		"stopped: no time passes": {func(t *Trial) Moment {
			t.Leave(t.Arrive(at(1), ByProgram, 7), at(4))
			t.Settle(at(500), none, false)
			return at(500)
		}, 1, 0, 0, 3 * time.Minute, false},
		"stopped and started": {func(t *Trial) Moment {
			t.Leave(t.Arrive(at(1), ByProgram, 7), at(4))
			t.Arrive(at(100), ByProgram, 8)
			return at(107)
		}, 2, 0, 0, 10 * time.Minute, true},
		"a reboot": {func(t *Trial) Moment {
			t.Arrive(at(1), ByProgram, 7)
			t.Settle(at(3), all, false)
			t.Settle(later(1), none, false)
			t.Arrive(later(1), ByProgram, 7)
			return later(4)
		}, 2, 0, 1, 5 * time.Minute, false},
		"a reboot that only the clock shows": {func(t *Trial) Moment {
			t.Arrive(at(50), ByProgram, 7)
			t.Settle(at(1), none, false)
			return at(2)
		}, 1, 0, 1, 0, false},
		"a guard and the program": {func(t *Trial) Moment {
			t.Arrive(at(1), ByGuard, 0)
			t.Settle(at(1), none, false)
			t.Arrive(at(1), ByProgram, 7)
			return at(1)
		}, 1, 0, 0, 0, false},
		"a guard, and nothing": {func(t *Trial) Moment {
			t.Arrive(at(1), ByGuard, 0)
			t.Settle(at(2), none, true)
			t.Arrive(at(2), ByGuard, 0)
			t.Settle(at(3), none, true)
			return at(3)
		}, 2, 2, 0, 2 * time.Minute, true},
		"a failure is counted once": {func(t *Trial) Moment {
			n := t.Arrive(at(1), ByGuard, 0)
			t.Fail(n, Failure{Exit: "exit status 1"})
			t.Fail(n, Failure{Exit: "exit status 1"})
			t.Settle(at(2), none, true)
			return at(2)
		}, 1, 1, 0, time.Minute, false},
		"it goes back": {func(t *Trial) Moment { t.Back = "why"; return at(1) }, 0, 0, 0, 0, true},
	} {
		tr := trial()
		now := c.story(tr)
		if tr.Starts != c.starts || tr.Unclean != c.unclean || tr.Reboots != c.reboots {
			t.Errorf("%s: %d starts, %d unclean, %d reboots", name, tr.Starts, tr.Unclean, tr.Reboots)
		}
		if got := tr.Elapsed(now); got != c.elapsed {
			t.Errorf("%s: %v elapsed, want %v", name, got, c.elapsed)
		}
		if reason := tr.Verdict(now); (reason != "") != c.back {
			t.Errorf("%s: verdict %q", name, reason)
		}
	}
}

// However often it starts, what is remembered stays small.
func TestBounds(t *testing.T) {
	tr := trial()
	tr.Attempts = 1 << 30
	for i := range 1000 {
		tr.Arrive(at(i), ByProgram, i)
		if i%2 == 0 {
			tr.Settle(at(i), none, false)
		}
	}
	if len(tr.Open) > maxOpen || len(tr.Failures) > maxFailures {
		t.Errorf("%d starts, %d failures are kept", len(tr.Open), len(tr.Failures))
	}
	r := &Record{}
	for i := range 1000 {
		r.Hold(Binary{Version: string(rune('a' + i))}, "", time.Time{})
	}
	if len(r.Held) != maxHeld {
		t.Errorf("%d are held", len(r.Held))
	}
	s := Store{disk.OS, t.TempDir()}
	for n := range 100 {
		if err := s.Remember(Evidence{N: n}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.History(); len(list) != recent || list[recent-1].N != 99 || err != nil {
		t.Errorf("%d trials are remembered, %v", len(list), err)
	}
}

func TestReconcile(t *testing.T) {
	over := func() *Trial { o := trial(); o.N, o.To = 0, Binary{"1.5", "between"}; return o }
	for name, c := range map[string]struct {
		sum     string
		edit    func(*Trial)
		outcome string // empty: still on probation
		held    bool
		current string // the version that is on probation then
	}{
		"it is there":         {"new", func(*Trial) {}, "", false, "2"},
		"never swapped":       {"old", func(*Trial) {}, NotInstalled, false, ""},
		"rolled back by hand": {"old", func(t *Trial) { t.Starts = 1 }, RolledBack, true, ""},
		"went back":           {"old", func(t *Trial) { t.Back = "why" }, RolledBack, true, ""},
		"is to go back":       {"new", func(t *Trial) { t.Back = "why" }, "", true, "2"},
		"another":             {"third", func(*Trial) {}, Superseded, false, ""},
		"the one before":      {"between", func(t *Trial) { t.Over = over() }, "", false, "1.5"},
	} {
		r := &Record{Current: trial()}
		c.edit(r.Current)
		e := r.Reconcile(c.sum, time.Time{})
		outcome := ""
		if e != nil {
			outcome = e.Outcome
		}
		_, held := r.Holds("2", "")
		_, heldSum := r.Holds("", "new")
		current := ""
		if r.Current != nil {
			current = r.Current.To.Version
		}
		if outcome != c.outcome || held != c.held || heldSum != c.held || current != c.current {
			t.Errorf("%s: %q, held %v %v, on probation %q", name, outcome, held, heldSum, current)
		}
	}
}

// What makes no sense stops nothing, and is kept.
func TestBadRecord(t *testing.T) {
	for _, content := range []string{"", "\x00\x00", `{"format":1`, `{"format":9}`, string(make([]byte, limit+1)), `{"format":1,"current":7}`} {
		s := Store{disk.OS, t.TempDir()}
		if err := os.WriteFile(s.path(recordName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Read(); !errors.Is(err, errRecord) || r.Current != nil {
			t.Errorf("%.20q: %v", content, err)
		}
		warned := 0
		if _, err := s.Mend(func(error) { warned++ }); err != nil || warned != 1 {
			t.Errorf("%.20q: %v, %d warnings", content, err, warned)
		}
		if _, err := os.Stat(filepath.Join(s.Dir, recordName+".unreadable")); err != nil {
			t.Error(err)
		}
		if r, err := s.Read(); err != nil || r.Current != nil {
			t.Errorf("%.20q, afterwards: %v", content, err)
		}
	}
}

// The record that is renamed when nothing can be written is that of its own trial alone.
func TestMarkBack(t *testing.T) {
	s := Store{disk.OS, t.TempDir()}
	r := &Record{Held: []Held{{Binary: Binary{"0", "zero"}}}}
	r.New(trial())
	if err := errors.Join(s.PrepareBack(r, "no room"), s.Put(r)); err != nil {
		t.Fatal(err)
	}
	if err := s.MarkBack(2); err == nil {
		t.Error("the mark of another trial is taken")
	}
	if err := s.MarkBack(1); err != nil {
		t.Fatal(err)
	}
	got, err := s.Read()
	if err != nil || got.Current.Back != "no room" || len(got.Held) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if h, held := got.Holds("2", ""); !held || h.Reason != "no room" {
		t.Errorf("held: %v %+v", held, h)
	}
}

func TestLife(t *testing.T) {
	s := Store{disk.OS, t.TempDir()}
	f, err := s.Live(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Alive(1, 3) || s.Alive(1, 4) || s.Alive(2, 3) {
		t.Error("who lives is not told from who does not")
	}
	f.Unlock()
	f.Close()
	if s.Alive(1, 3) {
		t.Error("the dead live")
	}
}

func FuzzRecord(f *testing.F) {
	r := &Record{Format: format}
	r.New(trial())
	data, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"current":{"open":[{"n":-1}],"attempts":-5,"within_ns":-9}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := Store{disk.OS, t.TempDir()}
		if err := os.WriteFile(s.path(recordName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := s.Read()
		if err != nil && !errors.Is(err, errRecord) {
			t.Fatalf("%v does not wrap errRecord", err)
		}
		r.Holds("2", "new")
		if r.Current != nil {
			r.Current.Settle(at(1), none, true)
			r.Current.Arrive(at(2), ByProgram, 1)
			r.Current.Verdict(at(3))
			r.Reconcile("new", time.Time{})
		}
	})
}
