//go:build unix

package updater

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/probation"
)

// TestFaultKillDaemon kills the daemon, whatever it is doing, at random moments: while it updates, starts, confirms, goes
// back. Whatever happened, the host runs a version that works in the end, and one that went back is not
// fetched again. UPDATER_KILLS says how many hosts there are; each has a seed of its own.
func TestFaultKillDaemon(t *testing.T) {
	n := 24
	if asked, err := strconv.Atoi(os.Getenv("UPDATER_KILLS")); err == nil {
		n = asked
	}
	kept, back := make(chan int, n), make(chan int, n)
	t.Run("hosts", func(t *testing.T) {
		free := make(chan struct{}, 4)
		for seed := range n {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				if killAtRandom(t, uint64(seed)) {
					kept <- 1
				} else {
					back <- 1
				}
			})
		}
	})
	fmt.Printf("fault test: %d hosts killed at random moments: %d kept version 2, %d went back, 0 failures\n", n, len(kept), len(back))
}

// killAtRandom tells whether the host ended with version 2.
func killAtRandom(t *testing.T, seed uint64) (kept bool) {
	random := rand.New(rand.NewPCG(seed, 1))
	behaviours := []string{"good", "exit", "hang", "ill", "init"}
	behaviour := behaviours[random.IntN(len(behaviours))]
	h := newHost(t, behaviour, "DAEMON_UPDATE=1", "DAEMON_WITHIN_MS=1000", "DAEMON_EXIT_MS=20", "DAEMON_ATTEMPTS=3")
	for range 1 + random.IntN(5) {
		h.guard()
		cmd, _ := h.start()
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	h.supervise(func() { h.guard() })
	h.awaitOne(t, behaviour == "good")
	s := h.status()
	kept = s.Version == "2"
	what := fmt.Sprintf("seed %d, %s: version %q, probation %+v, held %+v, history %+v\n%s", seed, behaviour, s.Version, s.Probation, s.Held, s.History, h.said())
	if s.Probation != nil || kept == (len(s.Held) == 1) || kept && behaviour != "good" {
		t.Error(what)
	}
	fetched := h.fetched()
	_, err := ApplyContext(context.Background(), SourceRepo(h.repo.URL), Version("2"), TargetFile(h.target), AllowContainer(), Probation(0, 0))
	if kept && err != nil || !kept && !errors.Is(err, ErrHeld) || h.fetched() != fetched {
		t.Errorf("%v; %s", err, what)
	}
	return kept
}

// awaitOne waits until a version works for good: 2, if it can, or 1 that knows that it must not update.
func (h *host) awaitOne(t *testing.T, good bool) {
	t.Helper()
	from := len(h.said())
	for range 6000 {
		said := h.said()
		if strings.Contains(said[from:], "1 held\n1 works") || good && strings.Contains(said[from:], "2 works") {
			return
		}
		r, _ := probation.Store{FS: disk.OS, Dir: (&Config{}).stateFolder(h.target)}.Read()
		if r.Current == nil && strings.Contains(said, "1 held\n1 works") && len(r.Held) == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no version works: %s", h.said())
}
