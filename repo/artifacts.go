package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

func hashReader(r io.ReadSeeker) (sum string, size int64, err error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	h := sha256.New()
	size, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// putArtifacts writes the archives, those that clients prefer first.
func (r *Repo) putArtifacts(ctx context.Context, folder string, a Addition, f *os.File, spec *updater.Spec) error {
	zst := func(w io.Writer, r io.Reader) error { return encodeZstd(w, r, spec.Size) }
	if a.Zst != "" {
		if err := checkZstd(a.Zst, spec); err != nil {
			return fmt.Errorf("%s: %w", a.Zst, err)
		}
		zst = func(w io.Writer, _ io.Reader) error { return copyFile(w, a.Zst) }
	}
	todo := []struct {
		file, encoding string
		encode         func(io.Writer, io.Reader) error
	}{
		{a.Name + ".zst", updater.Zstd, zst},
		{a.Name + ".bz2", updater.Bzip2, encodeBzip2},
	}
	if a.Uncompressed {
		todo = append(todo, todo[0])
		todo[2].file, todo[2].encoding = a.Name, updater.None
		todo[2].encode = func(w io.Writer, r io.Reader) error { _, err := io.Copy(w, r); return err }
	}
	for _, t := range todo {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		h := sha256.New()
		source := &counter{r: io.TeeReader(f, h), report: func(n int64) {
			if a.Progress != nil {
				a.Progress(t.file, n, spec.Size)
			}
		}}
		artifact, err := r.put(ctx, folder+"/"+t.file, func(w io.Writer) error { return t.encode(w, source) })
		if err != nil {
			return err
		}
		fromFile := t.encoding != updater.Zstd || a.Zst == ""
		if fromFile && hex.EncodeToString(h.Sum(nil)) != spec.Sha256Hash {
			return fmt.Errorf("%w: %s", ErrChanged, a.Path)
		}
		artifact.File, artifact.Encoding = t.file, t.encoding
		spec.Artifacts = append(spec.Artifacts, artifact)
	}
	return nil
}

// put streams an encoder's output into the store, hashing on the way.
func (r *Repo) put(ctx context.Context, name string, encode func(io.Writer) error) (updater.Artifact, error) {
	pr, pw := io.Pipe()
	h, done := sha256.New(), make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(encode(pw))
	}()
	arrived := &counter{r: io.TeeReader(pr, h)}
	err := r.putArtifact(ctx, name, arrived)
	there := errors.Is(err, store.ErrConflict)
	if there {
		_, err = io.Copy(io.Discard, arrived) // it may be the same
	}
	pr.CloseWithError(err)
	<-done // the encoder reads the file, which is read again or closed next
	if err != nil {
		return updater.Artifact{}, err
	}
	artifact := updater.Artifact{Size: arrived.n, SHA256: hex.EncodeToString(h.Sum(nil))}
	if there {
		return r.reuse(ctx, name, artifact)
	}
	return artifact, nil
}

// counter counts what is read.
type counter struct {
	r      io.Reader
	n      int64
	report func(n int64) // may be nil
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.report != nil {
		c.report(c.n)
	}
	return n, err
}
