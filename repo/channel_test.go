package repo

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	tufclient "github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/store"
)

func share(n int) *int { return &n }

// changed makes changes of the channel stable that must not fail.
func changed(t *testing.T, r *Repo, by ...ChannelChange) *Channel {
	t.Helper()
	var done *ChangedChannel
	for _, change := range by {
		var err error
		done, err = r.ChangeChannel(ctx, "stable", change)
		must(t, err)
	}
	return done.Channel
}

// versionsOf are the releases of a channel and their shares, in order.
func versionsOf(d *Channel) string {
	var list []string
	for _, r := range d.Releases {
		list = append(list, fmt.Sprintf("%s:%s%s", r.Version, FormatPercent(r.Rollout), r.State))
	}
	return strings.Join(list, " ")
}

// plain is the channel as those see it who check no signatures.
func plain(t *testing.T, s store.Store) string {
	t.Helper()
	data, err := Open(s).read(ctx, "channels/stable.json", channel.MaxSize)
	must(t, err)
	d, err := channel.Parse(data)
	must(t, err)
	return versionsOf(d)
}

// Wherever a change of a channel is interrupted, everyone sees the old channel or the new one, and the change can be made again.
func TestFaultsOfChannel(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	changed(t, k.open(s), Promotion{Version: "1", Rollout: share(100)})
	op := func(r *Repo) error {
		_, err := r.ChangeChannel(ctx, "stable", Promotion{Version: "1", Rollout: share(5000)})
		return err
	}
	const before, after = "1:1", "1:50"
	runs := 0
	for _, mode := range []faulty{{}, {after: true}, {crashes: true}, {crashes: true, after: true}} {
		for n := 1; ; n++ {
			f := mode
			f.Mem, f.at = copyMem(t, s), n
			err := op(k.open(&f))
			if !f.failed {
				must(t, err)
				break
			}
			runs++
			signed, cerr := Open(f.Mem).Channel(ctx, "stable")
			must(t, cerr)
			if is, seen := versionsOf(signed), plain(t, f.Mem); is != before && is != after || seen != before && seen != after || seen == after && is == before {
				t.Fatalf("fault %d: signed %s, plain %s", n, is, seen)
			}
			must(t, op(k.open(&faulty{Mem: f.Mem})))
			signed, cerr = Open(f.Mem).Channel(ctx, "stable")
			must(t, cerr)
			if is, seen := versionsOf(signed), plain(t, f.Mem); is != after || seen != after {
				t.Fatalf("fault %d, again: signed %s, plain %s", n, is, seen)
			}
			a, err := k.open(f.Mem).Audit(ctx, nil)
			if err != nil || len(a.Problems) > 0 {
				t.Fatalf("fault %d: %v, %v", n, a.Problems, err)
			}
		}
	}
	t.Logf("%d faults", runs)
	if !installableNow(t, s, root) {
		t.Error("releases are gone")
	}
}

func installableNow(t *testing.T, s store.Store, root []byte) bool {
	t.Helper()
	ok, err := installable(s, root, "1")
	must(t, err)
	return ok
}

// A TUF client that knows nothing of us fetches the document by the name that consistent snapshots give it.
func TestChannelByOracle(t *testing.T) {
	s, k, root := signedRepo(t, "1")
	for _, n := range []int{0, 1, 2, 3} {
		changed(t, k.open(s), Promotion{Version: "1", Rollout: share(n)})
	}
	cfg, err := config.New("mem:/metadata", root)
	must(t, err)
	cfg.RemoteTargetsURL, cfg.Fetcher, cfg.DisableLocalCache = "mem:/", fetcher{s}, true
	u, err := tufclient.New(cfg)
	must(t, err)
	must(t, u.Refresh())
	info, err := u.GetTargetInfo("channels/stable.json")
	must(t, err)
	_, data, err := u.DownloadTarget(info, "", "")
	must(t, err)
	d, err := channel.Parse(data)
	if err != nil || versionsOf(d) != "1:0.03" || d.Product != "tool" {
		t.Errorf("%+v, %v", d, err)
	}
	entries, err := s.List(ctx, "channels/")
	if err != nil || len(entries) != 3 {
		t.Errorf("the plain one, the current and the one before are kept: %v, %v", entries, err)
	}
	// What a client has to fetch for a change: small, whatever else the repository has.
	if base, err := Open(s).load(ctx, false); err != nil {
		t.Error(err)
	} else if m, err := base.role(ctx, "channels", base.roles["targets"]); err != nil {
		t.Error(err)
	} else if data, err := m.ToBytes(false); err != nil || len(data) > 700 {
		t.Errorf("the role of channels has %d bytes, %v", len(data), err)
	}
}

