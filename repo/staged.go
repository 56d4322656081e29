package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// signAndPublish signs with the keys at hand, and publishes, or stages the change if that is not enough.
func (c *change) signAndPublish(ctx context.Context) error {
	if err := c.signAll(false); err != nil {
		return err
	}
	err := c.publish(ctx)
	if errors.Is(err, ErrKeys) && len(c.signatures()) > 0 {
		return c.stage(ctx, err)
	}
	return err
}

// stage keeps a change in the repository until it is signed well enough.
func (c *change) stage(ctx context.Context, why error) error {
	p := &Proposal{
		Format: proposalFormat, Lost: c.lost, Parents: c.parent, Root: c.root, Roles: c.roles, Snapshot: c.snap,
		WasRoles: map[string]*targetsMeta{},
	}
	if !c.first() {
		// Read anew: the change was made in the ones that were read.
		was, err := c.repo.load(ctx, c.lost)
		if err != nil {
			return err
		}
		for name := range c.base.roles {
			if was.snapshot.Signed.Meta[name+".json"] == nil {
				continue
			}
			if p.WasRoles[name], err = was.readRole(ctx, name); err != nil {
				return err
			}
		}
		p.Version, p.WasRoots, p.WasSnapshot = was.snapshot.Signed.Version, was.roots, was.snapshot
	}
	return c.restage(ctx, p, why)
}

// Staged is the change that waits for signatures, nil if there is none. One that something else
// was published after is none.
func (r *Repo) Staged(ctx context.Context) (*Proposal, error) {
	base, err := r.load(ctx, true)
	if err != nil {
		return nil, err
	}
	return r.staged(ctx, base)
}

func (r *Repo) staged(ctx context.Context, base *signed) (*Proposal, error) {
	data, err := r.read(ctx, stagedName, proposalLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := ParseProposal(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stagedName, err)
	}
	if base == nil || len(p.WasRoots) == 0 {
		if base == nil && len(p.WasRoots) == 0 {
			return p, nil
		}
		return nil, nil
	}
	was := p.WasRoots[len(p.WasRoots)-1]
	if p.Version != base.snapshot.Signed.Version || was.Signed.Version != base.root().Signed.Version {
		return nil, nil
	}
	return p, nil
}

// loadUnstaged is load for those who make a change: one has to be done with before the next is begun.
func (r *Repo) loadUnstaged(ctx context.Context, lenient bool) (*signed, error) {
	base, err := r.load(ctx, lenient)
	if base == nil || err != nil {
		return nil, err
	}
	p, err := r.staged(ctx, base)
	if err != nil {
		return nil, err
	}
	if p != nil {
		return nil, ErrWaiting
	}
	return base, nil
}

// Discard gives up the change that waits for signatures.
func (r *Repo) Discard(ctx context.Context) error { return r.store.Delete(ctx, stagedName) }

// Import adds the signatures of a proposal that was signed elsewhere to the staged change, and those of the keys
// at hand, and publishes it if that is enough. p may be nil.
//
// Errors: ErrStaged if more signatures are needed, ErrBusy.
func (r *Repo) Import(ctx context.Context, p *Proposal) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	base, err := r.load(ctx, true)
	if err != nil {
		return err
	}
	staged, err := r.staged(ctx, base)
	if err != nil {
		return err
	}
	if staged == nil {
		return errors.New("no change waits for signatures")
	}
	if p != nil {
		if err := staged.merge(p); err != nil {
			return err
		}
	}
	if base != nil {
		return r.publishStaged(ctx, base, staged)
	}
	return r.publishFirstStaged(ctx, staged)
}

func (r *Repo) publishStaged(ctx context.Context, base *signed, p *Proposal) error {
	// Roles that are not part of the change are needed to verify those below them.
	for name, parent := range p.Parents {
		if p.Roles[parent] == nil && parent != metadata.TARGETS && parent != metadata.ROOT {
			if _, err := base.role(ctx, parent, base.roles[metadata.TARGETS]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	c := p.on(r, base)
	if err := c.signAll(true); err != nil {
		return err
	}
	err := c.publish(ctx)
	if errors.Is(err, ErrKeys) {
		return c.restage(ctx, p, err)
	}
	if err != nil {
		return err
	}
	if err := r.Discard(ctx); err != nil {
		return err
	}
	if err := r.settleAfter(ctx, base); err != nil {
		return err
	}
	if c.root == nil {
		return nil
	}
	if base, err = r.load(ctx, p.Lost); err != nil {
		return err
	}
	return r.finishRotation(ctx, base)
}

func (r *Repo) publishFirstStaged(ctx context.Context, p *Proposal) error {
	c := p.change(r)
	if err := c.signAll(true); err != nil {
		return err
	}
	if _, err := c.publishFirst(ctx); errors.Is(err, ErrKeys) {
		return c.restage(ctx, p, err)
	} else if err != nil {
		return err
	}
	if err := r.Discard(ctx); err != nil {
		return err
	}
	return r.settleAfter(ctx, nil)
}

// restage keeps a staged change with the signatures that it has got.
func (c *change) restage(ctx context.Context, p *Proposal, why error) error {
	data, err := p.Marshal()
	if err != nil {
		return err
	}
	if err := c.repo.putBytes(ctx, stagedName, data); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrStaged, why)
}
