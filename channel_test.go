package updater

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
	"github.com/choria-io/go-updater/internal/tuf/tuftest"
)

// offering is a channel that offers 1.2.3, which testRepo publishes, to all.
func offering(edits ...func(*channel.Document)) *channel.Document {
	d := &channel.Document{Name: "stable", Product: "tool", Serial: 5, Releases: []channel.Release{
		{Version: "1.0.0", Platforms: []string{testPlatform}, Rollout: channel.Everyone},
		{Version: "1.2.3", Platforms: []string{testPlatform}, Rollout: channel.Everyone, Since: tuftest.Now.Add(-time.Hour)},
	}}
	for _, edit := range edits {
		edit(d)
	}
	return d
}

func encoded(t testing.TB, d *channel.Document) []byte {
	t.Helper()
	data, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// follow makes a channel's document the served one, signed.
func (r *signedRepo) follow(t testing.TB, data []byte) {
	t.Helper()
	if r.tuf.Signed["channels"] == nil {
		r.tuf.Delegate("targets", "channels", true, "channels/*")
	}
	r.tuf.Target("channels", "channels/stable.json", data, nil)
	r.tuf.Publish("channels", "targets")
	r.serve()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files["channels/"+sum(data)+".stable.json"] = data
	r.files["channels/stable.json"] = data
}

// following are options for a machine in the channel that runs version 1.0.0.
func (r *signedRepo) following(target string, more ...Option) []Option {
	return append([]Option{
		SourceRepo(r.URL), Channel("stable"), CurrentVersion("1.0.0"), TargetFile(target), OS(runtime.GOOS), Arch(runtime.GOARCH),
		AllowContainer(), TrustRoot(r.root), at2030, MachineID("one"), Attempts(1),
	}, more...)
}

func check(t testing.TB, opts []Option) *Plan {
	t.Helper()
	p, err := Check(context.Background(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChannelInstalls(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.follow(t, encoded(t, offering()))
	target := install(t, old)
	result, err := ApplyContext(context.Background(), r.following(target)...)
	if err != nil || !result.Applied || result.To != "1.2.3" || result.Offer.Reason != ReasonOffered || !bytes.Equal(read(t, target), new) {
		t.Fatalf("%+v, %v", result, err)
	}
	// What was installed is known from then on.
	p := check(t, r.following(target, CurrentVersion("")))
	if !p.UpToDate || p.Offer.Reason != ReasonUpToDate || p.From != "1.2.3" {
		t.Errorf("%+v %+v", p, p.Offer)
	}
	// A recall brings the old one back, though it is older.
	r.tuf.Target(testRole, "1.0.0/"+testPlatform+"/release.json", r.release(t, "1.0.0", old), tuftest.Object{
		"product": "tool", "version": "1.0.0", "os": runtime.GOOS, "arch": runtime.GOARCH, "length": len(old), "sha256": sum(old),
	})
	r.tuf.Publish(testRole)
	r.follow(t, encoded(t, offering(func(d *channel.Document) {
		d.Serial, d.Releases[1].State, d.Releases[1].BackTo = 6, channel.Recalled, "1.0.0"
	})))
	r.requests = nil
	result, err = ApplyContext(context.Background(), r.following(target, CurrentVersion("1.2.3"))...)
	for _, q := range r.requests {
		if strings.HasSuffix(q.URL.Path, ".zst") {
			t.Errorf("%s was fetched, though the backup is it", q.URL.Path)
		}
	}
	if err != nil || !result.Applied || result.Offer.Cause != ReasonGoBack || !bytes.Equal(read(t, target), old) {
		t.Errorf("recall: %+v, %v", result, err)
	}
	if p := check(t, r.following(target)); !p.UpToDate || p.Offer.Reason != ReasonRecalled {
		t.Errorf("after the recall: %+v", p.Offer)
	}
}

// release puts the files of another version, and returns its release.json.
func (r *signedRepo) release(t testing.TB, version string, binary []byte) []byte {
	t.Helper()
	before := maps.Clone(r.files)
	r.publish(t, binary, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	spec := r.files[testFolder+"release.json"]
	r.files[version+"/"+testPlatform+"/release.json"], r.files[version+"/"+testPlatform+"/tool.zst"] = spec, r.files[testFolder+"tool.zst"]
	for _, name := range []string{"release.json", "tool.zst"} {
		r.files[testFolder+name] = before[testFolder+name]
	}
	return spec
}

// Whatever stops a release, it is said as a value, nothing is fetched, and the program stays.
func TestChannelHolds(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	edit := func(f func(*channel.Release)) *channel.Document {
		return offering(func(d *channel.Document) { f(&d.Releases[1]) })
	}
	for name, c := range map[string]struct {
		doc    *channel.Document
		option Option
		want   Reason
	}{
		"rollout": {edit(func(r *channel.Release) { r.Rollout = 0 }), nil, ReasonNotInRollout},
		"paused":  {edit(func(r *channel.Release) { r.State = channel.Paused }), nil, ReasonPaused},
		"group":   {edit(func(r *channel.Release) { r.Groups = []string{"canary"} }), Groups("slow"), ReasonOtherGroup},
		"variant": {edit(func(r *channel.Release) { r.Platforms = []string{testPlatform + "-v3"} }), Variants("v2", "musl"), ReasonOtherVariant},
		"held": {offering(), func(c *Config) error {
			c.trials = &trials{held: func(_ *Config, _, version, _ string) error {
				if version == "1.2.3" {
					return ErrHeld
				}
				return nil
			}}
			return nil
		}, ReasonHeld},
		"hold-off": {offering(), HoldOff(2 * time.Hour), ReasonHoldOff},
		"splay":    {offering(), Splay(10_000 * time.Hour), ReasonSplay},
		"window":   {offering(), UpdateWindow(Window{From: time.Hour, To: 2 * time.Hour}), ReasonOutsideWindow},
		"unknown":  {offering(), CurrentVersion(""), ReasonUnordered},
	} {
		r.follow(t, encoded(t, c.doc))
		target := install(t, old)
		opts := r.following(target)
		if c.option != nil {
			opts = append(opts, c.option)
		}
		r.requests = nil
		result, err := ApplyContext(context.Background(), opts...)
		if err != nil || result.Applied || result.Offer.Reason != c.want || result.To != "1.2.3" || !bytes.Equal(read(t, target), old) {
			t.Errorf("%s: %+v, %v", name, result, err)
			continue
		}
		if due := result.Offer.Due; (result.Offer.Cause != "") != due.After(tuftest.Now) {
			t.Errorf("%s: due %v", name, due)
		}
		for _, req := range r.requests {
			if strings.HasPrefix(req.URL.Path, "/1.2.3") {
				t.Errorf("%s: %s was fetched", name, req.URL.Path)
			}
		}
		if _, err := result.Stage(context.Background()); err == nil {
			t.Errorf("%s: it can be staged", name)
		}
	}
}

// The highest variant that the machine can run is what is asked for, and it has to be signed as that.
func TestChannelChoosesVariant(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	spec := r.file("release.json")
	r.files["1.2.3/"+testPlatform+"-v3/release.json"], r.files["1.2.3/"+testPlatform+"-v3/tool.zst"] = spec, r.file("tool.zst")
	r.tuf.Delegate("targets", testRole+"-v3", true, "*/"+testPlatform+"-v3/*")
	sign := func(arch string) {
		r.tuf.Target(testRole+"-v3", "1.2.3/"+testPlatform+"-v3/release.json", spec, tuftest.Object{
			"product": "tool", "version": "1.2.3", "os": runtime.GOOS, "arch": arch, "length": len(new), "sha256": sum(new),
		})
		r.tuf.Publish(testRole + "-v3")
		r.follow(t, encoded(t, offering(func(d *channel.Document) {
			d.Releases[1].Platforms = []string{testPlatform, testPlatform + "-v3", testPlatform + "-v4"}
		})))
	}
	sign(runtime.GOARCH + "-v3")
	target := install(t, old)
	r.requests = nil
	result, err := ApplyContext(context.Background(), r.following(target, Variants("v3"))...)
	if err != nil || result.Offer.Platform != testPlatform+"-v3" || !bytes.Equal(read(t, target), new) {
		t.Fatalf("%+v, %v", result, err)
	}
	asked := slices.ContainsFunc(r.requests, func(q *http.Request) bool { return q.URL.Path == "/1.2.3/"+testPlatform+"-v3/tool.zst" })
	if !asked {
		t.Error("the variant was not fetched")
	}
	sign(runtime.GOARCH)
	if _, err := Check(context.Background(), r.following(install(t, old), Variants("v3"))...); !errors.Is(err, ErrOtherProduct) {
		t.Errorf("a baseline signed as a variant: %v", err)
	}
}

func TestHostileChannels(t *testing.T) {
	old, new := buildPrograms(t)
	for name, c := range map[string]struct {
		want  error
		spoil func(r *signedRepo)
	}{
		"missing":  {fs.ErrNotExist, func(r *signedRepo) { r.serve() }},
		"unsigned": {fs.ErrNotExist, func(r *signedRepo) { r.files["channels/stable.json"] = encoded(t, offering()) }},
		"names no release": {fs.ErrNotExist, func(r *signedRepo) {
			r.follow(t, bytes.ReplaceAll(encoded(t, offering()), []byte("1.2.3"), []byte("1.2.4")))
		}},
		"another channel's": {ErrOtherProduct, func(r *signedRepo) {
			r.follow(t, encoded(t, offering(func(d *channel.Document) { d.Name = "beta" })))
		}},
		"another product's": {ErrOtherProduct, func(r *signedRepo) {
			r.follow(t, encoded(t, offering(func(d *channel.Document) { d.Product = "else" })))
		}},
		"no document": {ErrRejected, func(r *signedRepo) { r.follow(t, []byte("{}")) }},
		"later format": {ErrRejected, func(r *signedRepo) {
			r.follow(t, bytes.Replace(encoded(t, offering()), []byte(`"format": 1`), []byte(`"format": 2`), 1))
		}},
		"too large": {ErrRejected, func(r *signedRepo) {
			r.follow(t, append(encoded(t, offering()), bytes.Repeat([]byte(" "), channel.MaxSize)...))
		}},
		"changed": {ErrRejected, func(r *signedRepo) {
			data := encoded(t, offering())
			r.follow(t, data)
			r.files["channels/"+sum(data)+".stable.json"] = bytes.Replace(data, []byte("100"), []byte("010"), 1)
		}},
		"signed by the wrong role": {fs.ErrNotExist, func(r *signedRepo) {
			r.tuf.Target(testRole, "channels/stable.json", encoded(t, offering()), nil)
			r.tuf.Publish(testRole)
			r.serve()
		}},
	} {
		r := newSignedRepo(t, new)
		c.spoil(r)
		target := install(t, old)
		if result, err := ApplyContext(context.Background(), r.following(target)...); !errors.Is(err, c.want) || !bytes.Equal(read(t, target), old) {
			t.Errorf("%s: %+v, %v, want %v", name, result, err, c.want)
		}
	}
}

// A mirror that serves the channel as it was before a pause is not believed by who has seen the pause.
func TestOlderChannelIsRefused(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.follow(t, encoded(t, offering()))
	before := maps.Clone(r.files)
	r.follow(t, encoded(t, offering(func(d *channel.Document) { d.Serial++; d.Releases[1].State = channel.Paused })))
	target := install(t, old)
	if p := check(t, r.following(target)); p.Offer.Reason != ReasonPaused {
		t.Fatalf("%+v", p.Offer)
	}
	r.files = before
	if _, err := ApplyContext(context.Background(), r.following(target)...); !errors.Is(err, ErrOlderMetadata) || !bytes.Equal(read(t, target), old) {
		t.Errorf("%v, want ErrOlderMetadata", err)
	}
}

// meter counts what goes through a server's connections, headers included.
type meter struct {
	net.Listener
	bytes atomic.Int64
}

func (m *meter) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	return &meteredConn{Conn: c, m: m}, err
}

type meteredConn struct {
	net.Conn
	m *meter
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

func (c *meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

// metered serves a repository over connections that count.
func metered(t testing.TB, r *testRepo) (url string, m *meter) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m = &meter{Listener: l}
	server := &http.Server{Handler: r.Server.Config.Handler}
	go server.Serve(m)
	t.Cleanup(func() { server.Close() })
	return "http://" + l.Addr().String(), m
}

// A check that finds nothing new is one request, of less than 2 KB both ways with all headers.
func TestNothingNewIsOneRequest(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	paused := offering(func(d *channel.Document) {
		d.Releases[1].State = channel.Paused
		for i := range 100 { // a long one, of 20 KB
			r := d.Releases[0]
			r.Version = "0.1." + strconv.Itoa(i)
			d.Releases = append(d.Releases, r)
		}
	})
	r.follow(t, encoded(t, paused))
	url, m := metered(t, r.testRepo)
	unsigned := []Option{
		SourceRepo(url), UnsignedChannel("stable"), CurrentVersion("1.0.0"), OS(runtime.GOOS), Arch(runtime.GOARCH),
		AllowContainer(), at2030, MachineID("one"), Attempts(1),
	}
	for name, opts := range map[string][]Option{"signed": r.following("", SourceRepo(url)), "unsigned": unsigned} {
		opts = append(opts, TargetFile(install(t, old)))
		first := check(t, opts)
		r.requests = nil
		before := m.bytes.Load()
		again := check(t, opts)
		bytes := m.bytes.Load() - before
		if again.Offer.Reason != ReasonPaused || first.Offer.Reason != ReasonPaused || r.count() != 1 || bytes > 2000 {
			t.Errorf("%s: %v, %d requests, %d bytes", name, again.Offer.Reason, r.count(), bytes)
		}
		t.Logf("%s: %d bytes with headers", name, bytes)
	}
}

// What has changed is seen, though the last check was a short one; and before something is installed that needs no news, a new
// root is looked for all the same.
func TestQuickCheckSeesNews(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.follow(t, encoded(t, offering(func(d *channel.Document) { d.Releases[1].From = tuftest.Now.Add(time.Hour) })))
	target := install(t, old)
	opts := r.following(target)
	for range 2 {
		if p := check(t, opts); p.Offer.Reason != ReasonNotYet || !p.Offer.Due.Equal(tuftest.Now.Add(time.Hour)) {
			t.Fatalf("%+v", p.Offer)
		}
	}
	// Time alone makes it this machine's.
	r.requests = nil
	p := check(t, append(opts, func(c *Config) error {
		c.now = func() time.Time { return tuftest.Now.Add(2 * time.Hour) }
		return nil
	}))
	if p.UpToDate || !slices.ContainsFunc(r.requests, func(q *http.Request) bool { return q.URL.Path == "/metadata/2.root.json" }) {
		t.Errorf("%+v, and the root was asked for: %v", p.Offer, r.requests)
	}
	r.follow(t, encoded(t, offering(func(d *channel.Document) { d.Releases[1].State = channel.Withdrawn })))
	if p := check(t, opts); p.Offer.Reason != ReasonWithdrawn {
		t.Errorf("%+v", p.Offer)
	}
	// A timestamp that is signed anew comes with a look for a new root, though all else is as it was.
	r.tuf.PublishTimestamp()
	r.serve()
	r.requests = nil
	if check(t, opts); !slices.ContainsFunc(r.requests, func(q *http.Request) bool { return q.URL.Path == "/metadata/2.root.json" }) {
		t.Errorf("the root was not asked for: %d requests", r.count())
	}
	// A timestamp that has expired is no news that anything is still so.
	r.tuf.Signed["timestamp"]["expires"] = tuftest.Time(1)
	r.tuf.PublishTimestamp()
	r.serve()
	check(t, opts)
	late := func(c *Config) error { c.now = func() time.Time { return tuftest.Now.AddDate(0, 0, 2) }; return nil }
	if _, err := Check(context.Background(), append(opts, late)...); !errors.Is(err, ErrExpired) {
		t.Errorf("%v, want ErrExpired", err)
	}
}

// What was seen is verified each time: state that was tampered with is fetched anew.
func TestStoredChannelIsVerified(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	r.follow(t, encoded(t, offering(func(d *channel.Document) { d.Releases[1].State = channel.Paused })))
	target := install(t, old)
	check(t, r.following(target))
	stored := filepath.Join((&Config{}).stateFolder(target), "metadata", "channel-stable.json")
	if err := os.WriteFile(stored, encoded(t, offering()), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := check(t, r.following(target)); p.Offer.Reason != ReasonPaused {
		t.Errorf("%+v", p.Offer)
	}
	if err := os.Remove(stored); err != nil {
		t.Fatal(err)
	}
	if p := check(t, r.following(target)); p.Offer.Reason != ReasonPaused {
		t.Errorf("%+v", p.Offer)
	}
}

// A backup of the right size that is another binary is no use, and no harm.
func TestOtherBackup(t *testing.T) {
	old, new := buildPrograms(t)
	r := newSignedRepo(t, new)
	target := install(t, old)
	other := bytes.Clone(new)
	other[len(other)/2] ^= 1
	if err := os.WriteFile(target+".backup", other, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.apply(target); err != nil || !bytes.Equal(read(t, target), new) {
		t.Error(err)
	}
}

// Whichever operation fails while the new binary is taken from the backup, the target is the old or the new one,
// as the error says, and the next try succeeds.
func TestFaultFromBackup(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	for at := 1; ; at++ {
		target := install(t, old)
		if err := os.WriteFile(target+".backup", new, 0o755); err != nil {
			t.Fatal(err)
		}
		hit := false
		faulty := disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
			if op.N == at {
				hit = true
				return syscall.EIO
			}
			return nil
		}})
		_, err := ApplyContext(context.Background(), r.options(target, func(c *Config) error { c.fs = faulty; return nil })...)
		want := old
		if err == nil || errors.Is(err, ErrNotDurable) {
			want = new
		}
		if !bytes.Equal(read(t, target), want) {
			t.Fatalf("operation %d: the target is not what %v says", at, err)
		}
		if !hit {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			t.Logf("%d operations", at-1)
			return
		}
		if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil || !bytes.Equal(read(t, target), new) {
			t.Fatalf("operation %d, again: %v", at, err)
		}
	}
}

func TestUnsignedChannel(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	r.files["channels/stable.json"] = encoded(t, offering())
	options := func(target string) []Option {
		return []Option{
			SourceRepo(r.URL), UnsignedChannel("stable"), CurrentVersion("1.0.0"), TargetFile(target), OS(runtime.GOOS), Arch(runtime.GOARCH),
			AllowContainer(), at2030, MachineID("one"), Attempts(1),
		}
	}
	target := install(t, old)
	result, err := ApplyContext(context.Background(), options(target)...)
	if err != nil || !result.Applied || !bytes.Equal(read(t, target), new) {
		t.Fatalf("%+v, %v", result, err)
	}
	// A cache that serves an older document does not undo what was seen.
	target = install(t, old)
	r.files["channels/stable.json"] = encoded(t, offering(func(d *channel.Document) { d.Serial++; d.Releases[1].State = channel.Paused }))
	check(t, options(target))
	r.files["channels/stable.json"] = encoded(t, offering())
	if _, err := ApplyContext(context.Background(), options(target)...); !errors.Is(err, ErrOlderMetadata) {
		t.Errorf("%v, want ErrOlderMetadata", err)
	}
}

func TestChannelOptions(t *testing.T) {
	target := install(t, []byte("old"))
	base := []Option{SourceRepo("/nowhere"), TargetFile(target), AllowContainer(), OS(runtime.GOOS), Arch(runtime.GOARCH)}
	for name, c := range map[string]struct {
		opts []Option
		want string
	}{
		"no trust root":    {[]Option{Channel("stable")}, "UnsignedChannel()"},
		"unsigned, a root": {[]Option{UnsignedChannel("stable"), TrustRoot([]byte("x"))}, "please use Channel()"},
		"version too":      {[]Option{Channel("stable"), TrustRoot([]byte("x")), Version("1")}, "both a version and a channel"},
		"neither":          {nil, "Version() or Channel()"},
		"name":             {[]Option{Channel("../x")}, "channel"},
		"group":            {[]Option{Groups("a b")}, "group"},
		"machine id":       {[]Option{MachineID("")}, "machine id"},
		"hold-off":         {[]Option{HoldOff(-1)}, "hold-off"},
		"splay":            {[]Option{Splay(-1)}, "splay"},
		"window":           {[]Option{UpdateWindow(Window{From: 25 * time.Hour})}, "window"},
		"variant":          {[]Option{Variants("v5")}, "variant"},
		"two levels":       {[]Option{Variants("v2", "v3")}, "variant"},
		"level and libc":   {[]Option{Variants("v3-musl")}, "variant"},
	} {
		if _, err := Check(context.Background(), append(slices.Clone(base), c.opts...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A machine without an identifier gives itself one, and where it cannot keep it, comes last.
func TestOwnMachineID(t *testing.T) {
	target := install(t, []byte("old"))
	c := &Config{fs: disk.OS, now: time.Now, Log: silent, TargetFile: target}
	state := c.openTrustState(context.Background(), target)
	first := c.ownID(state)
	state.close()
	state = c.openTrustState(context.Background(), target)
	if again := c.ownID(state); first == "" || again != first {
		t.Errorf("%q, then %q", first, again)
	}
	state.close()
	other := install(t, []byte("old"))
	busy := c.openTrustState(context.Background(), other)
	defer busy.close()
	state = c.openTrustState(context.Background(), other)
	defer state.close()
	if id := c.ownID(state); id != "" {
		t.Errorf("it cannot be kept: %q", id)
	}
	if channel.Cohort("", "tool", "1") != channel.Everyone-1 {
		t.Error("a machine without identifier does not come last")
	}
}
