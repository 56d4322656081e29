package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
	"github.com/choria-io/go-updater/internal/swap"
)

var timeZero time.Time

// faultChild names the variable that makes the test binary a program which
// updates a target and is killed on the way.
const faultChild = "UPDATER_FAULT_CHILD"

// scenario is one action under one strategy.
type scenario struct {
	action string // "update", "signed update", "update by deltas", "rollback" of an update, or one of probationActions
	away   bool
}

var scenarios = []scenario{{"update", false}, {"rollback", false}, {"update", true}, {"rollback", true}, {"signed update", false}, {"update by deltas", false},
	{"update on probation", false}, {"go back", false}, {"confirm", false}, {"go back", true}}

func (s scenario) String() string {
	if s.away {
		return s.action + ", rename-away"
	}
	return s.action + ", one rename"
}

// want is what stands at the target before and after.
func (s scenario) want(t testing.TB) (before, after []byte) {
	old, new := buildPrograms(t)
	if s.action == "rollback" || s.action == "go back" {
		return new, old
	}
	return old, new
}

// prepare makes a folder with the state before the action.
func (s scenario) prepare(t testing.TB, url string) string {
	old, _ := buildPrograms(t)
	target := install(t, old)
	if s.action == "rollback" {
		if err := (scenario{"update", s.away}).run(disk.OS, url, target); err != nil {
			t.Fatalf("preparing the rollback: %v", err)
		}
	}
	s.prepareTrial(t, url, target)
	return target
}

// run performs the action on a given disk.
func (s scenario) run(fsys disk.FS, url, target string) error {
	opts := []Option{
		SourceRepo(url), Version("1.2.3"), TargetFile(target),
		AllowContainer(),
		func(c *Config) error { c.fs, c.renameAway = fsys, s.away; return nil },
		// Reading this machine's package database, thousands of times, would be half of the work, and no fault is made in it.
		func(c *Config) error { c.system.Root = filepath.Join(filepath.Dir(target), "no-system"); return nil },
	}
	if s.onProbation() {
		opts = append(opts, hour)
	}
	if s.action == "update by deltas" {
		opts = append(opts, Version("1.2.5"))
	}
	if s.action == "signed update" {
		opts = append(opts, TrustRoot(newTUF().Files["1.root.json"]), at2030)
	}
	if run := probationActions[s.action]; run != nil {
		return run(fsys, target, opts)
	}
	if s.action == "rollback" {
		_, err := Rollback(context.Background(), opts...)
		return err
	}
	_, err := ApplyContext(context.Background(), opts...)
	return err
}

// addChain adds version 1.2.5, the same binary, to which two deltas lead from the old one.
func addChain(t testing.TB, r *signedRepo) {
	old, new := buildPrograms(t)
	d := &deltaRepo{newRepo(t), map[string][]byte{}}
	d.add(t, "1.2.3", old)
	d.add(t, "1.2.4", bytes.Replace(new, []byte("new"), []byte("neo"), 1), "1.2.3")
	d.add(t, "1.2.5", new, "1.2.4")
	for name, data := range d.files {
		if !strings.HasPrefix(name, "1.2.3/") {
			r.files[name] = data
		}
	}
}

// faultRepo serves version 1.2.3, signed, and 1.2.5.
func faultRepo(t testing.TB) string {
	_, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	addChain(t, r)
	return r.URL
}

// checkAfter checks the target after a fault, reruns the action and checks again.
// gone says that the target may be missing until then.
func (s scenario) checkAfter(t *testing.T, what, url, target string, faulted error, gone bool) {
	t.Helper()
	before, after := s.want(t)
	data, err := os.ReadFile(target)
	switch {
	case errors.Is(err, fs.ErrNotExist) && gone:
	case err != nil:
		t.Fatalf("%v, %s: %v (the action said: %v)", s, what, err, faulted)
	case !bytes.Equal(data, before) && !bytes.Equal(data, after):
		t.Fatalf("%v, %s: the target is neither old nor new but %d bytes", s, what, len(data))
	default:
		s.checkWhole(t, what, target)
	}
	if err := s.run(disk.OS, url, target); err != nil {
		t.Fatalf("%v, %s: rerun: %v", s, what, err)
	}
	if !bytes.Equal(read(t, target), after) && s.action != "confirm" {
		t.Fatalf("%v, %s: after the rerun the target is not what it should be", s, what)
	}
	s.checkWhole(t, what+", rerun", target)
	s.checkRecord(t, what, target)
	s.checkClean(t, fmt.Sprintf("%v, %s", s, what), target)
}

