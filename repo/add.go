package repo

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/zstd"

	updater "github.com/choria-io/go-updater"
)

// ErrExists: the release is there already, with another binary. Installed
// clients may have the one that is there; publish a new version instead.
var ErrExists = errors.New("the release exists with other bytes")

// Addition is one binary to be published.
type Addition struct {
	Path    string // of the binary
	Name    string // of its files in the repository, without extension
	Version string
	OS      string // in Go's terms
	Arch    string

	Zst          string             // path of a zstd archive of the binary; made if empty
	Uncompressed bool               // store the binary as it is as well
	Force        bool               // replace other bytes, accept any file and platform
	Key          ed25519.PrivateKey // signs the release if not nil
}

// Add publishes a binary. Adding the same bytes again changes nothing.
//
// Errors: ErrExists, updater.ErrNotExecutable, updater.ErrOtherPlatform, and
// those of the store.
func (r *Repo) Add(ctx context.Context, a Addition) (*Release, error) {
	folder, err := updater.Folder(a.Version, a.OS, a.Arch)
	if err != nil {
		return nil, err
	}
	if err := updater.CheckFileName(a.Name); err != nil {
		return nil, err
	}
	f, err := os.Open(a.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !a.Force {
		if err := updater.CheckPlatform(f, a.OS, a.Arch); err != nil {
			return nil, fmt.Errorf("%s is %w", a.Path, err)
		}
	}
	sum, size, err := hashReader(f)
	if err != nil {
		return nil, err
	}
	release := &Release{Version: a.Version, OS: a.OS, Arch: a.Arch}
	old, err := r.spec(ctx, folder+"/"+specName)
	switch {
	case err == nil && old.Sha256Hash == sum && !a.Force && sameSigned(old, a):
		release.Spec = old
		return release, nil
	case err == nil && old.Sha256Hash != sum && !a.Force:
		return nil, fmt.Errorf("%s: %w", release, ErrExists)
	case err != nil && !errors.Is(err, os.ErrNotExist) && !a.Force:
		return nil, err
	}
	spec := &updater.Spec{BinaryPath: a.Name + ".bz2", Sha256Hash: sum, Size: size}
	if err := r.putArtifacts(ctx, folder, a, f, spec); err != nil {
		return nil, err
	}
	if a.Key != nil {
		signature := ed25519.Sign(a.Key, spec.SignedText(a.Version, a.OS, a.Arch))
		spec.Signature = base64.StdEncoding.EncodeToString(signature)
	}
	release.Spec = spec
	return release, r.putSpec(ctx, folder, spec)
}

// sameSigned: a release that is there without the signature wanted is not the same.
func sameSigned(old *updater.Spec, a Addition) bool {
	if a.Key == nil {
		return true
	}
	signature, err := base64.StdEncoding.DecodeString(old.Signature)
	public, ok := a.Key.Public().(ed25519.PublicKey)
	return err == nil && ok && ed25519.Verify(public, old.SignedText(a.Version, a.OS, a.Arch), signature)
}

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
	zst := func(w io.Writer) error { return encodeZstd(w, f, spec.Size) }
	if a.Zst != "" {
		if err := checkZstd(a.Zst, spec); err != nil {
			return fmt.Errorf("%s: %w", a.Zst, err)
		}
		zst = func(w io.Writer) error { return copyFile(w, a.Zst) }
	}
	todo := []struct {
		file, encoding string
		encode         func(io.Writer) error
	}{
		{a.Name + ".zst", updater.Zstd, zst},
		{a.Name + ".bz2", updater.Bzip2, func(w io.Writer) error { return encodeBzip2(w, f) }},
	}
	if a.Uncompressed {
		todo = append(todo, todo[0])
		todo[2].file, todo[2].encoding = a.Name, updater.None
		todo[2].encode = func(w io.Writer) error { _, err := io.Copy(w, f); return err }
	}
	for _, t := range todo {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		artifact, err := r.put(ctx, folder+"/"+t.file, t.encode)
		if err != nil {
			return err
		}
		artifact.File, artifact.Encoding = t.file, t.encoding
		spec.Artifacts = append(spec.Artifacts, artifact)
	}
	return nil
}

// put streams an encoder's output into the store, hashing on the way.
func (r *Repo) put(ctx context.Context, name string, encode func(io.Writer) error) (updater.Artifact, error) {
	pr, pw := io.Pipe()
	h, n := sha256.New(), &counter{}
	go func() { pw.CloseWithError(encode(io.MultiWriter(pw, h, n))) }()
	err := r.store.Put(ctx, name, pr)
	pr.CloseWithError(err)
	if err != nil {
		return updater.Artifact{}, err
	}
	return updater.Artifact{Size: n.n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// encodeZstd keeps to the window that clients decode.
func encodeZstd(w io.Writer, r io.Reader, size int64) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithWindowSize(updater.MaxWindow), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	enc.ResetContentSize(w, size)
	if _, err := io.Copy(enc, r); err != nil {
		return err
	}
	return enc.Close()
}

func encodeBzip2(w io.Writer, r io.Reader) error {
	enc, err := bzip2.NewWriter(w, &bzip2.WriterConfig{Level: bzip2.BestCompression})
	if err != nil {
		return err
	}
	if _, err := io.Copy(enc, r); err != nil {
		return err
	}
	return enc.Close()
}

func copyFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// checkZstd decodes an archive that was handed in with the client's limits.
func checkZstd(name string, spec *updater.Spec) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(updater.MaxWindow))
	if err != nil {
		return err
	}
	defer dec.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(dec, spec.Size+1)); err != nil {
		return fmt.Errorf("decoding it with a window of at most %d bytes: %w", updater.MaxWindow, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != spec.Sha256Hash {
		return errors.New("it holds another binary")
	}
	return nil
}
