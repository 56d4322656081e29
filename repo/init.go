package repo

import (
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// Init says how a repository is to be signed.
type Init struct {
	Product    string                  // the name that the root gives to what is published here
	Keys       map[string][]*PublicKey // of root, targets, snapshot and timestamp
	Thresholds map[string]int          // signatures that a role needs; 1 where nothing is said
	Lifetimes  Lifetimes               // the defaults where nothing is said

	// Progress is told about each release that was there and is signed, if not nil.
	Progress func(done, total int, release Release)
}

// Sign makes a repository a signed one: its first root, and signatures on all releases that
// are there. Their release.json gains `size` and `artifacts` where it lacks them; what old
// clients read stays as it is. It returns the root, for programs to embed.
//
// An interrupted Sign is simply run again.
//
// Errors: ErrSigned, ErrKeys, ErrBusy, and those of releases that cannot be read.
func (r *Repo) Sign(ctx context.Context, init Init) (root []byte, err error) {
	first, err := r.firstRoot(init)
	if err != nil {
		return nil, err
	}
	unlock, base, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if base == nil {
		p, err := r.staged(ctx, nil)
		if err != nil {
			return nil, err
		}
		if p != nil {
			return nil, fmt.Errorf("its first root is %w", ErrStaged)
		}
	}
	if base != nil {
		return nil, fmt.Errorf("%w, for %q", ErrSigned, product(base.root()))
	}
	if _, err := r.ready(first, topRoles...); err != nil {
		return nil, err
	}
	c := r.newChange(&signed{repo: r, snapshot: metadata.Snapshot(), roles: map[string]*targetsMeta{metadata.TARGETS: metadata.Targets()}})
	c.base.snapshot.Signed.Meta = map[string]*metadata.MetaFiles{}
	c.base.snapshot.Signed.Version = 0
	c.root = first
	c.edit(metadata.TARGETS, metadata.ROOT, c.base.roles[metadata.TARGETS])
	files, err := r.signInPlace(ctx, init)
	if err != nil {
		return nil, err
	}
	if err := c.setFiles(ctx, files); err != nil {
		return nil, err
	}
	if err := c.seal(ctx, true); err != nil {
		return nil, err
	}
	if err := c.signAll(false); err != nil {
		return nil, err
	}
	root, err = c.publishFirst(ctx)
	if errors.Is(err, ErrKeys) {
		return nil, c.stage(ctx, err)
	}
	return root, err
}

func (r *Repo) firstRoot(init Init) (*rootMeta, error) {
	if err := checkProduct(init.Product); err != nil {
		return nil, err
	}
	if err := init.Lifetimes.check(); err != nil {
		return nil, err
	}
	root := metadata.Root()
	root.Signed.UnrecognizedFields = map[string]any{"product": init.Product}
	setLifetimes(root, init.Lifetimes)
	root.Signed.Expires = r.expiry(root, metadata.ROOT)
	for role := range init.Thresholds {
		if !isTop(role) {
			return nil, fmt.Errorf("there is no role %q; the roles are %v", role, topRoles)
		}
	}
	for _, role := range topRoles {
		for _, key := range init.Keys[role] {
			if err := root.Signed.AddKey(key.key, role); err != nil {
				return nil, err
			}
		}
		if n, ok := init.Thresholds[role]; ok {
			root.Signed.Roles[role].Threshold = n
		}
	}
	return root, checkRoles(root)
}

func checkProduct(name string) error {
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%q is no name for a product: 1 to 100 characters without control characters", name)
	}
	return nil
}

// checkRoles makes sure that every role can be signed.
func checkRoles(root *rootMeta) error {
	for _, name := range topRoles {
		role := root.Signed.Roles[name]
		if role.Threshold < 1 || role.Threshold > len(role.KeyIDs) {
			return fmt.Errorf("%s has %d keys, so its threshold cannot be %d", name, len(role.KeyIDs), role.Threshold)
		}
	}
	return nil
}

// publishFirst writes the metadata of a repository that has none; the timestamp, which makes it a signed
// one, last.
func (c *change) publishFirst(ctx context.Context) ([]byte, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	timestamp, err := c.repo.makeTimestamp(nil, c.snap, files[versionedSnapshot(c)], c.root, c.delegators())
	if err != nil {
		return nil, err
	}
	root, err := c.root.ToBytes(false)
	if err != nil {
		return nil, err
	}
	if err := c.repo.putFiles(ctx, files); err != nil {
		return nil, err
	}
	if err := c.repo.putBytes(ctx, versioned(c.root.Signed.Version, metadata.ROOT), root); err != nil {
		return nil, err
	}
	return root, c.repo.putBytes(ctx, metadataFolder+"timestamp.json", timestamp)
}

