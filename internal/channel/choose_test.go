package channel

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

// release makes a release that all on linux/amd64 are offered, changed by edits.
func release(version string, edits ...func(*Release)) Release {
	r := Release{Version: version, Platforms: []string{"linux/amd64"}, Rollout: Everyone, Since: noon.Add(-time.Hour)}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func rollout(n int) func(*Release)     { return func(r *Release) { r.Rollout = n } }
func state(s State) func(*Release)     { return func(r *Release) { r.State = s } }
func through(v string) func(*Release)  { return func(r *Release) { r.Through = v } }
func group(g ...string) func(*Release) { return func(r *Release) { r.Groups = g } }
func on(p ...string) func(*Release)    { return func(r *Release) { r.Platforms = p } }
func critical(r *Release)              { r.Critical = true }
func recalled(to string) func(*Release) {
	return func(r *Release) { r.State, r.BackTo = Recalled, to }
}
func times(from, until time.Time) func(*Release) {
	return func(r *Release) { r.From, r.Until = from, until }
}

func host(version string, edits ...func(*Host)) Host {
	h := Host{Version: version, OS: "linux", Arch: "amd64", ID: HostID("one"), Now: noon}
	for _, edit := range edits {
		edit(&h)
	}
	return h
}

func held(v string) func(*Host) {
	return func(h *Host) {
		h.Held = func(version string) (string, bool) { return "it crashed", version == v }
	}
}

// document makes one that Parse reads, so that no test rests on what no channel can say.
func document(t testing.TB, releases ...Release) *Document {
	t.Helper()
	d := &Document{Name: "stable", Product: "tool", Serial: 1, Releases: releases}
	return reparsed(t, d)
}

func reparsed(t testing.TB, d *Document) *Document {
	t.Helper()
	data, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	d, err = Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestChoose(t *testing.T) {
	floor := func(f, back string, releases ...Release) *Document {
		d := document(t, releases...)
		d.Floor, d.RollbackFloor = f, back
		return d
	}
	downgrade := func(h *Host) { h.AllowDowngrade = true }
	in := func(g string) func(*Host) { return func(h *Host) { h.Groups = []string{g} } }
	for name, c := range map[string]struct {
		doc    *Document
		host   Host
		want   Reason
		to     string
		change bool
	}{
		"nothing listed":          {document(t), host("1.0"), UpToDate, "", false},
		"newer":                   {document(t, release("1.0"), release("1.1")), host("1.0"), Newer, "1.1", true},
		"the newest of several":   {document(t, release("1.0"), release("1.1"), release("1.2")), host("1.0"), Newer, "1.2", true},
		"same":                    {document(t, release("1.0"), release("1.1")), host("1.1"), UpToDate, "", false},
		"same but for zeros":      {document(t, release("1.1.0")), host("1.1"), UpToDate, "", false},
		"ahead of the channel":    {document(t, release("1.0")), host("2.0"), UpToDate, "", false},
		"out of rollout":          {document(t, release("1.0"), release("1.1", rollout(0))), host("1.0"), NotInRollout, "1.1", false},
		"next best in rollout":    {document(t, release("1.1"), release("1.2", rollout(0))), host("1.0"), Newer, "1.1", true},
		"paused":                  {document(t, release("1.1", state(Paused))), host("1.0"), IsPaused, "1.1", false},
		"paused, who has it":      {document(t, release("1.0"), release("1.1", state(Paused))), host("1.1"), UpToDate, "", false},
		"withdrawn":               {document(t, release("1.1", state(Withdrawn))), host("1.0"), IsWithdrawn, "1.1", false},
		"withdrawn, who has it":   {document(t, release("1.0"), release("1.1", state(Withdrawn))), host("1.1"), UpToDate, "", false},
		"recalled, who has it":    {document(t, release("1.0"), release("1.1", recalled("1.0"))), host("1.1"), GoBack, "1.0", true},
		"recalled, others":        {document(t, release("1.0"), release("1.1", recalled("1.0"))), host("1.0"), IsRecalled, "1.1", false},
		"recalled twice":          {document(t, release("1.0"), release("1.1", recalled("1.0")), release("1.2", recalled("1.1"))), host("1.2"), GoBack, "1.0", true},
		"recalled in a circle":    {document(t, release("1.0", recalled("1.1")), release("1.1", recalled("1.0"))), host("1.1"), IsRecalled, "1.0", false},
		"recalled to held":        {document(t, release("1.0"), release("1.1", recalled("1.0"))), host("1.1", held("1.0")), HeldHere, "1.0", false},
		"recalled to withdrawn":   {document(t, release("1.0", state(Withdrawn)), release("1.1", recalled("1.0"))), host("1.1"), IsWithdrawn, "1.0", false},
		"recalled to paused":      {document(t, release("1.0", state(Paused)), release("1.1", recalled("1.0"))), host("1.1"), GoBack, "1.0", true},
		"recalled below floor":    {floor("", "1.1", release("1.0"), release("1.1", recalled("1.0"))), host("1.1"), BelowFloor, "1.0", false},
		"recalled, other variant": {document(t, release("1.0", on("linux/arm64")), release("1.1", recalled("1.0"))), host("1.1"), OtherVariant, "1.0", false},
		"recalled at 0 %":         {document(t, release("1.0", rollout(0), group("x")), release("1.1", recalled("1.0"))), host("1.1"), GoBack, "1.0", true},
		"held":                    {document(t, release("1.1")), host("1.0", held("1.1")), HeldHere, "1.1", false},
		"held, next best":         {document(t, release("1.1"), release("1.2")), host("1.0", held("1.2")), Newer, "1.1", true},
		"not yet":                 {document(t, release("1.1", times(noon.Add(time.Second), time.Time{}))), host("1.0"), NotYet, "1.1", false},
		"just now":                {document(t, release("1.1", times(noon, noon.Add(time.Second)))), host("1.0"), Newer, "1.1", true},
		"over":                    {document(t, release("1.1", times(time.Time{}, noon))), host("1.0"), Over, "1.1", false},
		"other group":             {document(t, release("1.1", group("canary"))), host("1.0", in("slow")), OtherGroup, "1.1", false},
		"no group":                {document(t, release("1.1", group("canary"))), host("1.0"), OtherGroup, "1.1", false},
		"my group":                {document(t, release("1.1", group("x", "canary"))), host("1.0", in("canary")), Newer, "1.1", true},
		"other platform":          {document(t, release("1.1", on("linux/arm64", "windows/amd64"))), host("1.0"), OtherVariant, "1.1", false},
		"variant above the host":  {document(t, release("1.1", on("linux/amd64-v3"))), host("1.0"), OtherVariant, "1.1", false},
		"floor":                   {floor("1.1", "", release("1.1", rollout(0), group("x"))), host("1.0"), Mandatory, "1.1", true},
		"floor, newer offered":    {floor("1.1", "", release("1.1"), release("1.2")), host("1.0"), Mandatory, "1.2", true},
		"at the floor":            {floor("1.1", "", release("1.1", rollout(0)), release("1.2", rollout(0))), host("1.1"), NotInRollout, "1.2", false},
		"floor paused":            {floor("1.1", "", release("1.1", state(Paused))), host("1.0"), IsPaused, "1.1", false},
		"floor held, below it":    {floor("1.2", "", release("1.1"), release("1.2")), host("1.0", held("1.2")), Newer, "1.1", true},
		"step":                    {document(t, release("1.1", rollout(0)), release("1.2", through("1.1"))), host("1.0"), Step, "1.1", true},
		"step done":               {document(t, release("1.1"), release("1.2", through("1.1"))), host("1.1"), Newer, "1.2", true},
		"step passed":             {document(t, release("1.1"), release("1.2", through("1.1"))), host("1.1.5"), Newer, "1.2", true},
		"two steps":               {document(t, release("1.1"), release("1.2", through("1.1")), release("1.3", through("1.2"))), host("1.0"), Step, "1.1", true},
		"step withdrawn":          {document(t, release("1.1", state(Withdrawn)), release("1.2", through("1.1"))), host("1.0"), NeedsStep, "1.2", false},
		"step held":               {document(t, release("1.1"), release("1.2", through("1.1"))), host("1.0", held("1.1")), NeedsStep, "1.2", false},
		"steps in a circle":       {document(t, release("1.1", through("1.2")), release("1.2", through("1.1"))), host("1.0"), NeedsStep, "1.2", false},
		"opaque, newer":           {document(t, release("red"), release("blue")), host("red"), Newer, "blue", true},
		"opaque, older":           {document(t, release("red"), release("blue")), host("blue"), UpToDate, "", false},
		"opaque, not listed":      {document(t, release("red"), release("blue")), host("green"), Unordered, "blue", false},
		"unknown version":         {document(t, release("1.0")), host(""), Unordered, "1.0", false},
		"unknown, allowed":        {document(t, release("1.0"), release("1.1")), host("", downgrade), Downgrade, "1.1", true},
		"from another channel":    {document(t, release("1.0")), host("2.0-beta", downgrade), Downgrade, "1.0", true},
		"allowed but listed":      {document(t, release("1.0"), release("1.1", state(Paused))), host("1.1", downgrade), UpToDate, "", false},
		"allowed, below floor":    {floor("", "1.5", release("1.0")), host("2.0", downgrade), BelowFloor, "1.0", false},
	} {
		got := c.doc.Choose(c.host)
		if got.Reason != c.want || got.Version != c.to || got.Change != c.change {
			t.Errorf("%s: %v %q %v, want %v %q %v\n%s", name, got.Reason, got.Version, got.Change, c.want, c.to, c.change, strings.Join(got.Lines, "\n"))
		}
		if got.Change != (got.Platform != "" && got.Cause == got.Reason) || len(got.Lines) < 2 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A wait is no change, names the time, and ends then.
func TestWaits(t *testing.T) {
	night := []Window{{From: 22 * time.Hour, To: 4 * time.Hour}}
	hold := func(h *Host) { h.HoldOff = 3 * time.Hour }
	splay := func(h *Host) { h.Splay = 48 * time.Hour }
	window := func(h *Host) { h.Windows = night }
	early := func(h *Host) { h.Now = noon.Add(-2 * time.Hour) }
	offered := document(t, release("1.1"))
	back := document(t, release("1.0"), release("1.1", recalled("1.0")))
	spread := noon.Add(-time.Hour).Add(Splay(HostID("one"), "tool", "1.1", 48*time.Hour))
	for name, c := range map[string]struct {
		doc  *Document
		host Host
		want Reason
		due  time.Time
	}{
		"hold-off":              {offered, host("1.0", hold), InHoldOff, noon.Add(2 * time.Hour)},
		"hold-off from a time":  {document(t, release("1.1", times(noon.Add(-time.Minute), time.Time{}))), host("1.0", hold), InHoldOff, noon.Add(3*time.Hour - time.Minute)},
		"splay":                 {offered, host("1.0", splay), InSplay, spread},
		"window":                {offered, host("1.0", window), OutsideWindow, noon.Add(10 * time.Hour)},
		"hold-off, then window": {offered, host("1.0", hold, window), InHoldOff, noon.Add(10 * time.Hour)},
		"critical":              {document(t, release("1.1", critical)), host("1.0", hold, splay), Newer, noon},
		"critical and window":   {document(t, release("1.1", critical)), host("1.0", hold, window), OutsideWindow, noon.Add(10 * time.Hour)},
		"going back":            {back, host("1.1", hold, window), GoBack, noon},
		"going back, splay":     {back, host("1.1", hold, splay, window), GoBack, noon},
		"a clock that is late":  {offered, host("1.0", early), InHoldOff, noon.Add(-time.Hour)},
	} {
		got := c.doc.Choose(c.host)
		if got.Reason != c.want || !got.Due.Equal(c.due) || got.Change != (got.Cause == got.Reason) || got.Cause == "" {
			t.Errorf("%s: %v due %v, want %v due %v; %+v", name, got.Reason, got.Due, c.want, c.due, got)
		}
		c.host.Now = got.Due
		if then := c.doc.Choose(c.host); !then.Change || then.Version != got.Version {
			t.Errorf("%s: when it is due: %+v", name, then)
		}
	}
}

func TestVariants(t *testing.T) {
	all := []string{"linux/amd64", "linux/amd64-v2", "linux/amd64-v3", "linux/amd64-v4", "linux/amd64-musl", "linux/amd64-v3-musl", "linux/amd64-glibc", "linux/amd64-v9", "darwin/amd64-v3"}
	for _, c := range []struct {
		arch  string
		level string
		libcs string
		list  []string
		want  string
	}{
		{"amd64", "", "", all, "linux/amd64"},
		{"amd64", "v3", "", all, "linux/amd64-v3"},
		{"amd64", "v4", "", all, "linux/amd64-v4"},
		{"amd64", "v3", "musl", all, "linux/amd64-v3-musl"},
		{"amd64", "v2", "musl", all, "linux/amd64-v2"},
		{"amd64", "", "musl glibc", all, "linux/amd64-musl"},
		{"amd64", "", "glibc musl", all, "linux/amd64-glibc"},
		{"amd64", "v3", "glibc", []string{"linux/amd64-musl", "linux/amd64-v4"}, ""},
		{"amd64-v3", "", "", all, "linux/amd64-v3"},
		{"amd64-v3", "v4", "musl", []string{"linux/amd64"}, ""},
		{"arm", "v7", "", []string{"linux/arm", "linux/arm-v6", "linux/arm-v7"}, "linux/arm-v7"},
		{"arm", "v6", "", []string{"linux/arm-v7", "linux/arm-v6"}, "linux/arm-v6"},
		{"arm", "", "", []string{"linux/arm-v7", "linux/arm64"}, ""},
	} {
		can := Ability{Level: c.level, Libcs: strings.Fields(c.libcs)}
		if got := best(c.list, "linux", c.arch, can); got != c.want {
			t.Errorf("%s with %v of %v: %q, want %q", c.arch, can, c.list, got, c.want)
		}
	}
	for _, c := range []struct {
		arch, level string
		want        bool
	}{{"amd64", "v2", true}, {"amd64", "v4", true}, {"amd64", "v6", false}, {"amd64", "", false}, {"arm", "v6", true}, {"arm", "v7", true}, {"arm", "v3", false}, {"arm64", "v7", false}} {
		if HasLevel(c.arch, c.level) != c.want {
			t.Errorf("%s-%s: %v", c.arch, c.level, !c.want)
		}
	}
	for arch, want := range map[string]string{
		"amd64": "amd64|||true", "amd64-v3-musl": "amd64|v3|musl|true", "amd64-musl-v3": "amd64|||false", "arm-v6": "arm|v6||true",
		"amd64-": "amd64|||false", "amd64-v3-v4": "amd64|||false", "amd64-musl-glibc": "amd64|||false", "amd64-x": "amd64|||false",
	} {
		base, level, libc, ok := Variant(arch)
		if got := fmt.Sprintf("%s|%s|%s|%v", base, level, libc, ok); got != want {
			t.Errorf("%s: %q, want %q", arch, got, want)
		}
	}
}

func TestWindows(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string, l *time.Location) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, l)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	night := Window{From: 22 * time.Hour, To: 4 * time.Hour, Location: vienna}
	weekend := Window{Days: []time.Weekday{time.Saturday, time.Sunday}, From: 0, To: 24 * time.Hour}
	for _, c := range []struct {
		windows []Window
		t, want time.Time
	}{
		{nil, noon, noon},
		{[]Window{night}, at("2030-05-01 12:00", vienna), at("2030-05-01 22:00", vienna)},
		{[]Window{night}, at("2030-05-01 23:00", vienna), at("2030-05-01 23:00", vienna)},
		{[]Window{night}, at("2030-05-02 03:59", vienna), at("2030-05-02 03:59", vienna)},
		{[]Window{night}, at("2030-05-02 04:00", vienna), at("2030-05-02 22:00", vienna)},
		{[]Window{night}, at("2030-03-30 21:30", vienna), at("2030-03-30 22:00", vienna)}, // the night that summer time begins
		{[]Window{night}, at("2030-10-27 04:30", vienna), at("2030-10-27 22:00", vienna)}, // and the one that it ends
		{[]Window{weekend}, noon, at("2030-05-04 00:00", time.UTC)},                       // a Wednesday
		{[]Window{weekend}, at("2030-05-05 23:59", time.UTC), at("2030-05-05 23:59", time.UTC)},
		{[]Window{weekend, night}, noon, at("2030-05-01 22:00", vienna)},
		{[]Window{{Days: []time.Weekday{time.Wednesday}, From: 12 * time.Hour, To: 12 * time.Hour}}, noon.Add(23 * time.Hour), noon.Add(23 * time.Hour)},
		{[]Window{{Days: []time.Weekday{time.Wednesday}, From: 11 * time.Hour, To: 12 * time.Hour}}, noon, noon.AddDate(0, 0, 7).Add(-time.Hour)},
	} {
		if got := Open(c.windows, c.t); !got.Equal(c.want) {
			t.Errorf("%v from %v: %v, want %v", c.windows, c.t, got, c.want)
		}
	}
	for _, w := range []Window{{From: -1}, {From: 24 * time.Hour}, {To: 25 * time.Hour}, {Days: []time.Weekday{7}}} {
		if w.Check() == nil {
			t.Errorf("%+v is no window", w)
		}
	}
}
