package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/store"
)

type (
	rootMeta      = metadata.Metadata[metadata.RootType]
	timestampMeta = metadata.Metadata[metadata.TimestampType]
	snapshotMeta  = metadata.Metadata[metadata.SnapshotType]
	targetsMeta   = metadata.Metadata[metadata.TargetsType]
)

// Limits of what is read, in bytes, as the client has them.
const (
	rootLimit      = 512 << 10
	timestampLimit = 16 << 10
	snapshotLimit  = 2 << 20
	targetsLimit   = 5 << 20
	rotationLimit  = 256 // roots that a client follows in one go
	rootsLimit     = 2000
)

const (
	metadataFolder = "metadata/"
	timestampName  = metadataFolder + metadata.TIMESTAMP + ".json"
)

var (
	// ErrUnsigned: the repository has no keys yet. `update-repo init` makes them.
	ErrUnsigned = errors.New("the repository is not signed")

	// ErrSigned: the repository has its keys already.
	ErrSigned = errors.New("the repository is signed already")

	// ErrUntrusted: the metadata in the repository is not what the keys signed. Somebody or something else
	// wrote it: find out who before anything is published.
	ErrUntrusted = errors.New("the repository's metadata is not signed as it has to be")

	// ErrKeys: keys that have to sign are not at hand.
	ErrKeys = errors.New("keys that have to sign are not at hand")

	// ErrBusy: someone else is publishing, or has published meanwhile. Try again.
	ErrBusy = errors.New("another publisher is at work in this repository")
)

// signing is what a Repo knows about keys.
type signing struct {
	signers []Signer
	anchor  []byte
	clock   func() time.Time // nil is time.Now
}

// SignWith adds keys that are at hand. Each signs the roles that the root entrusts to it.
func (r *Repo) SignWith(signers ...Signer) { r.signers = append(r.signers, signers...) }

// TrustRoot pins the root metadata from which the publisher starts to verify, as clients
// do. Without it the store is believed about the first root: a hostile store could then have the keys at hand sign what
// they should not.
func (r *Repo) TrustRoot(root []byte) { r.anchor = root }

// CheckTrustRoot tells whether root is root metadata, signed by its own keys, that clients can start from.
func CheckTrustRoot(root []byte) error { return tuf.CheckRoot(root) }

func (r *Repo) now() time.Time {
	if r.clock != nil {
		return r.clock().UTC()
	}
	return time.Now().UTC()
}

// signed is the metadata of a repository, verified but for its expiry: the publisher
// is who renews it.
type signed struct {
	repo          *Repo
	roots         []*rootMeta // as far back as the verification went, the current one last
	rootData      []byte      // of the current one
	timestamp     *timestampMeta
	timestampData []byte
	snapshot      *snapshotMeta
	roles         map[string]*targetsMeta // those that were read, targets among them
	outdated      bool                    // an earlier root's keys signed it: the end of a rotation is missing
}

func (s *signed) root() *rootMeta { return s.roots[len(s.roots)-1] }

// Product is the product that the root names.
func product(root *rootMeta) string {
	name, _ := root.Signed.UnrecognizedFields["product"].(string)
	return name
}

// load reads and verifies root, timestamp, snapshot and targets. It returns nil for
// a repository that is not signed, or whose init was interrupted.
//
// With lenient set, what only an earlier root's keys signed is taken as well.
func (r *Repo) load(ctx context.Context, lenient bool) (*signed, error) {
	s := &signed{repo: r, roles: map[string]*targetsMeta{}}
	var err error
	s.timestampData, err = r.read(ctx, timestampName, timestampLimit)
	if errors.Is(err, fs.ErrNotExist) {
		if r.anchor == nil {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: it has no metadata, but there is a trust root for it: %w", ErrUntrusted, err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.loadRoots(ctx); err != nil {
		return nil, err
	}
	if err := s.loadTop(ctx, lenient); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *Repo) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	f := store.Fetcher{Readers: []store.Reader{r.store}, Attempts: 1}
	return f.ReadFile(ctx, name, limit, nil)
}

func versioned(version int64, role string) string {
	return metadataFolder + strconv.FormatInt(version, 10) + "." + role + ".json"
}