// signInPlace measures all releases, completes their release.json, and returns what is to be
// signed. All that is wrong is told at once.
func (r *Repo) signInPlace(ctx context.Context, init Init) (map[string]*metadata.TargetFiles, error) {
	list, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]*metadata.TargetFiles{}
	var failures []error
	for i, release := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, err := r.complete(ctx, init.Product, &release)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", release, err))
			continue
		}
		for name, f := range one {
			files[name] = f
		}
		if init.Progress != nil {
			init.Progress(i+1, len(list), release)
		}
	}
	return files, errors.Join(failures...)
}

// complete measures the artifacts of a release, writes release.json anew where it lacks something, and
// returns what is to be signed.
func (r *Repo) complete(ctx context.Context, product string, release *Release) (map[string]*metadata.TargetFiles, error) {
	if release.Spec == nil {
		return nil, errors.New(release.Err)
	}
	folder, err := updater.Folder(release.Version, release.OS, release.Arch)
	if err != nil {
		return nil, err
	}
	data, err := r.read(ctx, folder+"/"+specName, updater.SpecLimit)
	if err != nil {
		return nil, err
	}
	changed, err := r.measureAll(ctx, folder, release.Spec)
	if err != nil {
		return nil, err
	}
	if changed {
		if data, err = amend(data, release.Spec); err != nil {
			return nil, err
		}
		if err := r.putBytes(ctx, folder+"/"+specName, data); err != nil {
			return nil, err
		}
	}
	return signedFiles(product, release, data)
}

// measureAll fills in what is not known about a release's artifacts.
func (r *Repo) measureAll(ctx context.Context, folder string, spec *updater.Spec) (changed bool, err error) {
	listed := false
	for _, a := range spec.Artifacts {
		listed = listed || a.File == spec.BinaryPath
	}
	if !listed {
		spec.Artifacts = append(spec.Artifacts, updater.Artifact{File: spec.BinaryPath, Encoding: updater.Bzip2})
	}
	for i := range spec.Artifacts {
		a := &spec.Artifacts[i]
		m, err := r.measure(ctx, folder+"/"+a.File, a.Encoding, spec)
		if err != nil {
			return false, fmt.Errorf("%s: %w", a.File, err)
		}
		if a.Size != 0 && a.Size != m.size || a.SHA256 != "" && a.SHA256 != m.sha256 {
			return false, fmt.Errorf("%s is not the file that release.json describes", a.File)
		}
		changed = changed || a.Size == 0 || a.SHA256 == "" || spec.Size == 0
		a.Size, a.SHA256, spec.Size = m.size, m.sha256, max(spec.Size, m.decoded)
	}
	if spec.Size == 0 {
		return false, errors.New("none of its artifacts can be decoded")
	}
	return changed, nil
}

type measured struct {
	size    int64
	sha256  string
	decoded int64 // bytes of the binary, 0 if its encoding is not known
}

// measure reads an artifact, decodes it, and compares the binary with its hash.
func (r *Repo) measure(ctx context.Context, name, encoding string, spec *updater.Spec) (measured, error) {
	object, err := r.store.Open(ctx, name, store.Request{})
	if err != nil {
		return measured{}, err
	}
	defer object.Body.Close()
	h := sha256.New()
	file := &counter{r: io.TeeReader(object.Body, h)}
	var m measured
	decoded, err := decoder(file, encoding)
	if err != nil {
		return measured{}, err
	}
	if decoded != nil {
		defer decoded.Close()
		binary := sha256.New()
		if m.decoded, err = io.Copy(binary, io.LimitReader(decoded, decodeLimit)); err != nil {
			return measured{}, err
		}
		if hex.EncodeToString(binary.Sum(nil)) != spec.Sha256Hash {
			return measured{}, errors.New("it holds another binary than release.json says")
		}
	}
	if _, err := io.Copy(io.Discard, file); err != nil {
		return measured{}, err
	}
	m.size, m.sha256 = file.n, hex.EncodeToString(h.Sum(nil))
	return m, nil
}

const decodeLimit = 1 << 40 // bytes, the largest size of a binary

// decoder is nil for encodings of a later version.
func decoder(r io.Reader, encoding string) (io.ReadCloser, error) {
	switch encoding {
	case updater.None:
		return io.NopCloser(r), nil
	case updater.Bzip2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case updater.Zstd:
		dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(updater.MaxWindow))
		if err != nil {
			return nil, err
		}
		return dec.IOReadCloser(), nil
	}
	return nil, nil
}

// amend writes size and artifacts into a release.json and leaves everything else in it.
func amend(data []byte, spec *updater.Spec) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	var err error
	if object["size"], err = json.Marshal(spec.Size); err != nil {
		return nil, err
	}
	if object["artifacts"], err = json.Marshal(spec.Artifacts); err != nil {
		return nil, err
	}
	data, err = json.MarshalIndent(object, "", "  ")
	return append(data, '\n'), err
}