// A change that two maintainers have to sign shows when the second has.
func TestStagedChannel(t *testing.T) {
	s, k := &store.Mem{}, newKeys(t)
	second := newKeys(t).release
	init := k.init()
	init.Keys["targets"] = append(init.Keys["targets"], second.public)
	init.Thresholds = map[string]int{"targets": 2}
	both := k.open(s)
	both.SignWith(second)
	_, err := both.Sign(ctx, init)
	must(t, err)
	_, err = both.Add(ctx, small(t, "1", "one"))
	must(t, err)
	changed(t, both, Promotion{Version: "1", Rollout: share(0)})
	_, err = k.open(s).ChangeChannel(ctx, "stable", Promotion{Version: "1", Rollout: share(100)})
	if signed, cerr := Open(s).Channel(ctx, "stable"); !errors.Is(err, ErrStaged) || cerr != nil || versionsOf(signed) != "1:0" || plain(t, s) != "1:0" {
		t.Fatalf("one of two signatures: %v, %+v, %v", err, signed, cerr)
	}
	p, err := k.open(s).Staged(ctx)
	must(t, err)
	_, complete, err := p.Sign(second)
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	must(t, k.open(s).Import(ctx, p))
	signed, err := Open(s).Channel(ctx, "stable")
	if err != nil || versionsOf(signed) != "1:1" || plain(t, s) != "1:1" {
		t.Errorf("%+v, %v, plain %s", signed, err, plain(t, s))
	}
}

func TestChannelOrder(t *testing.T) {
	r := Open(&store.Mem{})
	for _, v := range []string{"1.0", "1.1", "1.2", "nightly"} {
		_, err := r.Add(ctx, small(t, v, v))
		must(t, err)
	}
	d := changed(t, r, Promotion{Version: "1.2"}, Promotion{Version: "nightly"}, Promotion{Version: "1.0"}, Promotion{Version: "1.1", Rollout: share(0)})
	if is := versionsOf(d); is != "1.0:100 1.1:0 1.2:100 nightly:100" {
		t.Error(is)
	}
	was := d.Serial
	if d = changed(t, r, Rollout{Version: "1.1", Share: 1}); d.Serial <= was || d.Serial < time.Now().Unix() {
		t.Errorf("serial %d after %d", d.Serial, was)
	}
	if _, err := r.ChangeChannel(ctx, strings.Repeat("a", 64)+".x", Promotion{Version: "1.0"}); err == nil {
		t.Error("a name that is taken for a hash")
	}
	for _, name := range []string{"", "..", "a/b", "a b"} {
		if _, err := r.ChangeChannel(ctx, name, Promotion{Version: "1.0"}); err == nil {
			t.Errorf("channel %q", name)
		}
	}
}

// A channel does not grow without end: what nothing needs is dropped, the oldest first.
func TestChannelTrims(t *testing.T) {
	r := Open(&store.Mem{})
	for i := range keptReleases + 4 {
		v := fmt.Sprintf("1.%d", i)
		_, err := r.Add(ctx, small(t, v, v))
		must(t, err)
		changed(t, r, Promotion{Version: v})
		if i == 2 {
			changed(t, r, Recall{Version: "1.2", To: "1.1"})
		}
	}
	d, err := r.Channel(ctx, "stable")
	must(t, err)
	if len(d.Releases) != keptReleases || d.Find("1.0") != nil || d.Find("1.1") == nil || d.Find("1.2") == nil || d.Find("1.3") != nil {
		t.Error(versionsOf(d))
	}
}

