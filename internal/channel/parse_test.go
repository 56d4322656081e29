package channel

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const good = `{"format":1,"channel":"stable","product":"tool","serial":3,"floor":"1.0","rollback_floor":"0.9","later":[1],
"releases":[{"version":"1.0","platforms":["linux/amd64"],"rollout":100,"since":"2026-11-20T09:00:00Z","later":true},
{"version":"1.1","platforms":["linux/amd64","linux/amd64-v3"],"rollout":2.5,"since":"2026-11-24T09:00:00Z","groups":["canary"],
"from":"2026-11-25T09:00:00Z","until":"2026-12-25T09:00:00Z","state":"recalled","back_to":"1.0","through":"1.0","critical":true,"note":"see <notes>"}]}`

func TestParse(t *testing.T) {
	d, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := Release{
		Version: "1.1", Platforms: []string{"linux/amd64", "linux/amd64-v3"}, Rollout: 250, Groups: []string{"canary"},
		State: Recalled, BackTo: "1.0", Through: "1.0", Critical: true, Note: "see <notes>",
	}
	got := d.Releases[1]
	if formatTime(got.Since) != "2026-11-24T09:00:00Z" || formatTime(got.From) != "2026-11-25T09:00:00Z" || formatTime(got.Until) != "2026-12-25T09:00:00Z" {
		t.Errorf("%+v", got)
	}
	got.Since, got.From, got.Until = want.Since, want.From, want.Until
	if fmt.Sprint(got) != fmt.Sprint(want) || d.Name != "stable" || d.Product != "tool" || d.Serial != 3 || d.Floor != "1.0" || d.RollbackFloor != "0.9" {
		t.Errorf("%+v, want %+v", d, want)
	}
	data, err := d.Encode()
	if err != nil || !bytes.Contains(data, []byte(`"rollout": 2.5`)) || !bytes.Contains(data, []byte("<notes>")) {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"not JSON":              {`{"format"`, `{format`},
		"more after it":         {`}]}`, `}]} {}`},
		"a key twice":           {`"serial":3`, `"serial":3,"Serial":4`},
		"later format":          {`"format":1`, `"format":2`},
		"no format":             {`"format":1,`, ``},
		"no name":               {`"channel":"stable"`, `"channel":""`},
		"a name with a path":    {`"channel":"stable"`, `"channel":"../stable"`},
		"name null":             {`"channel":"stable"`, `"channel":null`},
		"negative serial":       {`"serial":3`, `"serial":-3`},
		"floor not listed":      {`"floor":"1.0"`, `"floor":"1.2"`},
		"back to nowhere":       {`"back_to":"1.0"`, `"back_to":"0.1"`},
		"through nowhere":       {`"through":"1.0"`, `"through":"0.1"`},
		"through itself":        {`"through":"1.0"`, `"through":"1.1"`},
		"back to itself":        {`"back_to":"1.0"`, `"back_to":"1.1"`},
		"recalled to nothing":   {`"back_to":"1.0",`, ``},
		"back but not recalled": {`"state":"recalled"`, `"state":"paused"`},
		"unknown state":         {`"state":"recalled"`, `"state":"gone"`},
		"listed twice":          {`"version":"1.1"`, `"version":"1.0"`},
		"version with a path":   {`"version":"1.1"`, `"version":"1/1"`},
		"no releases":           {`"releases":[`, `"release":[`},
		"more than all":         {`"rollout":2.5`, `"rollout":100.01`},
		"less than none":        {`"rollout":2.5`, `"rollout":-1`},
		"three decimals":        {`"rollout":2.5`, `"rollout":2.505`},
		"an exponent":           {`"rollout":2.5`, `"rollout":1e1`},
		"no rollout":            {`"rollout":2.5,`, ``},
		"rollout a string":      {`"rollout":2.5`, `"rollout":"2.5"`},
		"a number for true":     {`"critical":true`, `"critical":1`},
		"a time with a zone":    {`"2026-11-25T09:00:00Z"`, `"2026-11-25T09:00:00+01:00"`},
		"a date":                {`"2026-11-25T09:00:00Z"`, `"2026-11-25"`},
		"platform without arch": {`"linux/amd64-v3"`, `"linux"`},
		"platform with a path":  {`"linux/amd64-v3"`, `"linux/amd64/x"`},
		"platforms no list":     {`["linux/amd64","linux/amd64-v3"]`, `"linux/amd64"`},
		"groups null":           {`["canary"]`, `null`},
		"a long note":           {`see <notes>`, strings.Repeat("x", MaxNote+1)},
	} {
		data := strings.Replace(good, change[0], change[1], 1)
		if data == good {
			t.Errorf("%s: nothing changed", name)
		}
		if d, err := Parse([]byte(data)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if _, err := Parse(append([]byte(good), bytes.Repeat([]byte(" "), MaxSize)...)); !errors.Is(err, ErrInvalid) {
		t.Errorf("too large: %v", err)
	}
	many := &Document{Name: "stable"}
	for i := range MaxReleases + 1 {
		many.Releases = append(many.Releases, Release{Version: fmt.Sprint(i)})
	}
	if _, err := many.Encode(); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many: %v", err)
	}
}

func TestPercent(t *testing.T) {
	for s, want := range map[string]int{"0": 0, "1": 100, "0.01": 1, "0.1": 10, "0.10": 10, "99.99": 9999, "100": Everyone} {
		if got, err := ParsePercent(s); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", ".", "1.", ".5", "+1", "-1", "01", "100.01", "1e1", "1.234", "0x1", " 1", "1_0", "99999999999999999999"} {
		if got, err := ParsePercent(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
	for n := range Everyone + 1 {
		if got, err := ParsePercent(FormatPercent(n)); got != n || err != nil {
			t.Fatalf("%d: %d, %v", n, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"format":1,"channel":"x","serial":0,"releases":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		e, err := Parse(again)
		if err != nil || fmt.Sprint(e) != fmt.Sprint(d) {
			t.Fatalf("%v: %+v became %+v", err, d, e)
		}
		for _, v := range []string{"", "1.0", "nightly"} {
			if got := d.Choose(host(v)); got.Change && d.Find(got.Version) == nil {
				t.Fatalf("%+v", got)
			}
		}
	})
}
