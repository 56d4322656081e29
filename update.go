package updater

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/exe"
	"github.com/choria-io/go-updater/internal/swap"
)

// Staged is a verified binary beside the target. It holds the target's lock
// until it is applied or closed.
type Staged struct {
	Plan *Plan

	swap *swap.Swap
	file *swap.Staged
	old  oldBinary // once fetching
	done bool      // fetched and sealed
}

// Result is what an update did.
type Result struct {
	*Plan

	// Applied is false when there was nothing to do.
	Applied bool

	// Backup is where the previous binary is. Before the first update nothing is there.
	Backup string
}

// Stage fetches the new binary, verifies it and puts it beside the target.
// Before a byte is fetched it makes sure that the update can be done. The caller applies the
// result, or closes it.
//
// Errors, beside those of Check and the network: ErrBusy, ErrNotWritable,
// ErrReadOnly, ErrNoRoom, ErrUnsafeFolder, ErrObstructed, ErrAttributes, ErrHash,
// ErrNotExecutable, ErrOtherPlatform. After any of them the target is as it was.
func (p *Plan) Stage(ctx context.Context) (*Staged, error) {
	if p.UpToDate {
		return nil, errors.New("nothing to stage: " + p.Why)
	}
	s, err := p.prepare()
	if err != nil {
		return nil, err
	}
	if err := s.fetch(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare takes the lock, mends what a crash left, and creates the staged file:
// what would stop the update is found here.
func (p *Plan) prepare() (*Staged, error) {
	c := p.c
	sw, err := swap.Open(swap.Options{FS: c.fs, Target: p.Target, StateDir: c.stateDir, RenameAway: c.renameAway, Backups: c.backups,
		Unclaimed: p.unclaimed, Warn: c.warn})
	if err != nil {
		return nil, onDisk(err)
	}
	s := &Staged{Plan: p, swap: sw}
	if err = c.checkNames(p.Target); err == nil {
		s.file, err = sw.Create()
	}
	if err == nil {
		err = s.checkRoom()
	}
	if err == nil && c.terms != nil {
		err = c.trials.probe(c, p.Target)
	}
	if err != nil {
		s.Close()
		return nil, onDisk(err)
	}
	return s, nil
}

// checkNames refuses folders where files of the state folder belong, rather than to find them when all is fetched.
func (c *Config) checkNames(target string) error {
	for _, name := range []string{"state.json", "state.json.new", "spool", "spool.json"} {
		name = filepath.Join(c.stateFolder(target), name)
		if info, err := c.fs.Lstat(name); err == nil && info.IsDir() {
			return cause.Errorf("%w: %s is a folder", ErrObstructed, name)
		}
	}
	return nil
}

// slack is what folders, state and the file system's own records may take.
const slack = 256 << 10

// checkRoom makes sure that there is room for the archive, the new binary and,
// where it is a copy, the backup. A binary whose size is not known is taken to be as large as the old one. Before release.json
// is there no archive counts: it may be a delta of a few bytes.
func (s *Staged) checkRoom() error {
	p := s.Plan
	old, err := p.c.fs.Lstat(p.Target)
	if err != nil {
		return err
	}
	binary, archive := p.Size, p.Artifact.Size
	if binary == 0 {
		binary = old.Size()
	}
	if archive == 0 && p.Spec != nil {
		archive = binary / 2
	}
	if p.Fetch >= 0 {
		archive = p.Fetch
	}
	need := binary + archive + slack
	for _, h := range p.hops[:max(0, len(p.hops)-1)] {
		need += h.size
	}
	if s.file.BackupNeedsRoom() {
		need += old.Size()
	}
	folder := filepath.Dir(p.Target)
	free, err := p.c.fs.Free(folder)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return cause.Errorf("asking for the room in %s: %w", folder, err)
	}
	if uint64(need) > free {
		return cause.Errorf("%w in %s: %d bytes are needed, %d are free", ErrNoRoom, folder, need, free)
	}
	return nil
}

// fetch downloads, decodes, verifies and seals.
func (s *Staged) fetch(ctx context.Context) error {
	p := s.Plan
	if err := s.checkRoom(); err != nil {
		return onDisk(err)
	}
	if p.Size > 0 {
		if err := s.file.Reserve(p.Size); err != nil {
			return cause.Errorf("reserving %d bytes: %w", p.Size, onDisk(err))
		}
	}
	err := s.readOld(ctx)
	if err != nil {
		return unreadable(err)
	}
	if p.c.native() {
		err = s.fetchNative(ctx)
	} else {
		err = s.fetchCustom()
	}
	if err != nil {
		return cause.Errorf("download failed: %w", err)
	}
	if err := s.file.Seal(p.Spec.Sha256Hash); err != nil {
		return onDisk(err)
	}
	if p.c.selfTest != nil {
		if err := p.c.selfTest.run(s, ctx); err != nil {
			return err
		}
	}
	s.done = true
	return nil
}

func (s *Staged) fetchNative(ctx context.Context) error {
	p := s.Plan
	if done, err := s.fromBackup(); done || err != nil {
		return err
	}
	sp, err := openSpool(p.c.fs, p.c.spoolPath(p.Target), p.spoolKey())
	if err != nil {
		return onDisk(err)
	}
	err = s.tryDeltas(ctx, sp)
	if errors.Is(err, errNoDelta) {
		var a *Artifact
		if a, err = p.c.fetchBinary(ctx, p.Spec, sp, s.file, s.check); a != nil {
			p.Artifact = *a
		}
	}
	if err != nil {
		// Kept for the next try, unless it is what fills the disk or was found wrong.
		if errors.Is(err, ErrNoRoom) || errors.Is(err, ErrRejected) {
			sp.remove()
		} else {
			sp.close()
		}
		return err
	}
	return onDisk(sp.remove())
}

// check has the last word on the bytes that were decoded.
func (s *Staged) check() error {
	p := s.Plan
	if p.Size > 0 && s.file.Size() != p.Size {
		return cause.Errorf("the binary is %w: it has %d bytes, not %d", ErrRejected, s.file.Size(), p.Size)
	}
	if err := rejectHash(s.file.Sum(), p.Spec.Sha256Hash); err != nil {
		return err
	}
	head, err := s.file.Head(exe.HeaderSize)
	if err != nil {
		return onDisk(err)
	}
	return p.checkHeader(head, s.old.head)
}

// fetchCustom has a custom Downloader fetch the binary to where the ones written for
// v0.1.0 put it, and copies it from there: from then on the bytes are ours alone.
func (s *Staged) fetchCustom() error {
	c := s.Plan.c
	name := c.TargetFile + ".new"
	info, err := c.fs.Lstat(name)
	if err == nil && info.IsDir() {
		return cause.Errorf("%w: %s is a folder", ErrObstructed, name)
	}
	if err := removed(c.fs, name); err != nil {
		return err
	}
	defer c.fs.Remove(name)
	if err := c.Downloader.FetchBinary(s.Plan.Spec, name); err != nil {
		return err
	}
	f, err := c.fs.Open(name)
	if err != nil {
		return cause.Errorf("opening what the downloader fetched: %w", err)
	}
	defer f.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{s.file}, io.LimitReader(f, c.maxSize+1), make([]byte, copyBuffer))
	if err != nil {
		return onDisk(err)
	}
	if n > c.maxSize {
		return cause.Errorf("the binary is %w: it has more than %d bytes", ErrRejected, c.maxSize)
	}
	return s.check()
}

