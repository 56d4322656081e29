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

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/zstd"
	"github.com/choria-io/go-updater/store"
)

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
		was := data
		if data, err = amend(data, release.Spec); err != nil {
			return nil, err
		}
		if err := r.swap(ctx, folder+"/"+specName, was, data); err != nil {
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
		m, err := r.measure(ctx, folder+"/"+a.File, *a, spec)
		if err != nil {
			return false, fmt.Errorf("%s: %w", a.File, err)
		}
		if a.Size != 0 && a.Size != m.size || a.SHA256 != "" && a.SHA256 != m.sha256 {
			return false, fmt.Errorf("%s is not the file that release.json describes", a.File)
		}
		changed = changed || a.Size == 0 || a.SHA256 == "" || spec.Size == 0
		a.Size, a.SHA256, spec.Size = m.size, m.sha256, max(spec.Size, m.decoded)
	}
	for _, d := range spec.Deltas {
		if err := r.checkDelta(ctx, folder+"/"+d.File, d); err != nil {
			return false, fmt.Errorf("%s: %w", d.File, err)
		}
	}
	if spec.Size == 0 {
		return false, errors.New("none of its artifacts can be decoded")
	}
	return changed, nil
}

// checkDelta compares the file of a delta with what release.json says of it.
func (r *Repo) checkDelta(ctx context.Context, name string, d updater.Delta) error {
	if d.Size > maxDelta {
		return fmt.Errorf("its %d bytes are too many: clients take at most %d", d.Size, maxDelta)
	}
	data, err := r.read(ctx, name, d.Size)
	if err != nil {
		return err
	}
	if (fileOf(data) != File{d.Size, d.SHA256}) {
		return errors.New("it is not the file that release.json describes")
	}
	return nil
}

type measured struct {
	size    int64
	sha256  string
	decoded int64 // bytes of the binary, 0 if its encoding is not known
}

// measure reads an artifact, decodes it, and compares the binary with its hash. It reads no more than release.json says that there is.
func (r *Repo) measure(ctx context.Context, name string, a updater.Artifact, spec *updater.Spec) (measured, error) {
	object, err := r.store.Open(ctx, name, store.Request{})
	if err != nil {
		return measured{}, err
	}
	defer object.Body.Close()
	h := sha256.New()
	file := &counter{r: io.TeeReader(io.LimitReader(object.Body, limitOf(a.Size)), h)}
	var m measured
	if decoded := decoder(file, a.Encoding); decoded != nil {
		binary := sha256.New()
		if m.decoded, err = io.Copy(binary, io.LimitReader(decoded, limitOf(spec.Size))); err != nil {
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

// limitOf is one byte more than there should be.
func limitOf(size int64) int64 {
	if size == 0 {
		size = decodeLimit // not known
	}
	return size + 1
}

// decoder is nil for encodings of a later version.
func decoder(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case updater.None:
		return r
	case updater.Bzip2:
		return bzip2.NewReader(r)
	case updater.Zstd:
		return zstd.NewReader(r, updater.MaxWindow)
	}
	return nil
}

// amend writes size, artifacts and deltas into a release.json and leaves everything else in it.
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
	delete(object, "deltas")
	if len(spec.Deltas) > 0 {
		if object["deltas"], err = json.Marshal(spec.Deltas); err != nil {
			return nil, err
		}
	}
	data, err = json.MarshalIndent(object, "", "  ")
	return append(data, '\n'), err
}
