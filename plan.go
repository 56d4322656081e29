package updater

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/exe"
	"github.com/choria-io/go-updater/internal/swap"
)

// Plan is what an update would do. [Check] makes one; nothing is changed and
// no binary is fetched until it is staged.
type Plan struct {
	Target string // the file to be replaced, symbolic links resolved
	From   string // the current version, empty where unknown
	To     string // the version to install

	// UpToDate says that there is nothing to do now, and Why how that is known. With a channel, Offer says
	// whether there will be.
	UpToDate bool

	// Offer is what the channel decided for this machine: whether to change now, to which version, a reason as a
	// value and in lines, and when a change is due that has to wait. It is nil without [Channel].
	Offer *Offer

	// Artifact is what will be fetched first, and Why why this one; with DeltaEncoding it is a
	// delta, or the first of a chain. It is empty with a custom [Downloader].
	Artifact Artifact
	Why      string

	// Fetch is how many bytes will be fetched, less what an interrupted download left;
	// -1 where unknown.
	Fetch int64

	// Size is that of the new binary in bytes, 0 where unknown.
	Size int64

	Spec *Spec // nil when UpToDate is known from the versions alone

	c      *Config
	hops   []hop  // the way by deltas, if one was chosen
	hashed hashed // the target, if it had to be

	unclaimed fs.FileInfo // the target when no package manager owned it, nil if not certain
}

// Check finds out what an update would do: whether there is anything to do,
// what would be fetched and why. It changes nothing, takes no lock, and needs no right to write.
//
// Errors, beside those of the network: ErrTargetMissing, ErrObstructed, ErrManaged,
// ErrContainer, ErrRejected, ErrSignature; fs.ErrNotExist where there is no
// such release.
func Check(ctx context.Context, opts ...Option) (*Plan, error) {
	c, err := contextConfig(opts)
	if err != nil {
		return nil, err
	}
	p, err := c.begin(ctx)
	if err != nil || p.UpToDate {
		return p, err
	}
	return p, p.fill(ctx)
}

// begin makes a plan of what is known without asking the repository.
func (c *Config) begin(ctx context.Context) (*Plan, error) {
	target, err := resolve(c.TargetFile)
	if err != nil {
		return nil, err
	}
	p := &Plan{Target: target, From: c.CurrentVersion, To: c.Version, Fetch: -1, c: c}
	if c.CurrentVersion == c.Version && c.channel == "" {
		p.UpToDate, p.Fetch, p.Why = true, 0, "version "+c.Version+" is running already"
		return p, nil
	}
	if c.follow == nil {
		if err := c.allowed(target); err != nil {
			return nil, err
		}
	}
	c.event(StepPreflight, "looking at "+target)
	if p.unclaimed, err = c.checkPackages(ctx, target); err == nil {
		err = c.checkImage(target)
	}
	if err != nil || c.follow == nil {
		return p, err
	}
	return p, c.follow(c, ctx, p)
}

// fill asks the repository.
func (p *Plan) fill(ctx context.Context) error {
	c := p.c
	c.event(StepCheck, fmt.Sprintf("asking %s for version %s", c.repository(), c.Version))
	spec, err := c.askForSpec(ctx)
	if err != nil {
		return cause.Errorf("release %s: %w", c.Version, missing(err, errNoRelease))
	}
	if spec.Sha256Hash, err = canonicalHash(spec.Sha256Hash); err != nil {
		return cause.Errorf("release %s: %w: %w", c.Version, ErrRejected, err)
	}
	if err := spec.verify(c); err != nil {
		return cause.Errorf("release %s: %w", c.Version, err)
	}
	if len(c.PublicKey) == 0 && c.trustRoot == nil {
		c.Log.Printf("warning: releases are checked by checksum alone; set TrustRoot() to have signatures checked")
	}
	p.Spec, p.Size = spec, spec.Size
	if c.trials != nil {
		if err := c.trials.held(c, p.Target, "", spec.Sha256Hash); err != nil {
			return err
		}
	}

	same, err := p.installed()
	if err != nil {
		return err
	}
	if same {
		p.UpToDate, p.Fetch, p.Why = true, 0, "the target is the binary of version "+c.Version+" already"
		return nil
	}
	if err := p.choose(ctx); err != nil {
		return err
	}
	c.event(StepPlan, fmt.Sprintf("%s, %s: %s", p.fromTo(), p.Artifact.File, p.Why))
	return nil
}