// loadRoots walks from the pinned or the first root to the newest, each signed
// by the keys of the one before and by its own.
func (s *signed) loadRoots(ctx context.Context) error {
	data := s.repo.anchor
	if data == nil {
		var err error
		if data, err = s.repo.read(ctx, versioned(1, metadata.ROOT), rootLimit); err != nil {
			return err
		}
	}
	for {
		root, err := parseRoot(data)
		if err != nil {
			return fmt.Errorf("%w: root: %w", ErrUntrusted, err)
		}
		if len(s.roots) > 0 {
			before := s.root()
			if root.Signed.Version != before.Signed.Version+1 {
				return fmt.Errorf("%w: root %d comes after root %d", ErrUntrusted, root.Signed.Version, before.Signed.Version)
			}
			if err := before.VerifyDelegate(metadata.ROOT, root); err != nil {
				return fmt.Errorf("%w: root %d, by the keys of root %d: %w", ErrUntrusted, root.Signed.Version, before.Signed.Version, err)
			}
		}
		if err := root.VerifyDelegate(metadata.ROOT, root); err != nil {
			return fmt.Errorf("%w: root %d: %w", ErrUntrusted, root.Signed.Version, err)
		}
		if s.repo.anchor == nil && len(s.roots) == 0 && root.Signed.Version != 1 {
			return fmt.Errorf("%w: root 1 is root %d", ErrUntrusted, root.Signed.Version)
		}
		if len(s.roots) == rootsLimit {
			return fmt.Errorf("%w: more than %d roots; pin a newer one", ErrUntrusted, rootsLimit)
		}
		s.roots, s.rootData = append(s.roots, root), data
		data, err = s.repo.read(ctx, versioned(root.Signed.Version+1, metadata.ROOT), rootLimit)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// verifyTop checks a file of a top-level role by the keys of the current root.
func (s *signed) verifyTop(role string, m any, lenient bool) error {
	err := s.root().VerifyDelegate(role, m)
	if err == nil {
		return nil
	}
	for i := len(s.roots) - 2; i >= 0 && lenient; i-- {
		if s.roots[i].VerifyDelegate(role, m) == nil {
			s.outdated = true
			return nil
		}
	}
	return fmt.Errorf("%w: %s: %w", ErrUntrusted, role, err)
}

// loadTop reads timestamp, snapshot and targets.
func (s *signed) loadTop(ctx context.Context, lenient bool) error {
	var err error
	if s.timestamp, err = parseMeta[metadata.TimestampType](metadata.TIMESTAMP, s.timestampData); err != nil {
		return fmt.Errorf("%w: timestamp: %w", ErrUntrusted, err)
	}
	if err := s.verifyTop(metadata.TIMESTAMP, s.timestamp, lenient); err != nil {
		return err
	}
	want := s.timestamp.Signed.Meta["snapshot.json"]
	if want == nil {
		return fmt.Errorf("%w: timestamp names no snapshot", ErrUntrusted)
	}
	data, err := s.repo.read(ctx, versioned(want.Version, metadata.SNAPSHOT), snapshotLimit)
	if err != nil {
		return err
	}
	if err := want.VerifyLengthHashes(data); err != nil {
		return fmt.Errorf("%w: snapshot: %w", ErrUntrusted, err)
	}
	if s.snapshot, err = parseMeta[metadata.SnapshotType](metadata.SNAPSHOT, data); err != nil {
		return fmt.Errorf("%w: snapshot: %w", ErrUntrusted, err)
	}
	if err := s.verifyTop(metadata.SNAPSHOT, s.snapshot, lenient); err != nil {
		return err
	}
	if s.snapshot.Signed.Version != want.Version {
		return fmt.Errorf("%w: snapshot has version %d, timestamp says %d", ErrUntrusted, s.snapshot.Signed.Version, want.Version)
	}
	targets, err := s.readRole(ctx, metadata.TARGETS)
	if err != nil {
		return err
	}
	if err := s.verifyTop(metadata.TARGETS, targets, lenient); err != nil {
		return err
	}
	s.roles[metadata.TARGETS] = targets
	return nil
}

// readRole reads a role's file at the version that snapshot names; who delegates to it has to verify it.
func (s *signed) readRole(ctx context.Context, name string) (*targetsMeta, error) {
	want := s.snapshot.Signed.Meta[name+".json"]
	if want == nil {
		return nil, fmt.Errorf("%w: snapshot does not list %s", ErrUntrusted, name)
	}
	data, err := s.repo.read(ctx, versioned(want.Version, name), targetsLimit)
	if err != nil {
		return nil, err
	}
	m, err := parseTargets(name, data)
	if err == nil && m.Signed.Version != want.Version {
		err = fmt.Errorf("it has version %d, snapshot says %d", m.Signed.Version, want.Version)
	}
	if err == nil {
		err = want.VerifyLengthHashes(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUntrusted, name, err)
	}
	return m, nil
}

// role reads a role that parent delegates to, once.
func (s *signed) role(ctx context.Context, name string, parent *targetsMeta) (*targetsMeta, error) {
	if m := s.roles[name]; m != nil {
		return m, nil
	}
	m, err := s.readRole(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := parent.VerifyDelegate(name, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUntrusted, name, err)
	}
	s.roles[name] = m
	return m, nil
}

// walk visits every role that targets leads to, those that delegate first. Where visit returns no role, what that would lead to is left out.
func (s *signed) walk(visit func(name string, parent *targetsMeta) (*targetsMeta, error)) error {
	targets := s.roles[metadata.TARGETS]
	if targets.Signed.Delegations == nil {
		return nil
	}
	for _, d := range targets.Signed.Delegations.Roles {
		m, err := visit(d.Name, targets)
		if err != nil {
			return err
		}
		if m == nil || binsOf(m) == nil {
			continue
		}
		for _, bin := range binsOf(m).GetRoles() {
			if _, err := visit(bin, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// unchanged tells whether the timestamp is still the one that was loaded.
func (s *signed) unchanged(ctx context.Context) error {
	data, err := s.repo.read(ctx, timestampName, timestampLimit)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, s.timestampData) {
		return fmt.Errorf("%w: it has published since this change was begun", ErrBusy)
	}
	return nil
}

func sha256Of(data []byte) metadata.Hashes {
	sum := sha256.Sum256(data)
	return metadata.Hashes{"sha256": sum[:]}
}
