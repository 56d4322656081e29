package tuf

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// Client follows one repository. It is not for use by several goroutines at once.
type Client struct {
	env  Env
	root *root

	now       time.Time // when the refresh began
	timestamp *meta
	snapshot  *meta
	targets   *targets
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
		return nil, fmt.Errorf("the trust root: %w", err)
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
		env.Warn(fmt.Errorf("the stored root cannot be used, going on with the trust root of the program: %w", err))
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
	if err := c.refreshSnapshot(); err != nil {
		return err
	}
	t, err := c.load(targetsRole, c.root.roles[targetsRole])
	c.targets = t
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
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := u.verify(c.root.roles[rootRole]); err != nil {
			return fmt.Errorf("%s, by the keys of root %d: %w", name, c.root.version, err)
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

// stored has a metadata file of an earlier refresh parsed, if there is one. One that the
// current keys did not sign is none: that is how new keys undo a version
// that was raised out of reach (fast-forward, section 5.3.11).
func (c *Client) stored(name string, parse func([]byte) error) {
	data, err := c.env.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = parse(data)
	}
	if err != nil && !errors.Is(err, ErrUntrusted) {
		c.env.Warn(fmt.Errorf("going on without the stored %s: %w", name, err))
	}
}

// refreshTimestamp is section 5.4.
func (c *Client) refreshTimestamp() error {
	name, by := filename(timestampRole), c.root.roles[timestampRole]
	var old *meta
	c.stored(name, func(data []byte) (err error) { old, err = parseTimestamp(data, by); return err })
	data, err := c.env.Fetch(name, MaxTimestamp)
	if err != nil {
		return err
	}
	m, err := parseTimestamp(data, by)
	if err != nil {
		return err
	}
	if old != nil {
		if m.version < old.version {
			return fmt.Errorf("timestamp version %d is %w: version %d", m.version, ErrRollback, old.version)
		}
		if m.version == old.version {
			c.timestamp = old
			return old.checkExpiry(c.now)
		}
		was, is := old.files[filename(snapshotRole)].version, m.files[filename(snapshotRole)].version
		if is < was {
			return fmt.Errorf("timestamp names snapshot version %d, %w: version %d", is, ErrRollback, was)
		}
	}
	if err := m.checkExpiry(c.now); err != nil {
		return err
	}
	c.timestamp = m
	return c.env.Store(name, data)
}

// refreshSnapshot is section 5.5.
func (c *Client) refreshSnapshot() error {
	name, by := filename(snapshotRole), c.root.roles[snapshotRole]
	want := c.timestamp.files[name]
	var old *meta
	current := false
	c.stored(name, func(data []byte) (err error) {
		old, err = parseMeta(snapshotRole, data, by)
		current = err == nil && old.version == want.version && want.check(name, data) == nil
		return err
	})
	if current {
		c.snapshot = old
		return old.checkExpiry(c.now)
	}
	data, err := c.fetch(name, want, MaxSnapshot)
	if err != nil {
		return err
	}
	m, err := parseMeta(snapshotRole, data, by)
	if err != nil {
		return err
	}
	if m.version != want.version {
		return malformed("snapshot version %d, where timestamp names %d", m.version, want.version)
	}
	if old != nil {
		if err := checkForward(old, m); err != nil {
			return err
		}
	}
	if err := m.checkExpiry(c.now); err != nil {
		return err
	}
	c.snapshot = m
	return c.env.Store(name, data)
}

// checkForward makes sure that no role has disappeared or gone back.
func checkForward(old, m *meta) error {
	for name, was := range old.files {
		is, ok := m.files[name]
		if !ok {
			return fmt.Errorf("snapshot %w: it lists %s no more", ErrRollback, clip(name))
		}
		if is.version < was.version {
			return fmt.Errorf("snapshot lists %s at version %d, %w: version %d", clip(name), is.version, ErrRollback, was.version)
		}
	}
	return nil
}

// fetch gets a versioned file and compares it with what the role above says.
func (c *Client) fetch(name string, want metaFile, limit int64) ([]byte, error) {
	versioned := name
	if c.root.consistent {
		versioned = strconv.FormatInt(want.version, 10) + "." + name
	}
	data, err := c.env.Fetch(versioned, want.limit(limit))
	if err != nil {
		return nil, err
	}
	return data, want.check(versioned, data)
}

// load gets targets, or a role that it delegates to, at the version that snapshot names (sections 5.6
// and 5.6.7): the stored file if it is that, else from the repository.
func (c *Client) load(role string, by role) (*targets, error) {
	want, ok := c.snapshot.files[role+".json"]
	if !ok {
		return nil, malformed("snapshot does not list %s", clip(role))
	}
	name := filename(role)
	var t *targets
	current := false
	c.stored(name, func(data []byte) (err error) {
		t, err = parseTargets(role, data, by)
		current = err == nil && t.version == want.version && want.check(name, data) == nil
		return err
	})
	if current {
		return t, t.checkExpiry(c.now)
	}
	data, err := c.fetch(name, want, MaxTargets)
	if err != nil {
		return nil, err
	}
	if t, err = parseTargets(role, data, by); err != nil {
		return nil, err
	}
	if t.version != want.version {
		return nil, malformed("%s version %d, where snapshot names %d", clip(role), t.version, want.version)
	}
	if err := t.checkExpiry(c.now); err != nil {
		return nil, err
	}
	return t, c.env.Store(name, data)
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
		return nil, fmt.Errorf("%w: %s", ErrNoTarget, clip(path))
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
func (s *search) visit(t *targets) (found *Target, ended bool, err error) {
	if found, err = t.target(s.path); found != nil || err != nil {
		return found, true, err
	}
	for _, d := range t.delegations {
		name, ok := d.roleFor(s.path)
		if !ok || s.seen[name] {
			continue
		}
		if len(s.seen) > MaxDelegations {
			return nil, true, malformed("more than %d delegations for %s", MaxDelegations, clip(s.path))
		}
		s.seen[name] = true
		next, err := s.client.load(name, d.by)
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