func (s scenario) checkWhole(t *testing.T, what, target string) {
	t.Helper()
	info, err := os.Lstat(target)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o751 {
		t.Fatalf("%v, %s: the target has mode %v", s, what, info.Mode())
	}
	if out := runs(t, target); out != "old" && out != "new" {
		t.Fatalf("%v, %s: the target says %q", s, what, out)
	}
}

// checkClean makes sure that no temporary file is left.
func (s scenario) checkClean(t *testing.T, what, target string) {
	t.Helper()
	for folder, allowed := range map[string]string{
		filepath.Dir(target):  " " + filepath.Base(target) + " " + filepath.Base(target) + ".backup ." + filepath.Base(target) + ".updater ",
		swap.StateDir(target): " lock state.json metadata delta-failed ",
	} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.Contains(allowed, " "+e.Name()+" ") && !s.mayLeave(e.Name()) && !strings.Contains(what, "(remove "+e.Name()+")") {
				t.Errorf("%s: %s is left", what, filepath.Join(folder, e.Name()))
			}
		}
	}
}

// errnos are what operations fail with. Applying deltas twice for each failure and rerun takes
// its time, and what comes before and after is the other updates'.
func (s scenario) errnos() []syscall.Errno {
	if s.action == "update by deltas" || s.onProbation() {
		return []syscall.Errno{syscall.EIO}
	}
	return []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EACCES}
}

// TestFaultErrors fails each operation in turn, alone and with all later ones.
func TestFaultErrors(t *testing.T) {
	url := faultRepo(t)
	each(t, func(t *testing.T, s scenario) {
		points, most := 0, 0
		for _, errno := range s.errnos() {
			for _, rest := range []bool{false, true} {
				n := everyOp(func(at int) bool { return s.failAt(t, url, at, errno, rest) })
				points += n
				most = max(most, n)
			}
		}
		fmt.Printf("fault test: %v: %d operations, %d points of failure, 0 failures\n", s, most, points)
	})
}

// everyOp calls test with the number of each operation, until there are no more.
func everyOp(test func(at int) bool) (n int) {
	for test(n + 1) {
		n++
	}
	return n
}

// each runs a test for all scenarios side by side.
func each(t *testing.T, test func(*testing.T, scenario)) {
	for _, s := range scenarios {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// failAt fails operation number at. It returns false if there were fewer: how many there are
// depends on the pieces in which the network delivers the archive.
func (s scenario) failAt(t *testing.T, url string, at int, errno syscall.Errno, rest bool) bool {
	target := s.prepare(t, url)
	what := ""
	var hit atomic.Bool
	fsys := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
		later := hit.Load()
		if op.N == at {
			hit.Store(true)
			what = fmt.Sprintf("%v at operation %d (%s %s), all later: %v", errno, at, op.Kind, filepath.Base(op.Path), rest)
		}
		if op.N == at || rest && later {
			return errno
		}
		return nil
	}})
	err := s.run(fsys, url, target)
	before, after := s.want(t)
	gone := RollbackError(err) != nil
	if gone && !s.away {
		t.Fatalf("%v, %s: one rename has nothing to undo: %v", s, what, err)
	}
	if !gone && s.action != "confirm" {
		want := before
		if err == nil || errors.Is(err, ErrNotDurable) {
			want = after
		}
		if !bytes.Equal(read(t, target), want) {
			t.Fatalf("%v, %s: the target is not what the action says: %v", s, what, err)
		}
	}
	if !rest && err != nil && !gone {
		s.checkTemps(t, what, target)
	}
	if what == "" && err != nil {
		t.Fatalf("%v without a fault: %v", s, err)
	}
	s.checkAfter(t, what, url, target, err, gone)
	os.RemoveAll(filepath.Dir(target)) // together they would be gigabytes
	return what != ""
}

// checkTemps makes sure that a single failure leaves no temporary file in the target's folder, unless
// it was the removal that failed.
func (s scenario) checkTemps(t *testing.T, what, target string) {
	t.Helper()
	if strings.Contains(what, "(remove") || strings.Contains(what, "(syncdir") {
		return
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(target), ".*.updater-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v, %s: left %v %v", s, what, left, err)
	}
}

