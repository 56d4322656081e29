package updater

import (
	"context"
	"errors"
	"io/fs"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/strictjson"
	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/store"
)

// TrustRoot has only releases installed that the keys of a TUF repository stand behind. root is
// the root metadata that `update-repo init` writes, best embedded in the program:
//
//	//go:embed trust-root.json
//	var trustRoot []byte
//
// From then on everything unsigned is an error, never a fallback; so is metadata
// that has expired, and anything older than what this machine has seen. What was seen is kept in the state folder;
// where that cannot be written, signatures and expiry hold all the same.
// Later roots are found in the repository, signed by the keys of the one before.
func TrustRoot(root []byte) Option {
	return func(c *Config) error {
		if len(root) == 0 {
			return errors.New("the trust root is empty; embed the root metadata that `update-repo init` writes")
		}
		c.trustRoot, c.askKeys = root, (*Config).trust
		return nil
	}
}

// Product names the product whose releases are installed, where several share
// keys. The default is the one that the trust root names.
func Product(name string) Option {
	return func(c *Config) error {
		c.product = name
		return nil
	}
}

// AllowDowngrade lets a version be installed that is older than the current one, which
// with a [TrustRoot] is [ErrOlderVersion] otherwise.
func AllowDowngrade() Option {
	return func(c *Config) error {
		c.allowDowngrade = true
		return nil
	}
}

// HTTPForbiddenIsMissing takes an answer 403 for 404: buckets whose listing is
// forbidden answer so for files that are not there, and the next root usually is not.
func HTTPForbiddenIsMissing() Option {
	return func(c *Config) error {
		c.http.ForbiddenIsMissing = true
		return nil
	}
}

// trusted is what the repository's keys say about release.json.
type trusted struct {
	verify func(data []byte) error // of release.json
	size   int64                   // of the uncompressed binary
	hash   string                  // its sha256
}

// signed is what the repository's keys say about a release; without a trust root it is
// nil, which accepts everything.
func (c *Config) signed(ctx context.Context, folder string) (*trusted, error) {
	if c.askKeys == nil {
		return nil, nil
	}
	return c.askKeys(c, ctx, folder)
}

// trust finds out what the repository's keys say about a release. Each repository is
// asked in turn until one has current metadata; one that is in the middle of a publish is
// asked twice.
func (c *Config) trust(ctx context.Context, folder string) (*trusted, error) {
	target, err := resolve(c.TargetFile)
	if err != nil {
		return nil, err
	}
	state := c.openTrustState(ctx, target)
	defer state.close()
	var is *trusted
	err = c.inTurn(state, func(store.Reader) error {
		t, product, err := c.lookUp(state, state, folder+"/release.json")
		if err == nil {
			is, err = c.checkCustom(t, product)
		}
		return err
	})
	return is, err
}

// inTurn asks one repository after the other, which state names then, until one answers. What a repository in the
// middle of a publish may show is asked once more past caches.
func (c *Config) inTurn(state *trustState, ask func(store.Reader) error) error {
	readers, err := c.readers()
	if err != nil {
		return err
	}
	var failures []error
	for i, reader := range readers {
		state.from, state.noCache = c.fetcherOf(reader), false
		state.from.Others = i+1 < len(readers)
		err := ask(reader)
		if mendable(err) {
			state.noCache = true
			err = ask(reader)
		}
		if err == nil {
			return nil
		}
		if state.ctx.Err() != nil {
			return state.ctx.Err()
		}
		failures = append(failures, cause.Errorf("%s: %w", reader, err))
	}
	return cause.Join(failures...)
}

// mendable tells errors that a repository in the middle of a publish may show.
func mendable(err error) bool {
	return errors.Is(err, tuf.ErrMalformed) || errors.Is(err, tuf.ErrRollback) ||
		errors.Is(err, tuf.ErrUntrusted) || errors.Is(err, fs.ErrNotExist)
}

// lookUp brings the metadata up to date, in env, and tells what the keys say about a file, and for which product they have to
// say it.
func (c *Config) lookUp(env tuf.Env, state *trustState, path string) (t *tuf.Target, product string, err error) {
	client, err := tuf.New(env, c.trustRoot)
	if err != nil {
		return nil, "", err
	}
	if err := client.Refresh(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = cause.Errorf("%w: the repository's signed metadata is not complete: %w", ErrUntrusted, err)
		}
		return nil, "", state.explain(err)
	}
	state.seen()
	t, err = client.Target(path)
	if errors.Is(err, tuf.ErrNoTarget) {
		return nil, "", cause.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, "", state.explain(err)
	}
	if product = c.product; product == "" {
		product = client.Product()
	}
	return t, product, nil
}

// checkCustom makes sure that the signed file is a release of our product for our
// platform: the right keys may have signed others.
func (c *Config) checkCustom(t *tuf.Target, product string) (*trusted, error) {
	object, err := strictjson.Object(t.Custom)
	if err != nil {
		return nil, cause.Errorf("%w: what is signed about %s does not name a release: %w", ErrUntrusted, t.Path, err)
	}
	r := reader{object: object}
	is := &trusted{verify: t.Verify, size: r.size("length"), hash: r.hash("sha256", true)}
	for _, m := range []struct{ key, want string }{
		{"product", product}, {"version", c.Version}, {"os", c.OperatingSystem}, {"arch", c.Architecture},
	} {
		if got := r.text(m.key); got != m.want && r.err == nil {
			return nil, cause.Errorf("%w: %s is signed for %s %q, not %q", ErrOtherProduct, t.Path, m.key, clip(got), m.want)
		}
	}
	if r.err != nil {
		return nil, cause.Errorf("%w: what is signed about %s: %w", ErrUntrusted, t.Path, r.err)
	}
	return is, nil
}

// accept tells whether release.json is the one that was signed, before it is parsed.
func (t *trusted) accept(data []byte) error {
	if t == nil {
		return nil
	}
	if err := t.verify(data); err != nil {
		return cause.Errorf("release.json is %w: %w", ErrRejected, err)
	}
	return nil
}

// check compares what a release says about its binary with what is signed.
func (t *trusted) check(spec *Spec) error {
	if t == nil {
		return nil
	}
	if spec.Sha256Hash != t.hash || spec.Size != 0 && spec.Size != t.size {
		return cause.Errorf("%w: the binary that release.json names is not the one that was signed", ErrUntrusted)
	}
	spec.Size, spec.signed = t.size, true
	return nil
}
