package updater

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/probation"
	"github.com/choria-io/go-updater/internal/swap"
)

// probationActions are what the fault tests do on a given disk beside updates and rollbacks.
var probationActions = map[string]func(fsys disk.FS, target string, opts []Option) error{
	// A start that finds the version has to go. It is done if the old version is back.
	"go back": func(_ disk.FS, target string, opts []Option) error {
		r := bootFor(target, opts)
		release(r)
		is, err := swap.HashFile(disk.OS, target)
		if was, berr := swap.HashFile(disk.OS, swap.Backup(target)); err == nil && berr == nil && is == was {
			return nil
		}
		return errors.Join(errors.New("the version is there still"), r.Err())
	},
	// A start, and the word that all is well. Where the start cannot be counted the version goes back.
	"confirm": func(_ disk.FS, target string, opts []Option) error {
		r := bootFor(target, opts)
		defer release(r)
		return errors.Join(r.Err(), r.Confirm())
	},
}

// bootFor is Boot in a program that runs from target, and that is not replaced.
func bootFor(target string, opts []Option) *Running {
	was, _ := os.Lstat(target)
	return Boot(append(opts, func(c *Config) error {
		c.reexec = func(string) error { return nil }
		c.runsFrom = func(path string) bool {
			is, err := os.Lstat(path)
			return was == nil || err == nil && os.SameFile(was, is)
		}
		return nil
	})...)
}

// release does what the end of the process does.
func release(r *Running) {
	if r.timer != nil {
		r.timer.Stop()
		r.life.Unlock()
		r.life.Close()
	}
}

func (s scenario) onProbation() bool {
	return s.action == "update on probation" || s.action == "go back" || s.action == "confirm"
}

// prepareTrial makes the state before a start: the new version is on probation, and for "go back" it has failed.
func (s scenario) prepareTrial(t testing.TB, url, target string) {
	t.Helper()
	if s.action != "go back" && s.action != "confirm" {
		return
	}
	if err := (scenario{"update on probation", s.away}).run(disk.OS, url, target); err != nil {
		t.Fatal(err)
	}
	if s.action == "go back" {
		editRecord(t, target, func(trial *Trial) { trial.Starts, trial.Unclean = 2, 2 })
	}
}

// editRecord changes the record as another time or machine would have written it.
func editRecord(t testing.TB, target string, change func(*Trial)) {
	t.Helper()
	store := (&Config{fs: disk.OS}).record(target)
	r, err := store.Read()
	if err != nil {
		t.Fatal(err)
	}
	change(r.Current)
	if err := store.Put(r); err != nil {
		t.Fatal(err)
	}
}

// mayLeave tells the files of a probation, and those that the next one clears away.
func (s scenario) mayLeave(name string) bool {
	return s.onProbation() && (strings.HasPrefix(name, "probation") || strings.HasPrefix(name, "history.json") ||
		strings.HasPrefix(name, "life-") || strings.HasPrefix(name, "probe") || s.away && strings.Contains(name, ".updater-old."))
}

// checkRecord makes sure that what is remembered fits what stands at the target's path.
func (s scenario) checkRecord(t *testing.T, what, target string) {
	t.Helper()
	if !s.onProbation() {
		return
	}
	store := probation.Store{FS: disk.OS, Dir: (&Config{}).stateFolder(target)}
	r, err := store.Read()
	if err != nil {
		t.Fatalf("%v, %s: %v", s, what, err)
	}
	data := read(t, target)
	_, held := r.Holds("1.2.3", "")
	isNew := bytes.Equal(data, programs.new)
	if s.action == "update on probation" {
		if r.Current == nil || r.Current.Place(sum(data)) != probation.IsNew || r.Current.Back != "" || held {
			t.Fatalf("%v, %s: the new version is not on probation: %+v", s, what, r)
		}
		return
	}
	if r.Current != nil || held == isNew {
		t.Fatalf("%v, %s: the new version is there: %v, but held: %v; %+v", s, what, isNew, held, r.Current)
	}
}

// hour is a probation that does not end while a test runs.
var hour = Probation(2, time.Hour)
