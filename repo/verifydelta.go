package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/delta"
	"github.com/choria-io/go-updater/store"
)

// deltas checks each delta to a release, and returns what is wrong with them.
func (v *verifier) deltas(ctx context.Context, r Release, spec *updater.Spec) (failures []error) {
	for _, d := range spec.Deltas {
		if ctx.Err() != nil {
			return append(failures, ctx.Err())
		}
		if err := v.delta(ctx, r, spec, d); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", d.File, err))
		}
	}
	return failures
}

// delta fetches a delta, hashes it, and applies it to its base. Where the base is gone it can only be
// read what the delta says it is for.
func (v *verifier) delta(ctx context.Context, r Release, spec *updater.Spec, d updater.Delta) error {
	patch, err := v.fetchDelta(ctx, r, d)
	if err != nil {
		return err
	}
	files := delta.NewFiles(d.From, spec.Sha256Hash, spec.Size)
	if err := files.Fits(patch); err != nil {
		return fmt.Errorf("for the binaries that release.json names: %w", err)
	}
	r.Version = d.Version
	base, downloader, err := v.spec(r)
	if err != nil || base.Sha256Hash != d.From {
		return nil // gone, see Baseless
	}
	if err := downloader.FetchBinary(base, v.binary); err != nil {
		return fmt.Errorf("its base: %w", err)
	}
	old, err := os.ReadFile(v.binary)
	if err != nil {
		return err
	}
	return delta.Apply(io.Discard, old, patch, files)
}

func (v *verifier) fetchDelta(ctx context.Context, r Release, d updater.Delta) ([]byte, error) {
	folder, err := updater.Folder(r.Version, r.OS, r.Arch)
	if err != nil {
		return nil, err
	}
	if d.Size > maxDelta {
		return nil, fmt.Errorf("its %d bytes are too many: clients take at most %d", d.Size, maxDelta)
	}
	f := store.Fetcher{Readers: []store.Reader{v.from}, Attempts: 1}
	data, err := f.ReadFile(ctx, folder+"/"+d.File, d.Size, nil)
	if err != nil {
		return nil, err
	}
	if (fileOf(data) != File{d.Size, d.SHA256}) {
		return nil, errors.New("it is not the file that release.json describes")
	}
	return data, nil
}