// installed tells whether the target is the release's binary. It is read only if its size
// could be the right one.
func (p *Plan) installed() (bool, error) {
	info, err := p.c.fs.Lstat(p.Target)
	if err == nil && p.Size > 0 && info.Size() != p.Size {
		return false, nil
	}
	sum := ""
	if err == nil {
		sum, err = p.hashTarget()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, cause.Errorf("%w: %s", ErrTargetMissing, p.Target)
	}
	if err != nil {
		return false, unreadable(err)
	}
	return sum == p.Spec.Sha256Hash, nil
}

func (p *Plan) fromTo() string {
	if p.From == "" {
		return "to version " + p.To
	}
	return "from version " + p.From + " to " + p.To
}

// choose picks the artifact and says why.
func (p *Plan) choose(ctx context.Context) error {
	if !p.c.native() {
		p.Why = "a custom downloader fetches it"
		return nil
	}
	candidates := p.Spec.candidates()
	if len(candidates) == 0 {
		return cause.Errorf("release %s: %w: release.json names no artifact with size and sha256 that this version can decode", p.To, ErrRejected)
	}
	p.Artifact = *candidates[0]
	switch {
	case p.Artifact.Encoding == Zstd:
		p.Why = "zstd decodes fastest"
	case len(p.Spec.Artifacts) == 0:
		p.Why = "the repository has only bzip2"
	default:
		p.Why = "there is no zstd"
	}
	if p.Artifact.Size == 0 {
		return nil
	}
	p.Fetch = p.Artifact.Size - p.spooled()
	var err error
	if p.hops, err = p.route(ctx, p.Artifact.Size); len(p.hops) > 0 {
		p.takeDeltas()
		p.Fetch = bytesOf(p.hops) - p.spooled()
	}
	return err
}

// spooled is how many bytes of the artifact an interrupted download left.
func (p *Plan) spooled() int64 {
	s := &spool{fs: p.c.fs, path: p.c.spoolPath(p.Target), key: p.spoolKey()}
	if !s.readMeta() || s.meta.File != p.Artifact.File {
		return 0
	}
	info, err := p.c.fs.Lstat(s.path)
	if err != nil || info.Size() > p.Artifact.Size {
		return 0
	}
	return info.Size()
}

func (p *Plan) spoolKey() string {
	return p.To + "/" + p.c.OperatingSystem + "/" + p.c.Architecture + "/" + p.Spec.Sha256Hash
}

func (c *Config) stateFolder(target string) string {
	if c.stateDir != "" {
		return c.stateDir
	}
	return swap.StateDir(target)
}

func (c *Config) spoolPath(target string) string {
	return filepath.Join(c.stateFolder(target), "spool")
}

// native tells whether our own downloader does the work. The default is nil, not an [HTTPDownloader]: in an interface
// it would keep, by its field, every method of all that is in a Config (a cookie's, a weekday's) in every program.
func (c *Config) native() bool {
	if c.Downloader == nil {
		return true
	}
	_, ok := c.Downloader.(*HTTPDownloader)
	return ok
}

func (c *Config) askForSpec(ctx context.Context) (*Spec, error) {
	if c.native() {
		return c.fetchSpec(ctx)
	}
	folder, err := Folder(c.Version, c.OperatingSystem, c.Architecture)
	if err != nil {
		return nil, err
	}
	signed, err := c.signed(ctx, folder)
	if err != nil {
		return nil, err
	}
	spec, err := c.Downloader.FetchSpec()
	if err != nil {
		return nil, err
	}
	return spec, signed.check(spec)
}

// checkHeader refuses a binary for another platform. A target that is no executable
// itself, a script for example, may become anything.
func (p *Plan) checkHeader(head, current []byte) error {
	if !exe.IsExecutable(head) && !exe.IsExecutable(current) {
		return nil
	}
	if err := exe.Check(head, p.c.OperatingSystem, p.c.Architecture); err != nil {
		return cause.Errorf("the binary of version %s is %w", p.To, err)
	}
	return nil
}