func TestRefusedChangesChangeNothing(t *testing.T) {
	s, k, _ := signedRepo(t, "1", "2", "3")
	r := k.open(s)
	changed(t, r, Promotion{Version: "1"}, Promotion{Version: "2", Through: "1"}, Promotion{Version: "3"}, Pause{Version: "3"}, Floor{Rollback: "2"})
	before := plain(t, s)
	for name, by := range map[string]ChannelChange{
		"promote what is paused":   Promotion{Version: "3"},
		"promote nothing":          Promotion{Version: "4"},
		"too much":                 Promotion{Version: "2", Rollout: share(10_001)},
		"less":                     Rollout{Version: "2", Share: 1},
		"negative":                 Rollout{Version: "2", Share: -1, Force: true},
		"rollout of paused":        Rollout{Version: "3", Share: 10_000},
		"pause again":              Pause{Version: "3"},
		"pause a step":             Pause{Version: "1"},
		"withdraw a step":          Withdrawal{Version: "1"},
		"resume what is not":       Resume{Version: "2"},
		"recall below the floor":   Recall{Version: "3", To: "1"},
		"recall to itself":         Recall{Version: "3", To: "3"},
		"floor at paused":          Floor{Mandatory: "3"},
		"floor nowhere":            Floor{Mandatory: "9"},
		"opaque rollback floor":    Floor{Rollback: "nightly"},
		"through newer":            Floor{Version: "1", Through: "2"},
		"through nothing":          Floor{Version: "3", Through: "9"},
		"a long note":              Note{Version: "1", Text: text(strings.Repeat("x", channel.MaxNote+1))},
		"drop a step":              Drop{Version: "1"},
		"until before it is there": Promotion{Version: "2", Until: r.now().Add(time.Hour), From: r.now().Add(2 * time.Hour)},
	} {
		_, err := r.ChangeChannel(ctx, "stable", by)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Advice == "" {
			t.Errorf("%s: %v", name, err)
		}
		if is := plain(t, s); is != before {
			t.Errorf("%s: %s, was %s", name, is, before)
		}
	}
}

func text(s string) *string { return &s }

// Two publishers who change a channel at once, in a store without a lock: none undoes what the other did, one is
// told to try again, and what the other is about to sign is not removed.
func TestTwoPublishersOfAChannel(t *testing.T) {
	for _, signed := range []bool{false, true} {
		s, k := &store.Mem{}, newKeys(t)
		open := func(s store.Store) *Repo {
			if signed {
				return k.open(s)
			}
			return Open(s)
		}
		if signed {
			_, err := k.open(s).Sign(ctx, k.init())
			must(t, err)
		}
		_, err := open(s).Add(ctx, small(t, "1", "one"))
		must(t, err)
		changed(t, open(s), Promotion{Version: "1", Rollout: share(1)})
		busy, done := 0, 0
		for n := 1; ; n++ {
			mem := copyMem(t, s)
			came := false
			other := func() {
				came = true
				changed(t, open(lockless{mem}), Note{Version: "1", Text: text("noted")})
			}
			_, err := open(&interrupted{Store: lockless{mem}, at: n, f: other}).ChangeChannel(ctx, "stable", Rollout{Version: "1", Share: 50_00})
			if !came {
				break
			}
			d, cerr := open(lockless{mem}).Channel(ctx, "stable")
			must(t, cerr)
			r := d.Find("1")
			switch {
			case err == nil && r.Rollout == 50_00 && r.Note == "noted":
				done++
			case errors.Is(err, ErrBusy) && r.Rollout == 1 && r.Note == "noted":
				busy++
			default:
				t.Errorf("signed %t, call %d: %v, %+v", signed, n, err, r)
			}
		}
		if busy == 0 || done == 0 {
			t.Errorf("signed %t: busy %d times, done %d times", signed, busy, done)
		}
	}
}
