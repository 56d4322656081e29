package repo

import (
	"math"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/channel"
)

// A fleet takes a release to its share, the hosts that it fails on go back and stay away, and a pause stops it.
func TestFleet(t *testing.T) {
	begin := time.Date(2030, 5, 1, 0, 0, 0, 0, time.UTC)
	at := func(now time.Time) *Channel {
		d := &Channel{Name: "stable", Product: "tool", Serial: 1, Releases: []ChannelRelease{
			{Version: "1.0", Platforms: []string{"linux/amd64"}, Rollout: channel.Everyone},
			{Version: "1.1", Platforms: []string{"linux/amd64"}, Rollout: 10_00},
		}}
		if now.Sub(begin) >= 3*time.Hour {
			d.Serial, d.Releases[1].State = 2, channel.Paused
		}
		return d
	}
	ran := map[int]int{}
	f := Fleet{
		Hosts: 20_000, Parts: []FleetPart{{Share: 3, Version: "1.0", Platform: "linux/amd64"}, {Share: 1, Version: "1.0", Platform: "linux/arm64"}},
		From: begin, For: 6 * time.Hour, Interval: time.Hour, Channel: at,
		Fails: func(v string) (time.Duration, bool) { return 90 * time.Minute, v == "1.1" },
		Changed: func(host int, _ time.Time, _, to string) {
			if to == "1.1" {
				ran[host]++
			}
		},
	}
	times, err := f.Simulate(ctx)
	must(t, err)
	if n := float64(len(ran)); math.Abs(n-1500) > 5*math.Sqrt(1500) {
		t.Errorf("%v of 20000 ran it, 1500 are to", n)
	}
	failed := 0
	for i, now := range times {
		failed += now.Failed
		if checks := now.Quiet + now.News + now.Updates; checks != f.Hosts {
			t.Errorf("hour %d: %d checks", i, checks)
		}
		if want := i == 3; (now.News > 18_000) != (want || i == 0) {
			t.Errorf("hour %d: news for %d", i, now.News)
		}
	}
	for host, n := range ran {
		if n != 1 || host >= 15_000 {
			t.Fatalf("host %d took it %d times", host, n)
		}
	}
	if last := times[len(times)-1]; failed != len(ran) || last.Versions["1.0"] != f.Hosts {
		t.Errorf("%d went back, %v", failed, last.Versions)
	}
}

func TestFleetRefuses(t *testing.T) {
	good := Fleet{Hosts: 1, Parts: []FleetPart{{Share: 1, Platform: "linux/amd64"}}, For: 1, Interval: 1, Channel: func(time.Time) *Channel { return nil }}
	for name, spoil := range map[string]func(*Fleet){
		"no hosts":    func(f *Fleet) { f.Hosts = 0 },
		"no parts":    func(f *Fleet) { f.Parts = nil },
		"no interval": func(f *Fleet) { f.Interval = 0 },
		"platform":    func(f *Fleet) { f.Parts[0].Platform = "linux" },
		"negative":    func(f *Fleet) { f.Parts = append(f.Parts, FleetPart{Share: -0.5, Platform: "linux/amd64"}) },
	} {
		f := good
		f.Parts = append([]FleetPart(nil), good.Parts...)
		spoil(&f)
		if _, err := f.Simulate(ctx); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, text := range []string{"", "[]", "1,2", "1,2,3,4,5", "[{\"shares\": 1}]", "{"} {
		if parts, err := ParseFleet([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, parts)
		}
	}
}
