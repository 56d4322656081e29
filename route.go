package updater

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

const (
	maxHops    = 4        // deltas in one chain
	maxLookups = 8        // releases asked for, to find a chain
	maxDelta   = 32 << 20 // bytes of a delta
)

// hop is one delta of the way from the installed binary to the new one.
type hop struct {
	_ uncomparable

	version string // of the release that has it
	delta   *Delta
	hash    string // of what comes out
	size    int64
}

// routeFinder looks for the cheapest way by deltas: one, or a chain through
// releases in between if that is shorter than the full artifact.
type routeFinder struct {
	c       *Config
	from    string // sha256 of the installed binary
	lookups int
	specs   map[string]*Spec // by version; nil for those that cannot be had
}

// route is the way by deltas, nil where there is none, or none that beats limit bytes.
func (p *Plan) route(ctx context.Context, limit int64) ([]hop, error) {
	if len(p.Spec.Deltas) == 0 || p.c.deltaFailed(p.Target, p.Spec.Sha256Hash) {
		return nil, nil
	}
	from, err := p.hashTarget()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cause.Errorf("%w: %s", ErrTargetMissing, p.Target)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	f := &routeFinder{c: p.c, from: from, specs: map[string]*Spec{}}
	return f.find(ctx, p.To, p.Spec, limit, maxHops), ctx.Err()
}

// find looks for a way to a release that costs less than limit bytes. A delta from the installed
// binary needs no other release to be asked for, so that comes first.
func (f *routeFinder) find(ctx context.Context, version string, spec *Spec, limit int64, hops int) []hop {
	for i := range spec.Deltas {
		if d := &spec.Deltas[i]; d.From == f.from && usable(d, spec, limit) {
			return []hop{{version: version, delta: d, hash: spec.Sha256Hash, size: spec.Size}}
		}
	}
	if hops == 1 {
		return nil
	}
	var best []hop
	for i := range spec.Deltas {
		d := &spec.Deltas[i]
		if !usable(d, spec, limit) || d.Version == version {
			continue
		}
		base := f.spec(ctx, d.Version)
		if base == nil || base.Sha256Hash != d.From || base.Size <= 0 {
			continue
		}
		if way := f.find(ctx, d.Version, base, limit-d.Size, hops-1); way != nil {
			best = append(way, hop{version: version, delta: d, hash: spec.Sha256Hash, size: spec.Size})
			limit = bytesOf(best)
		}
	}
	return best
}

func usable(d *Delta, spec *Spec, limit int64) bool {
	return d.Size > 0 && d.Size < limit && d.Size <= maxDelta && spec.Size > 0
}

func bytesOf(way []hop) int64 {
	total := int64(0)
	for _, h := range way {
		total += h.delta.Size
	}
	return total
}

// spec asks for a release in between, as carefully as for the one that is wanted.
func (f *routeFinder) spec(ctx context.Context, version string) *Spec {
	if spec, asked := f.specs[version]; asked || f.lookups == maxLookups {
		return spec
	}
	f.lookups++
	at := *f.c
	at.Version = version
	spec, err := at.fetchSpec(ctx)
	if err != nil {
		spec = nil
	}
	f.specs[version] = spec
	return spec
}

// takeDeltas has the plan take its way by deltas instead of its artifact.
func (p *Plan) takeDeltas() {
	d, otherwise := p.hops[0].delta, &p.Artifact
	what := "a delta"
	if len(p.hops) > 1 {
		what = fmt.Sprintf("a chain of %d deltas", len(p.hops))
	}
	p.Why = fmt.Sprintf("%s from version %s has %d bytes, %s %d", what, d.Version, bytesOf(p.hops), otherwise.File, otherwise.Size)
	p.Artifact = d.artifact()
}

func (d *Delta) artifact() Artifact {
	return Artifact{File: d.File, Encoding: DeltaEncoding, Size: d.Size, SHA256: d.SHA256}
}

// failedPath names the release whose delta did not work here: it is not tried again.
func (c *Config) failedPath(target string) string {
	return filepath.Join(c.stateFolder(target), "delta-failed")
}

func (c *Config) deltaFailed(target, release string) bool {
	f, err := c.fs.Open(c.failedPath(target))
	if err != nil {
		return false
	}
	defer f.Close()
	failed, err := readHead(f, len(release))
	return err == nil && string(failed) == release
}

func (c *Config) rememberFailed(target, release string) {
	if err := disk.WriteFile(c.fs, c.failedPath(target), []byte(release)); err != nil {
		c.warn(cause.Errorf("remembering that a delta did not work: %w", err))
	}
}
