// Command rollout simulates 100,000 hosts over one bad release: offered to 1, 10 and 50 % of them, then paused, and,
// where the hosts do not notice themselves, recalled. It prints what became of them, and what the server had to send,
// and draws a plot into the file that it is given.
//
// What a check and an update cost is measured first: with the client, over loopback, from a signed repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/choria-io/go-updater/repo"
)

const (
	hosts    = 100_000
	interval = time.Hour
	splay    = 6 * time.Hour
	good     = "1.0.0"
	bad      = "1.1.0"
)

// stage is what the operator does at a time.
type stage struct {
	at   time.Duration
	what string
	edit func(r *repo.ChannelRelease)
}

func share(hundredths int) func(*repo.ChannelRelease) {
	return func(r *repo.ChannelRelease) { r.Rollout = hundredths }
}

var stages = []stage{
	{2 * time.Hour, "1 %", share(1_00)},
	{14 * time.Hour, "10 %", share(10_00)},
	{26 * time.Hour, "50 %", share(50_00)},
	{30 * time.Hour, "pause", func(r *repo.ChannelRelease) { r.State = "paused" }},
}

var recall = stage{34 * time.Hour, "recall", func(r *repo.ChannelRelease) { r.State, r.BackTo = "recalled", good }}

const length = 48 * time.Hour

// scenario is one run.
type scenario struct {
	name   string
	title  string
	stages []stage
	fails  func(version string) (time.Duration, bool)

	took, back map[int]time.Time // by host: when it took the release, when it had left it
	times      []repo.FleetTime
}

func main() {
	err := errors.New("usage: rollout PLOT.svg")
	if len(os.Args) == 2 {
		err = run(context.Background(), os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plot string) error {
	c, err := measure(ctx)
	if err != nil {
		return fmt.Errorf("measuring what a check costs: %w", err)
	}
	c.print()
	scenarios := []*scenario{
		{name: "crashes", title: "it crashes: three starts, 10 minutes, and it is back", stages: stages, fails: func(v string) (time.Duration, bool) {
			return 10 * time.Minute, v == bad
		}},
		{name: "starts", title: "it starts and does harm: back by the recall", stages: append(slices.Clone(stages), recall)},
	}
	for _, s := range scenarios {
		if err := s.simulate(ctx); err != nil {
			return err
		}
		s.print(c)
	}
	return os.WriteFile(plot, draw(scenarios, c), 0o644)
}

var begin = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// channelAt is the channel as the operator has left it.
func (s *scenario) channelAt() func(time.Time) *repo.Channel {
	platforms := []string{"linux/amd64"}
	current := repo.Channel{Name: "stable", Product: "tool", Serial: 1, Releases: []repo.ChannelRelease{
		{Version: good, Platforms: platforms, Rollout: 100_00, Since: begin},
		{Version: bad, Platforms: platforms, Since: begin},
	}}
	documents := []*repo.Channel{&current}
	for _, st := range s.stages {
		next := *documents[len(documents)-1]
		next.Serial++
		next.Releases = slices.Clone(next.Releases)
		st.edit(&next.Releases[1])
		next.Releases[1].Since = begin.Add(st.at)
		documents = append(documents, &next)
	}
	return func(t time.Time) *repo.Channel {
		n := 0
		for n < len(s.stages) && t.Sub(begin) >= s.stages[n].at {
			n++
		}
		return documents[n]
	}
}

func (s *scenario) simulate(ctx context.Context) (err error) {
	s.took, s.back = map[int]time.Time{}, map[int]time.Time{}
	f := repo.Fleet{
		Hosts: hosts, Parts: []repo.FleetPart{{Share: 1, Version: good, Platform: "linux/amd64"}},
		From: begin, For: length, Interval: interval, Splay: splay, Channel: s.channelAt(), Fails: s.fails,
		Changed: func(host int, at time.Time, from, to string) {
			if to == bad {
				s.took[host] = at
			} else {
				s.back[host] = at
			}
		},
	}
	s.times, err = f.Simulate(ctx)
	return err
}

func (s *scenario) print(c costs) {
	fmt.Printf("\n%s\n\n| | ever ran %s | run it then |\n|---|---|---|\n", s.title, bad)
	for i, st := range s.stages {
		end := length
		if i+1 < len(s.stages) {
			end = s.stages[i+1].at
		}
		ran, now := s.countAt(begin.Add(end))
		fmt.Printf("| %s at hour %.0f, until hour %.0f | %d | %d |\n", st.what, st.at.Hours(), end.Hours(), ran, now)
	}
	var waits []time.Duration
	for host, at := range s.back {
		waits = append(waits, at.Sub(s.took[host]))
	}
	slices.Sort(waits)
	if n := len(waits); n > 0 {
		fmt.Printf("\nback: %d of %d; after %s (median), %s (the last one)\n", n, len(s.took), round(waits[n/2]), round(waits[n-1]))
	}
	if last := s.stages[len(s.stages)-1]; last.what == "recall" {
		var since []time.Duration
		for _, at := range s.back {
			since = append(since, at.Sub(begin.Add(last.at)))
		}
		slices.Sort(since)
		fmt.Printf("after the recall: %s (median), %s (the last one)\n", round(since[len(since)/2]), round(since[len(since)-1]))
	}
	s.printHours(c)
}

func round(d time.Duration) time.Duration { return d.Round(time.Minute) }

// countAt tells how many hosts had run the bad release by a time, and how many run it then.
func (s *scenario) countAt(t time.Time) (ran, now int) {
	for host, at := range s.took {
		if !at.Before(t) {
			continue
		}
		ran++
		if back, ok := s.back[host]; !ok || !back.Before(t) {
			now++
		}
	}
	return ran, now
}

// printHours prints the hours in which more happened than checks that find nothing.
func (s *scenario) printHours(c costs) {
	fmt.Printf("\n| hour | checks | with news | updates | went back by themselves | requests | MB sent and received |\n|---|---|---|---|---|---|---|\n")
	for i, t := range s.times {
		if i > 0 && t.News+t.Updates+t.Failed == 0 {
			continue
		}
		requests, bytes := s.load(c, t)
		fmt.Printf("| %d | %d | %d | %d | %d | %d | %.1f |\n", i, t.Quiet+t.News+t.Updates, t.News, t.Updates, t.Failed, requests, float64(bytes)/1e6)
	}
}

// load is what the server has to do in an interval. From the recall on, updates lead back.
func (s *scenario) load(c costs, t repo.FleetTime) (requests, bytes int) {
	update := c.update
	if last := s.stages[len(s.stages)-1]; last.what == "recall" && !t.Time.Before(begin.Add(last.at)) {
		update = c.back
	}
	requests = t.Quiet*c.quiet.requests + t.News*c.news.requests + t.Updates*update.requests
	bytes = t.Quiet*c.quiet.bytes + t.News*c.news.bytes + t.Updates*update.bytes
	return requests, bytes
}
