package updater

import (
	"context"
	"errors"
	"io"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/delta"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/store"
)

var (
	// errDelta: a delta arrived and is of no use.
	errDelta = errors.New("the delta does not work")

	// errNoDelta: the full artifact has to be fetched.
	errNoDelta = errors.New("no delta leads to the binary")
)

// tryDeltas makes the new binary by deltas, if that was planned. Whatever is wrong with them ends in
// errNoDelta; what cannot get better is remembered, and not tried again for this release.
func (s *Staged) tryDeltas(ctx context.Context, sp *spool) error {
	p := s.Plan
	if len(p.hops) == 0 {
		return errNoDelta
	}
	for _, path := range betweenPaths(sp) {
		if err := removed(p.c.fs, path); err != nil {
			return err
		}
	}
	err := s.fetchDeltas(ctx, sp)
	if _, local := cause.Find[*store.LocalError](err); err == nil || ctx.Err() != nil || local {
		return err
	}
	if errors.Is(err, errDelta) || errors.Is(err, ErrRejected) {
		p.c.rememberFailed(p.Target, p.Spec.Sha256Hash)
	}
	p.c.warn(cause.Errorf("%w; fetching the full binary", err))
	return errNoDelta
}

// fetchDeltas makes the new binary of the installed one, hop by hop. What
// comes out of each is the binary of its release, or an error.
func (s *Staged) fetchDeltas(ctx context.Context, sp *spool) error {
	base := s.Plan.Target
	for i := range s.Plan.hops {
		h := &s.Plan.hops[i]
		if err := s.fetchPatch(ctx, sp, h); err != nil {
			return err
		}
		if i == len(s.Plan.hops)-1 {
			return s.withPatch(sp, func(patch []byte) error { return s.lastHop(base, patch, h) })
		}
		next := betweenPaths(sp)[i%2]
		defer s.Plan.c.fs.Remove(next)
		if err := s.withPatch(sp, func(patch []byte) error { return s.hop(base, next, patch, h) }); err != nil {
			return err
		}
		base = next
	}
	return errors.New("no delta was planned")
}

// local says that it is this machine's fault, which no other mirror or encoding would mend.
//
//go:noinline
func local(err error) error { return &store.LocalError{Err: err} }

// withPatch hands out the delta that is in the spool, mapped: it takes no memory of the program.
func (s *Staged) withPatch(sp *spool, use func(patch []byte) error) error {
	patch, unmap, err := sp.mapped()
	if err != nil {
		return local(err)
	}
	err = use(patch)
	if uerr := unmap(); err == nil && uerr != nil {
		err = local(onDisk(uerr))
	}
	return err
}

// betweenPaths are where the binaries between two hops lie. What a crash leaves there,
// the next update removes.
func betweenPaths(sp *spool) [2]string { return [2]string{sp.path + ".0", sp.path + ".1"} }

// fetchPatch downloads a delta into the spool, and checks it against its release.
func (s *Staged) fetchPatch(ctx context.Context, sp *spool, h *hop) error {
	c, a := s.Plan.c, h.delta.artifact()
	folder, err := Folder(h.version, c.OperatingSystem, c.Architecture)
	if err != nil {
		return err
	}
	f, err := c.fetcher()
	if err != nil {
		return err
	}
	if err := sp.expect(&a); err != nil {
		return local(err)
	}
	return f.Download(ctx, store.Download{
		Name: folder + "/" + a.File, Limit: a.Size, Spool: sp, Progress: c.progress(a.File),
		Accept: func() error { return sp.check(&a) },
	})
}

// lastHop writes to the staged file, which all that fails leaves empty.
func (s *Staged) lastHop(base string, patch []byte, h *hop) error {
	if err := s.file.Reset(); err != nil {
		return local(onDisk(err))
	}
	s.Plan.c.event(StepVerify, "applying "+h.delta.File)
	if err := s.patch(s.file, base, patch, h); err != nil {
		return cause.Join(err, s.file.Reset())
	}
	if err := s.check(); err != nil {
		return cause.Join(cause.Errorf("%w: %w", errDelta, err), s.file.Reset())
	}
	return nil
}

// hop writes a binary in between.
func (s *Staged) hop(base, next string, patch []byte, h *hop) error {
	f, err := disk.CreateFresh(s.Plan.c.fs, next)
	if err != nil {
		return local(onDisk(err))
	}
	err = s.patch(f, base, patch, h)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = local(onDisk(cerr))
	}
	return err
}

// patch applies a delta to the file base. The bytes that come out are nobody's until they are hashed.
func (s *Staged) patch(w io.Writer, base string, patch []byte, h *hop) error {
	f, err := s.Plan.c.fs.Open(base)
	if err != nil {
		return local(onDisk(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return local(onDisk(err))
	}
	old, unmap, err := f.Map(info.Size())
	if err != nil {
		return local(onDisk(err))
	}
	defer unmap()
	out := &keepError{w: w}
	if err := delta.Apply(out, old, patch, delta.NewFiles(h.delta.From, h.hash, h.size)); err != nil {
		if out.err != nil {
			return local(onDisk(out.err))
		}
		return cause.Errorf("%w: %s: %w", errDelta, h.delta.File, err)
	}
	return nil
}

// keepError tells an error of the disk from one of the delta.
type keepError struct {
	_ uncomparable

	w   io.Writer
	err error
}

func (k *keepError) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	k.err = err
	return n, err
}