func removed(fsys disk.FS, name string) error {
	err := fsys.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return onDisk(err)
}

// Apply makes the staged binary the target, and the target the backup. It reads the staged
// file once more before, as time may have passed.
//
// Errors: ErrTampered; ErrNotDurable, with which the update is done; and those of the disk, after
// which the target is as it was (but see [RollbackError]).
func (s *Staged) Apply(ctx context.Context) (*Result, error) {
	defer s.Close()
	return s.apply(ctx, true)
}

func (s *Staged) apply(ctx context.Context, waited bool) (*Result, error) {
	p := s.Plan
	if !s.done {
		return nil, errors.New("the update was applied or closed already")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.c.event(StepSwap, "replacing "+p.Target)
	s.done = false
	err := s.commit(ctx, waited)
	if err != nil && !errors.Is(err, ErrNotDurable) {
		return nil, onDisk(err)
	}
	p.c.event(StepDone, p.Target+" is version "+p.To)
	return &Result{Plan: p, Applied: true, Backup: swap.Backup(p.Target)}, err
}

// commit swaps, with what a probation needs before and after.
func (s *Staged) commit(ctx context.Context, waited bool) error {
	p, trials := s.Plan, s.Plan.c.trials
	if trials != nil {
		if err := trials.begin(s, ctx); err != nil {
			return cause.Errorf("beginning the probation: %w", err)
		}
	}
	old := s.replaced()
	err := s.file.Commit(p.To, old, waited)
	if trials != nil {
		there := old.SHA256
		if err == nil || errors.Is(err, ErrNotDurable) {
			there = p.Spec.Sha256Hash
		}
		trials.settle(s, there)
	}
	return err
}

// replaced is what is known of the binary that is about to be replaced. Where nobody said which version it is, state.json does if it
// knows that very binary.
func (s *Staged) replaced() swap.Binary {
	old := s.old.binary
	if old.Version = s.Plan.From; old.Version == "" {
		old.Version = s.swap.VersionOf(old)
	}
	return old
}

// Close gives the lock back, and removes the staged binary unless it was
// applied. It may be called twice.
func (s *Staged) Close() error {
	s.done = false
	var err error
	if s.file != nil {
		err = s.file.Close()
	}
	return cause.Join(err, s.swap.Close())
}

// ApplyContext updates the target: [Check], [Plan.Stage] and [Staged.Apply] in
// one. The target's disk is looked at first, so that nothing is asked of the
// repository when the update cannot be done.
//
// When the error is ErrNotDurable there is a Result as well. Other errors are those of the three.
func ApplyContext(ctx context.Context, opts ...Option) (*Result, error) {
	c, err := contextConfig(opts)
	if err != nil {
		return nil, err
	}
	return c.apply(ctx)
}

func (c *Config) apply(ctx context.Context) (*Result, error) {
	p, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	if p.UpToDate {
		return &Result{Plan: p, Backup: swap.Backup(p.Target)}, nil
	}
	s, err := p.prepare()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := p.fill(ctx); err != nil {
		return nil, err
	}
	if p.UpToDate {
		return &Result{Plan: p, Backup: swap.Backup(p.Target)}, nil
	}
	if err := s.fetch(ctx); err != nil {
		return nil, err
	}
	return s.apply(ctx, false)
}

func readHead(r io.Reader, n int) ([]byte, error) {
	head := make([]byte, n)
	got, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:got], err
}

func (c *Config) repository() string {
	readers, err := c.readers()
	if err != nil {
		return "the repository"
	}
	return readers[0].String()
}