// TestFaultKill kills a process that updates at each operation in turn.
func TestFaultKill(t *testing.T) {
	url := faultRepo(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, s scenario) {
		n := everyOp(func(at int) bool { return s.killAt(t, self, url, at) })
		fmt.Printf("fault test: %v: killed at each of %d operations, 0 failures\n", s, n)
	})
}

// killAt has a child killed at operation number at. It returns false if the child did its work in
// fewer.
func (s scenario) killAt(t *testing.T, self, url string, at int) bool {
	target := s.prepare(t, url)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%v|%d|%s|%s", faultChild, s.action, s.away, at, url, target))
	out, err := cmd.CombinedOutput()
	survived := err == nil
	_, after := s.want(t)
	switch {
	case survived && (string(out) != survival || !bytes.Equal(read(t, target), after)):
		t.Fatalf("%v, not killed before operation %d: the work is not done: %s", s, at, out)
	case !survived && len(out) != 0:
		t.Fatalf("%v, killed at %d: %v %s", s, at, err, out)
	}
	s.checkAfter(t, fmt.Sprintf("killed at operation %d", at), url, target, nil, s.away && !survived)
	os.RemoveAll(filepath.Dir(target)) // together they would be gigabytes
	return !survived
}

// survival is what a child says that has done its work.
const survival = "survived: <nil>\n"

// runFaultChild is what the child does.
func runFaultChild() {
	args := strings.Split(os.Getenv(faultChild), "|")
	at, _ := strconv.Atoi(args[2])
	fsys := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
		if op.N == at {
			p, err := os.FindProcess(os.Getpid())
			if err == nil {
				p.Kill()
			}
			select {}
		}
		return nil
	}})
	err := (scenario{args[0], args[1] == "true"}).run(fsys, args[3], args[4])
	fmt.Println("survived:", err)
}

// TestFaultPowerLoss looks, after each operation, at everything that a power
// loss may leave, and goes on from there.
func TestFaultPowerLoss(t *testing.T) {
	url := faultRepo(t)
	each(t, func(t *testing.T, s scenario) { s.losePower(t, url) })
}

func (s scenario) losePower(t *testing.T, url string) {
	target := s.prepare(t, url)
	folder := filepath.Dir(target)
	model, err := disktest.NewModel(folder)
	if err != nil {
		t.Fatal(err)
	}
	points, states := 0, map[string]bool{}
	look := func(what string, done bool) {
		for _, crash := range model.Crashes() {
			points++
			what := what + ": " + crash.What
			s.checkCrash(t, what, crash, target, done)
			if key := crash.Key(); !states[key] {
				states[key] = true
				s.goOn(t, what, url, crash, folder)
			}
		}
	}
	fsys := disktest.Wrap(disk.OS, disktest.Hooks{After: func(op disktest.Op) {
		model.Apply(op)
		if op.Changes() {
			look(fmt.Sprintf("operation %d (%s %s)", op.N, op.Kind, filepath.Base(op.Path)), false)
		}
	}})
	if err := s.run(fsys, url, target); err != nil {
		t.Fatal(err)
	}
	look("after success", true)
	fmt.Printf("fault test: %v: %d states after a power loss, %d of them different and continued, 0 failures\n", s, points, len(states))
}

func (s scenario) checkCrash(t *testing.T, what string, crash disktest.Crash, target string, done bool) {
	t.Helper()
	before, after := s.want(t)
	data, mode, ok := crash.File(target)
	switch {
	case !ok && s.away && !done:
	case !ok:
		t.Fatalf("%v, %s: no target", s, what)
	case done && !bytes.Equal(data, after) && s.action != "confirm":
		t.Fatalf("%v, %s: success was reported and is lost", s, what)
	case !bytes.Equal(data, before) && !bytes.Equal(data, after):
		t.Fatalf("%v, %s: the target has %d other bytes", s, what, len(data))
	case mode.Perm() != 0o751:
		t.Fatalf("%v, %s: the target has mode %v", s, what, mode)
	}
}

// goOn makes the state real in another folder and reruns the action there.
func (s scenario) goOn(t *testing.T, what, url string, crash disktest.Crash, folder string) {
	t.Helper()
	to, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := crash.WriteTo(folder, to); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(to, "tool")
	if runtime.GOOS == "windows" {
		target += ".exe"
	}
	if _, err := os.Stat(swap.Backup(target)); s.action == "rollback" && err != nil {
		t.Fatalf("%v, %s: the backup is gone", s, what)
	}
	s.checkAfter(t, what, url, target, nil, s.away)
	os.RemoveAll(to)
}
