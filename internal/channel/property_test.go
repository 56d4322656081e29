package channel

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// draws makes random documents and hosts, the same for the same seed in every Go release.
type draws struct{ *rand.Rand }

func newDraws(seed uint64) draws { return draws{rand.New(rand.NewPCG(seed, 7))} }

func (d draws) one(list ...string) string { return list[d.IntN(len(list))] }

func (d draws) document() *Document {
	versions := []string{"1.0.0", "1.0.1", "1.1.0", "1.2.0-rc.1", "1.2.0", "2.0.0"}
	doc := &Document{Name: "stable", Product: "tool", Serial: 1}
	for _, v := range versions {
		r := release(v, rollout(d.IntN(Everyone+1)))
		switch d.IntN(8) {
		case 0:
			r.State = Paused
		case 1:
			r.State = Withdrawn
		case 2:
			if r.State, r.BackTo = Recalled, d.one(versions...); r.BackTo == v {
				r.State, r.BackTo = Offered, ""
			}
		}
		if d.IntN(5) == 0 {
			r.Groups = []string{d.one("a", "b")}
		}
		if t := d.one(versions...); d.IntN(4) == 0 && t != v {
			r.Through = t
		}
		if d.IntN(5) == 0 {
			r.From = noon.Add(time.Duration(d.IntN(5)-2) * time.Hour)
		}
		r.Critical = d.IntN(6) == 0
		r.Platforms = [][]string{{"linux/amd64"}, {"linux/amd64", "linux/amd64-v3"}, {"linux/arm64"}}[d.IntN(3)]
		doc.Releases = append(doc.Releases, r)
	}
	if d.IntN(3) == 0 {
		doc.Floor = d.one(versions...)
	}
	if d.IntN(3) == 0 {
		doc.RollbackFloor = d.one(versions...)
	}
	return doc
}

func (d draws) host() Host {
	h := host(d.one("1.0.0", "1.0.1", "1.1.0", "1.2.0", "2.0.0", "0.9", "3.0", "nightly", ""))
	h.ID = HostID(fmt.Sprint(d.IntN(1000)))
	h.AllowDowngrade = d.IntN(4) == 0
	h.Can.Level = d.one("", "v3")
	if d.IntN(2) == 0 {
		h.Groups = []string{d.one("a", "b")}
	}
	if bad := d.one("1.1.0", "1.2.0", "none"); d.IntN(3) == 0 {
		held(bad)(&h)
	}
	h.HoldOff = time.Duration(d.IntN(3)) * time.Hour
	h.Splay = time.Duration(d.IntN(2)) * time.Hour
	if d.IntN(3) == 0 {
		h.Windows = []Window{{From: time.Duration(d.IntN(24)) * time.Hour, To: time.Duration(d.IntN(24)) * time.Hour}}
	}
	return h
}

// A host that is in a rollout stays in it when it grows, and going on never leads it to an older release.
func TestMonotoneInPercent(t *testing.T) {
	for seed := range uint64(20_000) {
		d := newDraws(seed)
		doc, h := d.document(), d.host()
		h.AllowDowngrade = false
		before := doc.Choose(h)
		grown := *doc
		grown.Releases = slices.Clone(doc.Releases)
		r := &grown.Releases[d.IntN(len(grown.Releases))]
		r.Rollout += d.IntN(Everyone - r.Rollout + 1)
		after := grown.Choose(h)
		if before.Cause != "" && (after.Cause == "" || grown.Older(after.Version, before.Version) && before.Cause != Step && after.Cause != Step) {
			t.Fatalf("seed %d: %+v, with %s at %d: %+v", seed, before, r.Version, r.Rollout, after)
		}
	}
	for n := range 2000 {
		id := HostID(fmt.Sprint("host ", n))
		in := false
		for percent := 0; percent <= Everyone; percent += 50 {
			d := &Document{Name: "stable", Product: "tool", Releases: []Release{release("1.1", rollout(percent))}}
			h := host("1.0")
			h.ID = id
			now := d.Choose(h).Change
			if in && !now {
				t.Fatalf("host %d is out again at %d", n, percent)
			}
			in = now
		}
		if !in {
			t.Fatalf("host %d is not among all", n)
		}
	}
}

