package updater

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
)

// Without a probation Boot costs one look for a small file: no lock, no write, no hash of the program.
func TestBootIsCheap(t *testing.T) {
	old, _ := buildPrograms(t)
	target := install(t, old)
	var ops []string
	fsys := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
		ops = append(ops, op.Kind+" "+op.Path)
		return nil
	}})
	r := Boot(TargetFile(target), func(c *Config) error { c.fs = fsys; return nil })
	if err := errors.Join(r.Err(), r.Confirm(), r.Stop(), r.Reject(errors.New("no")), r.Prove(context.Background())); err != nil || r.OnProbation() {
		t.Errorf("%v, on probation: %v", err, r.OnProbation())
	}
	most := 2
	if runtime.GOOS == "windows" {
		most++ // a look whether a crash between two renames has left no target
	}
	if len(ops) > most {
		t.Errorf("Boot does %q", ops)
	}
	if _, err := os.Stat((&Config{}).stateFolder(target)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Boot made a state folder: %v", err)
	}
}

func BenchmarkBoot(b *testing.B) {
	old, _ := buildPrograms(b)
	target := install(b, old)
	for b.Loop() {
		if err := Boot(TargetFile(target)).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// A deferred Stop does not take a panic for a stop.
func TestStopInPanic(t *testing.T) {
	url := faultRepo(t)
	s := scenario{action: "confirm"}
	target := s.prepare(t, url)
	r := bootFor(target, []Option{TargetFile(target)})
	defer release(r)
	func() {
		defer func() {
			if recover() != "as asked" {
				t.Error("the panic is swallowed")
			}
		}()
		defer r.Stop()
		panic("as asked")
	}()
	if status, err := Inspect(t.Context(), TargetFile(target)); err != nil || len(status.Probation.Open) != 1 {
		t.Errorf("the start is settled: %+v, %v", status.Probation, err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if status, err := Inspect(t.Context(), TargetFile(target)); err != nil || len(status.Probation.Open) != 0 || status.Probation.Unclean != 0 {
		t.Errorf("the stop is not noted: %+v, %v", status.Probation, err)
	}
}

// What makes no sense is refused where it is said.
func TestProbationOptions(t *testing.T) {
	for _, opt := range []Option{
		Probation(0, time.Minute), Probation(-1, time.Minute), Probation(1, time.Millisecond), SelfTest(0, nil), Every(time.Millisecond),
	} {
		if _, err := Check(t.Context(), SourceRepo("/nowhere"), Version("1"), opt); err == nil {
			t.Error("an option that makes no sense is taken")
		}
	}
}

// The version that is held can be asked for all the same.
func TestAllowHeld(t *testing.T) {
	url := faultRepo(t)
	s := scenario{action: "go back"}
	target := s.prepare(t, url)
	if err := s.run(disk.OS, url, target); err != nil {
		t.Fatal(err)
	}
	update := scenario{action: "update on probation"}
	if err := update.run(disk.OS, url, target); !errors.Is(err, ErrHeld) {
		t.Fatalf("a held version: %v", err)
	}
	// The same bytes under another version are held as well; 1.2.5 is the same binary.
	opts := []Option{SourceRepo(url), TargetFile(target), AllowContainer(), Probation(0, 0)}
	if _, err := ApplyContext(t.Context(), append(opts, Version("1.2.5"))...); !errors.Is(err, ErrHeld) {
		t.Errorf("the same binary under another version: %v", err)
	}
	if _, err := ApplyContext(t.Context(), append(opts, Version("1.2.3"), hour, AllowHeld())...); err != nil {
		t.Fatal(err)
	}
	if status, err := Inspect(t.Context(), TargetFile(target)); err != nil || status.Probation == nil || len(status.Held) != 0 {
		t.Errorf("%+v, %v", status, err)
	}
	if was, err := Unhold(t.Context(), "1.2.3", TargetFile(target)); was || err != nil {
		t.Errorf("unhold of what is not held: %v, %v", was, err)
	}
}

// A backup that is not what it was is not brought back; the program runs on.
func TestBackupExchanged(t *testing.T) {
	url := faultRepo(t)
	s := scenario{action: "go back"}
	target := s.prepare(t, url)
	if err := os.WriteFile(target+".backup", []byte("something else"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := bootFor(target, []Option{TargetFile(target)})
	defer release(r)
	if !errors.Is(r.Err(), ErrHash) || string(read(t, target)) != string(programs.new) {
		t.Errorf("%v", r.Err())
	}
	_, found, err := Diagnose(t.Context(), TargetFile(target), AllowContainer())
	if err != nil {
		t.Fatal(err)
	}
	problems := ""
	for _, f := range found {
		if !f.OK {
			problems += f.What + "; " + f.Do + "\n"
		}
	}
	if !strings.Contains(problems, "the backup is not the version") || !strings.Contains(problems, "has to go") {
		t.Errorf("the diagnosis: %s", problems)
	}
}
