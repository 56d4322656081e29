package repo

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	updater "github.com/choria-io/go-updater"
)

// ErrExists: the release is there already, with another binary. Installed
// clients may have the one that is there; publish a new version instead.
var ErrExists = errors.New("the release exists with other bytes")

// ErrChanged: the binary was written to while it was being published. Nothing
// became visible; publish it when its build is done.
var ErrChanged = errors.New("the file changed while it was being published")

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
	Deltas       Deltas             // made to it, if it is not there already

	// Progress, if not nil, is called while file is being written, with how
	// many of the binary's bytes are encoded. It should return soon.
	Progress func(file string, done, total int64)
}

// Add publishes a binary. Adding the same bytes again changes nothing, but for
// a signature that was not there.
//
// When Add fails, at whatever point, clients see the release as it was, whole. A
// release that is replaced keeps its files until release.json names the new
// ones, which therefore have other names.
//
// Errors: ErrExists, ErrChanged, in a signed repository ErrStaged, ErrWaiting and ErrKeys, updater.ErrNotExecutable, updater.ErrOtherPlatform, and
// those of the store.
func (r *Repo) Add(ctx context.Context, a Addition) (*Release, error) {
	list, err := r.AddAll(ctx, []Addition{a})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// AddAll publishes several binaries at once: in a signed repository all become visible together. Its errors are those of Add.
func (r *Repo) AddAll(ctx context.Context, additions []Addition) ([]*Release, error) {
	t, err := r.transaction(ctx)
	if err != nil {
		return nil, err
	}
	defer t.end()
	var list []*Release
	for _, a := range additions {
		release, err := r.add(ctx, t, a)
		if err != nil {
			return nil, err
		}
		list = append(list, release)
	}
	return list, t.commit(ctx)
}

func (r *Repo) add(ctx context.Context, t *transaction, a Addition) (*Release, error) {
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
	if err := a.check(f); err != nil {
		return nil, err
	}
	sum, size, err := hashReader(f)
	if err != nil {
		return nil, err
	}
	release := &Release{Version: a.Version, OS: a.OS, Arch: a.Arch}
	there, err := t.has(ctx, folder, sum)
	if err != nil {
		return nil, err
	}
	was, old, err := r.specBytes(ctx, folder+"/"+specName)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, updater.ErrRejected) && a.Force:
		old = nil // no client sees a release
	case err != nil:
		return nil, fmt.Errorf("reading what is there of %s: %w", release, err)
	case a.Force:
	case old.Sha256Hash != sum:
		return nil, fmt.Errorf("%s: %w", release, ErrExists)
	default:
		old.Size = size // v0.1.0 wrote none
		release.Spec, release.There = old, there && (a.Key == nil || sameSigned(old, a))
		return release, r.keep(ctx, t, folder, a, release, was, there)
	}
	if err := t.withdraw(ctx, folder); err != nil {
		return nil, err
	}
	release.Spec = &updater.Spec{Sha256Hash: sum, Size: size}
	data, err := r.replace(ctx, folder, a, f, release.Spec, was, old)
	if err != nil {
		return nil, err
	}
	return release, t.release(release, data)
}

// keep leaves the files of a release, and adds the signatures that are wanted and not there. listed says that the
// signed metadata has it as it is; where it has not, because a publish was interrupted, the files are
// measured before they are signed.
func (r *Repo) keep(ctx context.Context, t *transaction, folder string, a Addition, release *Release, was []byte, listed bool) error {
	if a.Key != nil && !sameSigned(release.Spec, a) {
		if err := t.withdraw(ctx, folder); err != nil {
			return err
		}
		release.Spec.Signature = signature(release.Spec, a)
		if _, err := r.putSpec(ctx, folder, was, release.Spec); err != nil {
			return err
		}
		listed = false
	}
	if t.base == nil || listed {
		return nil
	}
	files, err := r.complete(ctx, product(t.base.root()), release)
	if err != nil {
		return fmt.Errorf("what is there of %s: %w", release, err)
	}
	maps.Copy(t.files, files)
	return nil
}

// replace writes all files of a release, release.json after what it names, and removes
// what old named alone.
func (r *Repo) replace(ctx context.Context, folder string, a Addition, f *os.File, spec *updater.Spec, was []byte, old *updater.Spec) ([]byte, error) {
	taken := named(old)
	a, err := r.putUnderFreeName(ctx, folder, a, f, spec, maps.Clone(taken))
	if err != nil {
		return nil, err
	}
	if err := r.addDeltas(ctx, a, f, spec); err != nil {
		return nil, err
	}
	if a.Key != nil {
		spec.Signature = signature(spec, a)
	}
	data, err := r.putSpec(ctx, folder, was, spec)
	if err != nil {
		return nil, err
	}
	for file := range taken {
		if err := r.store.Delete(ctx, folder+"/"+file); err != nil {
			return nil, fmt.Errorf("the release is replaced, removing its old files: %w", err)
		}
	}
	return data, nil
}

// putUnderFreeName writes the archives under names that nothing else has.
func (r *Repo) putUnderFreeName(ctx context.Context, folder string, a Addition, f *os.File, spec *updater.Spec, taken map[string]bool) (Addition, error) {
	want := a.Name
	for range maxTaken {
		a.Name = freeName(want, taken)
		spec.BinaryPath, spec.Artifacts = a.Name+".bz2", nil
		err := r.putArtifacts(ctx, folder, a, f, spec)
		var other *takenError
		if !errors.As(err, &other) {
			return a, err
		}
		taken[strings.TrimPrefix(other.name, folder+"/")] = true
	}
	return a, fmt.Errorf("%d names such as %s are taken", maxTaken, a.Name)
}

// named are the files that a release consists of, beside release.json.
func named(spec *updater.Spec) map[string]bool {
	files := map[string]bool{}
	if spec != nil {
		files[spec.BinaryPath] = true
		for _, a := range spec.Artifacts {
			files[a.File] = true
		}
		for _, d := range spec.Deltas {
			files[d.File] = true
		}
	}
	return files
}

// freeName is name, or name-2 and so on where a file of that name is taken.
func freeName(name string, taken map[string]bool) string {
	for i := 1; ; i++ {
		candidate := name
		if i > 1 {
			candidate = fmt.Sprintf("%s-%d", name, i)
		}
		if !taken[candidate] && !taken[candidate+".bz2"] && !taken[candidate+".zst"] {
			return candidate
		}
	}
}

func signature(spec *updater.Spec, a Addition) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(a.Key, spec.SignedText(a.Version, a.OS, a.Arch)))
}

// sameSigned tells whether a release has the signature that is wanted.
func sameSigned(old *updater.Spec, a Addition) bool {
	signature, err := base64.StdEncoding.DecodeString(old.Signature)
	public, ok := a.Key.Public().(ed25519.PublicKey)
	return err == nil && ok && ed25519.Verify(public, old.SignedText(a.Version, a.OS, a.Arch), signature)
}