// Where versions can be compared, the order in which they are listed decides nothing.
func TestIndependentOfOrder(t *testing.T) {
	for seed := range uint64(20_000) {
		d := newDraws(seed)
		doc, h := d.document(), d.host()
		if h.Version == "nightly" {
			continue
		}
		shuffled := *doc
		shuffled.Releases = slices.Clone(doc.Releases)
		d.Shuffle(len(shuffled.Releases), func(i, j int) {
			shuffled.Releases[i], shuffled.Releases[j] = shuffled.Releases[j], shuffled.Releases[i]
		})
		a, b := doc.Choose(h), shuffled.Choose(h)
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("seed %d:\n%+v\n%+v", seed, a, b)
		}
	}
}

// Whatever a document says: nobody gets what is stopped or held, and nobody goes down but by a recall or with leave.
func TestNeverOffersWhatItMustNot(t *testing.T) {
	for seed := range uint64(20_000) {
		d := newDraws(seed)
		doc, h := d.document(), d.host()
		got := doc.Choose(h)
		if got.Cause == "" {
			continue
		}
		r := doc.Find(got.Version)
		heldHere := false
		if h.Held != nil {
			_, heldHere = h.Held(got.Version)
		}
		down := doc.Older(got.Version, h.Version)
		switch {
		case heldHere, r.State == Withdrawn, r.State == Recalled, r.State == Paused && got.Cause != GoBack:
			t.Fatalf("seed %d: %+v of %+v", seed, got, r)
		case down && got.Cause != GoBack && !h.AllowDowngrade:
			t.Fatalf("seed %d: down: %+v", seed, got)
		case down && doc.RollbackFloor != "" && doc.Older(got.Version, doc.RollbackFloor):
			t.Fatalf("seed %d: below the floor: %+v", seed, got)
		case got.Change && h.Now.Before(got.Due), !got.Change && !h.Now.Before(got.Due):
			t.Fatalf("seed %d: due: %+v", seed, got)
		}
	}
}

// A rollout draws its share, and each release draws other hosts.
func TestShares(t *testing.T) {
	const hosts = 100_000
	for _, percent := range []int{10, 1_00, 10_00, 50_00} {
		first, both := 0, 0
		for n := range hosts {
			id := HostID(fmt.Sprint("host ", n))
			a, b := Cohort(id, "tool", "1.1") < percent, Cohort(id, "tool", "1.2") < percent
			if a {
				first++
			}
			if a && b {
				both++
			}
		}
		want := float64(hosts) * float64(percent) / Everyone
		if f := float64(first); math.Abs(f-want) > 5*math.Sqrt(want) {
			t.Errorf("%d of %d at %s %%", first, hosts, FormatPercent(percent))
		}
		if share := float64(percent) / Everyone; float64(both) > want*share*1.3+10 {
			t.Errorf("%s %%: %d are drawn twice", FormatPercent(percent), both)
		}
	}
}

var update = flag.Bool("update", false, "write the golden vectors anew: then every fleet draws other hosts")

// TestVectors compares with decisions that an earlier version made: hosts in the field keep their
// cohorts and times, and the same document means the same, whatever becomes of this package.
func TestVectors(t *testing.T) {
	var b bytes.Buffer
	for n := range 40 {
		id := HostID(fmt.Sprintf("%032x", n))
		product, v := []string{"", "tool", "two words"}[n%3], fmt.Sprintf("1.%d.0", n%7)
		fmt.Fprintf(&b, "%s %q %s cohort %d splay %s\n", id, product, v, Cohort(id, product, v), Splay(id, product, v, time.Hour))
	}
	for seed := range uint64(400) {
		d := newDraws(seed)
		doc, h := d.document(), d.host()
		got := doc.Choose(h)
		fmt.Fprintf(&b, "%d %s %q change %v cause %q platform %q due %s\n", seed, got.Reason, got.Version, got.Change, got.Cause, got.Platform, formatTime(got.Due))
	}
	name := "testdata/vectors.txt"
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	is, was := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(is), len(was)) {
		if i >= len(is) || i >= len(was) || is[i] != was[i] {
			t.Fatalf("line %d of %s differs", i+1, name)
		}
	}
}
