package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// swap replaces a file that still is as it was, nil where there was none. Of two publishers at once one does, and
// the other gets ErrBusy.
func (r *Repo) swap(ctx context.Context, name string, was, data []byte) error {
	is, version, err := r.readVersion(ctx, name, int64(max(len(was), len(data))))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrTooLarge) {
		return err
	}
	if err == nil && was == nil || !bytes.Equal(is, was) {
		return fmt.Errorf("%w: it has written %s meanwhile", ErrBusy, name)
	}
	return r.settle(ctx, name, data, store.PutIf(ctx, r.store, name, bytes.NewReader(data), version))
}

// create writes a file that nobody has written before.
func (r *Repo) create(ctx context.Context, name string, data []byte) error {
	return r.settle(ctx, name, data, store.PutIf(ctx, r.store, name, bytes.NewReader(data), ""))
}

// settle says what a conflict means: where the answer to a write was lost and the write was made again, what is in its way
// is its own first try.
func (r *Repo) settle(ctx context.Context, name string, data []byte, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	if is, rerr := r.read(ctx, name, int64(len(data))); rerr == nil && bytes.Equal(is, data) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrBusy, err)
}

// readVersion reads a file of at most limit bytes, and tells which version of it that was.
func (r *Repo) readVersion(ctx context.Context, name string, limit int64) (data []byte, version string, err error) {
	object, err := r.store.Open(ctx, name, store.Request{NoCache: true})
	if err != nil {
		return nil, "", err
	}
	defer object.Body.Close()
	data, err = io.ReadAll(io.LimitReader(object.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is %w: more than %d bytes", name, store.ErrTooLarge, limit)
	}
	return data, object.Version, err
}

// takenError: a file of that name is there, with other bytes.
type takenError struct{ name string }

func (e *takenError) Error() string { return e.name + " is there already, with other bytes" }

// putArtifact writes a file of a release. With a lock, what an interrupted publish left there is replaced. Without, nothing ever is: it may
// be what another publisher is about to sign.
func (r *Repo) putArtifact(ctx context.Context, name string, data io.Reader) error {
	if _, ok := r.store.(store.Locker); ok {
		return r.store.Put(ctx, name, data)
	}
	return store.PutIf(ctx, r.store, name, data, "")
}

// reuse takes a file that is there already for the one that was to be written, if it is the same.
func (r *Repo) reuse(ctx context.Context, name string, want updater.Artifact) (updater.Artifact, error) {
	object, err := r.store.Open(ctx, name, store.Request{})
	if err != nil {
		return want, err
	}
	defer object.Body.Close()
	h := sha256.New()
	size, err := io.Copy(h, object.Body)
	if err != nil {
		return want, err
	}
	if size != want.Size || hex.EncodeToString(h.Sum(nil)) != want.SHA256 {
		return want, &takenError{name}
	}
	return want, nil
}
