package tuf

import (
	"errors"
	"io/fs"
	"strconv"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// Client follows one repository. It is not for use by several goroutines at once.
type Client struct {
	_ uncomparable

	env  Env
	root *root

	now       time.Time // when the refresh began
	timestamp *metadata
	snapshot  *metadata
	targets   *metadata
}

// New returns a client that trusts the newer of two roots: the one compiled into the program,
// and the one stored by an earlier Refresh. The former has to be signed by its own
// keys; it may have expired.
//
// A stored root is trusted as the program's own file is: who can write it can
// replace the program.
func New(env Env, compiledIn []byte) (*Client, error) {
	trusted, _, err := parseRoot(compiledIn)
	if err != nil {
		return nil, cause.Errorf("the trust root: %w", err)
	}
	c := &Client{env: env, root: trusted}
	stored, err := env.Load(filename(rootRole))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		var r *root
		if r, _, err = parseRoot(stored); err == nil && r.version > trusted.version {
			c.root = r
		}
	}
	if err != nil {
		env.Warn(cause.Errorf("the stored root cannot be used, going on with the trust root of the program: %w", err))
	}
	return c, nil
}

// Product is what the root names as its product, empty if it names none.
func (c *Client) Product() string { return c.root.product }

// ConsistentSnapshot tells whether the root asks for file names with versions and hashes.
func (c *Client) ConsistentSnapshot() bool { return c.root.consistent }

// Refresh brings the metadata of the four top-level roles up to date.
//
// Errors: ErrUntrusted, ErrRollback, ErrMalformed, [*ExpiredError], and those of Env.
// What was verified before the error is stored all the same.
func (c *Client) Refresh() error {
	c.now = c.env.Now()
	c.timestamp, c.snapshot, c.targets = nil, nil, nil
	if err := c.refreshRoot(); err != nil {
		return err
	}
	if err := c.root.checkExpiry(c.now); err != nil {
		return err
	}
	if err := c.refreshTimestamp(); err != nil {
		return err
	}
	var err error
	if c.snapshot, err = c.load(snapshotRole, snapshotRole, c.root.roles[snapshotRole], c.timestamp, MaxSnapshot); err != nil {
		return err
	}
	t, err := c.load(targetsRole, targetsRole, c.root.roles[targetsRole], c.snapshot, MaxTargets)
	if err == nil {
		c.targets = t
	}
	return err
}

// refreshRoot walks to the newest root, each signed by the keys of the one
// before and by its own (section 5.3).
func (c *Client) refreshRoot() error {
	for range MaxRotations {
		next := c.root.version + 1
		name := strconv.FormatInt(next, 10) + ".root.json"
		data, err := c.env.Fetch(name, MaxRoot)
		if errors.Is(err, fs.ErrNotExist) {
			return c.keepRoot()
		}
		if err != nil {
			return err
		}
		r, u, err := parseRoot(data)
		if err != nil {
			return cause.Errorf("%s: %w", name, err)
		}
		if err := u.verify(c.root.roles[rootRole]); err != nil {
			return cause.Errorf("%s, by the keys of root %d: %w", name, c.root.version, err)
		}
		if r.version != next {
			return malformed("%s holds version %d", name, r.version)
		}
		if err := c.env.Store(filename(rootRole), data); err != nil {
			return err
		}
		c.root = r
	}
	return malformed("more than %d new roots", MaxRotations)
}

// keepRoot stores the root that came with the program, so that the state is whole.
func (c *Client) keepRoot() error {
	if stored, err := c.env.Load(filename(rootRole)); err == nil && string(stored) == string(c.root.data) {
		return nil
	}
	return c.env.Store(filename(rootRole), c.root.data)
}

