package channel

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/strictjson"
)

// Parse reads a document. Unknown fields are ignored; everything else that is not as documented
// is an error, as is a version that another field names and the channel does not list.
func Parse(data []byte) (*Document, error) {
	d, err := parse(data)
	if err != nil {
		return nil, cause.Errorf("%w: %w", ErrInvalid, err)
	}
	return d, nil
}

func parse(data []byte) (*Document, error) {
	if len(data) > MaxSize {
		return nil, cause.Errorf("it has more than %d bytes", MaxSize)
	}
	object, err := strictjson.Object(data)
	if err != nil {
		return nil, err
	}
	f := fields{object: object}
	if format := f.number("format", 1<<31); f.err == nil && format != Format {
		return nil, cause.Errorf("format %d, this version knows %d", format, Format)
	}
	d := &Document{
		Name: f.element("channel", true), Product: f.text("product", maxName), Serial: f.number("serial", 1<<53),
		Floor: f.element("floor", false), RollbackFloor: f.element("rollback_floor", false),
	}
	if f.err != nil {
		return nil, f.err
	}
	list, err := strictjson.Objects(object["releases"], MaxReleases)
	if err != nil {
		return nil, cause.Errorf("releases: %w", err)
	}
	for i, item := range list {
		r, err := parseRelease(item)
		if err != nil {
			return nil, cause.Errorf("release %d: %w", i+1, err)
		}
		d.Releases = append(d.Releases, r)
	}
	return d, d.check()
}

func parseRelease(object map[string]json.RawMessage) (Release, error) {
	f := fields{object: object}
	r := Release{
		Version: f.element("version", true), Platforms: f.list("platforms", checkPlatform),
		Rollout: f.percent("rollout"), Groups: f.list("groups", checkElement),
		Since: f.time("since"), From: f.time("from"), Until: f.time("until"),
		State: State(f.text("state", maxName)), BackTo: f.element("back_to", false), Through: f.element("through", false),
		Critical: f.boolean("critical"), Note: f.text("note", MaxNote),
	}
	return r, f.err
}

// check holds the parts of a document against each other.
func (d *Document) check() error {
	seen := map[string]bool{}
	for i := range d.Releases {
		v := d.Releases[i].Version
		if seen[v] {
			return cause.Errorf("%s is listed twice", v)
		}
		seen[v] = true
	}
	if d.Floor != "" && !seen[d.Floor] {
		return cause.Errorf("the floor %s is not listed", d.Floor)
	}
	for i := range d.Releases {
		r := &d.Releases[i]
		if wrong := r.check(seen); wrong != "" {
			return cause.Errorf("%s: %s", r.Version, wrong)
		}
	}
	return nil
}

func (r *Release) check(listed map[string]bool) (wrong string) {
	switch {
	case r.State != Offered && r.State != Paused && r.State != Withdrawn && r.State != Recalled:
		return "there is no state " + clip(string(r.State))
	case (r.State == Recalled) != (r.BackTo != ""):
		return "state and back_to do not go together"
	case r.BackTo != "" && !listed[r.BackTo]:
		return "it goes back to " + r.BackTo + ", which is not listed"
	case r.Through != "" && !listed[r.Through]:
		return "the way to it is through " + r.Through + ", which is not listed"
	case r.BackTo == r.Version, r.Through == r.Version:
		return "it leads to itself"
	}
	return ""
}

// fields reads the members of an object, and keeps the first error.
type fields struct {
	object map[string]json.RawMessage
	err    error
}

//go:noinline
func (f *fields) fail(key string, err error) {
	if f.err == nil && err != nil {
		f.err = cause.Errorf("%q: %w", key, err)
	}
}

func (f *fields) text(key string, limit int) string {
	raw, ok := f.object[key]
	if !ok {
		return ""
	}
	s, err := strictjson.String(raw)
	if err == nil && len(s) > limit {
		err = cause.Errorf("more than %d bytes", limit)
	}
	f.fail(key, err)
	return s
}

// element is a text that may become part of a path.
func (f *fields) element(key string, required bool) string {
	s := f.text(key, maxName)
	if s != "" || required {
		f.fail(key, checkElement(s))
	}
	return s
}

func (f *fields) number(key string, limit int64) int64 {
	n, err := strictjson.Int(f.object[key], limit)
	f.fail(key, err)
	return n
}

func (f *fields) boolean(key string) bool {
	switch raw := string(f.object[key]); raw {
	case "", "false":
	case "true":
		return true
	default:
		f.fail(key, cause.Errorf("true or false is needed, not %s", clip(raw)))
	}
	return false
}

// percent is a number from 0 to 100 with at most two decimals, in hundredths.
func (f *fields) percent(key string) int {
	n, err := ParsePercent(string(f.object[key]))
	f.fail(key, err)
	return n
}

func (f *fields) time(key string) time.Time {
	s := f.text(key, maxName)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(timeLayout, s)
	if err == nil && t.Format(timeLayout) != s {
		err = cause.Errorf("%q is no time such as %s", clip(s), timeLayout)
	}
	f.fail(key, err)
	return t
}

const timeLayout = "2006-01-02T15:04:05Z"

func (f *fields) list(key string, check func(string) error) []string {
	raw, ok := f.object[key]
	if !ok {
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || len(raw) == 0 || raw[0] != '[' {
		f.fail(key, cause.Errorf("an array is needed"))
		return nil
	}
	if len(items) > MaxList {
		f.fail(key, cause.Errorf("%d elements where at most %d are allowed", len(items), MaxList))
		return nil
	}
	var list []string
	for _, item := range items {
		s, err := strictjson.String(item)
		if err == nil {
			err = check(s)
		}
		f.fail(key, err)
		list = append(list, s)
	}
	return list
}

// ParsePercent reads a percentage from 0 to 100 with at most two decimals, and returns hundredths of a percent.
func ParsePercent(s string) (int, error) {
	whole, decimals, dot := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole+(decimals + "00")[:2], 10, 16)
	canonical := err == nil && strconv.FormatUint(n/100, 10) == whole && len(decimals) <= 2 && dot == (decimals != "")
	if !canonical || n > Everyone {
		return 0, cause.Errorf("a percentage from 0 to 100 with at most two decimals is needed, not %q", clip(s))
	}
	return int(n), nil
}

// CheckName tells whether a channel, a group or a version may have this name.
func CheckName(name string) error { return checkElement(name) }

func checkElement(s string) error {
	bad := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("._+~-", r)
	}
	if s == "" || len(s) > maxName || strings.Trim(s, ".") == "" || strings.ContainsFunc(s, bad) {
		return cause.Errorf("%q: only letters, digits and . _ + ~ - are allowed, 1 to %d", clip(s), maxName)
	}
	return nil
}

func checkPlatform(s string) error {
	goos, arch, ok := strings.Cut(s, "/")
	if !ok || checkElement(goos) != nil || checkElement(arch) != nil {
		return cause.Errorf("%q is no platform", clip(s))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}
