package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/internal/tuf"
)

// ErrStaged: a change waits for the signatures of other maintainers, or for the machine that has
// the timestamp's key. Clients do not see it yet.
var ErrStaged = errors.New("staged: the change waits for more signatures")

// ErrWaiting: another change is staged. Nothing of this one was kept: have the other one signed, or [Repo.Discard] it, and try again.
var ErrWaiting = errors.New("another change is staged, and waits for more signatures")

const (
	stagedName     = metadataFolder + "staged.json" // no client reads it
	proposalLimit  = 256 << 20                      // bytes
	proposalFormat = 1
)

// Proposal is a change that waits for signatures. It holds all that a maintainer needs to
// see what is signed without access to the repository, and is a file that can be carried.
type Proposal struct {
	Format      int                     `json:"update-repo-proposal"` // 1
	Version     int64                   `json:"snapshot-version"`     // that the change is based on
	Lost        bool                    `json:"lost,omitempty"`
	WasRoots    []*rootMeta             `json:"was-roots"` // the current root last; none for the first
	WasRoles    map[string]*targetsMeta `json:"was-roles"`
	WasSnapshot *snapshotMeta           `json:"was-snapshot,omitempty"` // none for the first
	Parents     map[string]string       `json:"parents"`
	Root        *rootMeta               `json:"root,omitempty"`
	Roles       map[string]*targetsMeta `json:"roles,omitempty"`
	Snapshot    *snapshotMeta           `json:"snapshot,omitempty"`
}

// ParseProposal reads a file that Marshal has written. Its error is for what is no such file, or one of a later version.
func ParseProposal(data []byte) (*Proposal, error) {
	p := &Proposal{}
	if err := unmarshal(func() error { return json.Unmarshal(data, p) }); err != nil {
		return nil, fmt.Errorf("no exported change: %w", err)
	}
	if p.Format != proposalFormat || p.Root == nil && p.Snapshot == nil {
		return nil, errors.New("no exported change, or one of a later version")
	}
	if err := p.sane(); err != nil {
		return nil, fmt.Errorf("no exported change: %w", err)
	}
	return p, nil
}

func (p *Proposal) sane() error {
	for _, root := range p.WasRoots {
		if err := saneRoot(root); err != nil {
			return err
		}
	}
	if len(p.WasRoots) == 0 && p.Root == nil {
		return errors.New("it has no root")
	}
	if p.Root != nil {
		if err := saneRoot(p.Root); err != nil {
			return err
		}
		if !p.Root.Signed.ConsistentSnapshot || !strings.HasPrefix(p.Root.Signed.SpecVersion, "1.") {
			return errors.New("no client would find anything by its root")
		}
	}
	for _, m := range []*snapshotMeta{p.WasSnapshot, p.Snapshot} {
		if m != nil && (m.Signed.Type != metadata.SNAPSHOT || slices.Contains(slices.Collect(maps.Values(m.Signed.Meta)), nil)) {
			return errors.New("its snapshot is none")
		}
	}
	for _, m := range p.WasRoles {
		if err := saneTargets(m); err != nil {
			return err
		}
	}
	for name, m := range p.Roles {
		if err := saneTargets(m); err != nil {
			return err
		}
		if name != metadata.TARGETS && p.Parents[name] == "" {
			return fmt.Errorf("nobody delegates to %q", name)
		}
	}
	if n := p.mostSignatures(); n > tuf.MaxSignatures {
		return fmt.Errorf("%d signatures where at most %d are allowed", n, tuf.MaxSignatures)
	}
	return nil
}

// mostSignatures is how many there are of one of the files that are to be signed.
func (p *Proposal) mostSignatures() (most int) {
	for _, m := range p.Roles {
		most = max(most, len(m.Signatures))
	}
	if p.Root != nil {
		most = max(most, len(p.Root.Signatures))
	}
	if p.Snapshot != nil {
		most = max(most, len(p.Snapshot.Signatures))
	}
	return most
}

// Marshal makes the file.
func (p *Proposal) Marshal() ([]byte, error) { return json.Marshal(p) }

// change is the proposal as a change of the repository that it describes itself.
func (p *Proposal) change(r *Repo) *change {
	base := &signed{repo: r, roles: map[string]*targetsMeta{}}
	base.roots = p.WasRoots
	maps.Copy(base.roles, p.WasRoles)
	return p.on(r, base)
}

func (p *Proposal) on(r *Repo, base *signed) *change {
	c := &change{repo: r, base: base, root: p.Root, roles: p.Roles, parent: p.Parents, snap: p.Snapshot, lost: p.Lost}
	if c.roles == nil {
		c.roles = map[string]*targetsMeta{}
	}
	return c
}

// Sign adds signatures by the given keys. It needs no repository. It returns how many
// signatures were made, and whether no others are needed.
func (p *Proposal) Sign(signers ...Signer) (made int, complete bool, err error) {
	r := &Repo{}
	r.SignWith(signers...)
	c := p.change(r)
	before := c.signatures()
	if err := c.signAll(true); err != nil {
		return 0, false, err
	}
	err = c.complete()
	if err != nil && !errors.Is(err, ErrKeys) {
		return 0, false, err
	}
	return len(c.signatures()) - len(before), err == nil, nil
}

// Waiting is an error that says which roles lack signatures; nil if none does.
func (p *Proposal) Waiting() error { return p.change(&Repo{}).complete() }

// signatures of all files of a change, each once.
func (c *change) signatures() map[string]bool {
	all := map[string]bool{}
	add := func(name string, list []metadata.Signature) {
		for _, s := range list {
			all[name+" "+s.KeyID] = true
		}
	}
	for name, m := range c.roles {
		add(name, m.Signatures)
	}
	if c.snap != nil {
		add(metadata.SNAPSHOT, c.snap.Signatures)
	}
	if c.root != nil {
		add(metadata.ROOT, c.root.Signatures)
	}
	return all
}

// merge takes over the signatures of the same change.
func (p *Proposal) merge(other *Proposal) error {
	errOther := errors.New("that is another change than the one that waits for signatures; export it again")
	if len(p.Roles) != len(other.Roles) || (p.Root == nil) != (other.Root == nil) || (p.Snapshot == nil) != (other.Snapshot == nil) {
		return errOther
	}
	same := true
	for name, m := range p.Roles {
		o := other.Roles[name]
		same = same && o != nil && mergeSignatures(m, o)
	}
	if p.Root != nil {
		same = same && mergeSignatures(p.Root, other.Root)
	}
	if p.Snapshot != nil {
		same = same && mergeSignatures(p.Snapshot, other.Snapshot)
	}
	if !same {
		return errOther
	}
	return nil
}

// mergeSignatures adds signatures of the same content; it is false for another one.
func mergeSignatures[T metadata.Roles](to, from *metadata.Metadata[T]) bool {
	a, aerr := cjson.EncodeCanonical(to.Signed)
	b, berr := cjson.EncodeCanonical(from.Signed)
	if aerr != nil || berr != nil || !bytes.Equal(a, b) {
		return false
	}
	for _, s := range from.Signatures {
		to.Signatures = slices.DeleteFunc(to.Signatures, func(t metadata.Signature) bool { return t.KeyID == s.KeyID })
		to.Signatures = append(to.Signatures, s)
	}
	return true
}