// stored is what an earlier refresh kept of a role, nil if it kept nothing of use. What the
// current keys did not sign is of none: that is how new keys undo a version
// that was raised out of reach (fast-forward, section 5.3.11).
func (c *Client) stored(kind, name string, by *role) (*metadata, []byte) {
	data, err := c.env.Load(filename(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var m *metadata
	if err == nil {
		m, err = parse(kind, name, data, by)
	}
	if err != nil && !errors.Is(err, ErrUntrusted) {
		c.env.Warn(cause.Errorf("going on without the stored %s: %w", clip(name), err))
	}
	return m, data
}

// keep stores a new file of a role, unless it has expired or lists what is older than in
// the old one.
func (c *Client) keep(name string, old, m *metadata, data []byte) error {
	if old != nil {
		if err := checkForward(old, m); err != nil {
			return err
		}
	}
	if err := m.checkExpiry(c.now); err != nil {
		return err
	}
	return c.env.Store(filename(name), data)
}

// checkForward makes sure that no role has disappeared or gone back.
func checkForward(old, m *metadata) error {
	for name, was := range old.files {
		is := m.files[name]
		if is == nil {
			return cause.Errorf("%s %w: it lists %s no more", m.role, ErrRollback, clip(name))
		}
		if is.version < was.version {
			return cause.Errorf("%s lists %s at version %d, %w: version %d", m.role, clip(name), is.version, ErrRollback, was.version)
		}
	}
	return nil
}

// refreshTimestamp is section 5.4.
func (c *Client) refreshTimestamp() error {
	by := c.root.roles[timestampRole]
	old, _ := c.stored(timestampRole, timestampRole, by)
	data, err := c.env.Fetch(filename(timestampRole), MaxTimestamp)
	if err != nil {
		return err
	}
	m, err := parse(timestampRole, timestampRole, data, by)
	if err != nil {
		return err
	}
	c.timestamp = m
	if old != nil && m.version < old.version {
		return cause.Errorf("timestamp version %d is %w: version %d", m.version, ErrRollback, old.version)
	}
	if old != nil && m.version == old.version {
		c.timestamp = old
		return old.checkExpiry(c.now)
	}
	return c.keep(timestampRole, old, m, data)
}

// load gets snapshot, targets, or a role that is delegated to, at the version that the role above
// lists: the stored file if it is that, else from the repository (sections 5.5, 5.6 and
// 5.6.7). Without an error there is metadata.
func (c *Client) load(kind, name string, by *role, above *metadata, limit int64) (*metadata, error) {
	want := above.files[name+".json"]
	if want == nil {
		return nil, malformed("%s does not list %s", above.role, clip(name))
	}
	old, data := c.stored(kind, name, by)
	if old != nil && old.version == want.version && want.check(name, data) == nil {
		return old, old.checkExpiry(c.now)
	}
	file := filename(name)
	if c.root.consistent {
		file = strconv.FormatInt(want.version, 10) + "." + file
	}
	data, err := c.env.Fetch(file, want.limit(limit))
	if err != nil {
		return nil, err
	}
	if err := want.check(name, data); err != nil {
		return nil, err
	}
	m, err := parse(kind, name, data, by)
	if err != nil {
		return nil, err
	}
	if m.version != want.version {
		return nil, malformed("%s version %d, where %s lists %d", clip(name), m.version, above.role, want.version)
	}
	return m, c.keep(name, old, m, data)
}

// Target looks up who vouches for a path: targets, or the first role that
// is trusted with the path, depth first in the order of the delegations (section 5.6.7). It
// needs a Refresh before.
//
// Errors: ErrNoTarget, and those of Refresh for delegated roles.
func (c *Client) Target(path string) (*Target, error) {
	if c.targets == nil {
		return nil, errors.New("looking up a target: the metadata has not been refreshed")
	}
	s := search{client: c, path: path, seen: map[string]bool{targetsRole: true}}
	target, _, err := s.visit(c.targets)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, cause.Errorf("%w: %s", ErrNoTarget, clip(path))
	}
	return target, nil
}

// search is one walk through the delegations.
type search struct {
	client *Client
	path   string
	seen   map[string]bool
}

// visit looks at a role and then at those that it trusts with the path. ended
// says that a terminating delegation was followed: nobody else is asked.
func (s *search) visit(t *metadata) (found *Target, ended bool, err error) {
	if found, err = t.target(s.path); found != nil || err != nil {
		return found, true, err
	}
	for _, d := range t.delegations {
		name := d.roleFor(s.path)
		if name == "" || s.seen[name] {
			continue
		}
		if len(s.seen) > MaxDelegations {
			return nil, true, malformed("more than %d delegations for %s", MaxDelegations, clip(s.path))
		}
		s.seen[name] = true
		next, err := s.client.load(targetsRole, name, d.by, s.client.snapshot, MaxTargets)
		if err != nil {
			return nil, true, err
		}
		if found, ended, err = s.visit(next); found != nil || ended || err != nil {
			return found, true, err
		}
		if d.terminating {
			return nil, true, nil
		}
	}
	return nil, false, nil
}
