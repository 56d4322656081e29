package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/choria-io/go-updater/stores/internal/rest"
)

// memoryLimit is up to which size a file is kept in memory while it is sent. Larger ones go through a temporary file: a registry wants to be told the
// hash with the last byte, and whoever has to send again needs the bytes again.
const memoryLimit = 8 << 20

// Put writes a file: first its bytes, which nobody sees, then the manifest, which makes them the file.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) error {
	return s.failed("putting", name, s.put(ctx, name, r, func(manifest []byte) error {
		return s.putManifest(ctx, tagOf(name), ocispec.MediaTypeImageManifest, manifest)
	}))
}

// PutIf writes a file on a condition. The bytes are sent before the floor is taken, so that it is held for moments.
func (s *Store) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	return s.failed("putting", name, s.put(ctx, name, r, func(manifest []byte) error {
		gone := digestOf(goneManifest(name))
		return s.claim.write(ctx, tagOf(name), manifest, func(is digest.Digest) bool {
			if is == "" || is == gone {
				return version == ""
			}
			return version == versionOf(is)
		})
	}))
}

func (s *Store) put(ctx context.Context, name string, r io.Reader, write func(manifest []byte) error) error {
	if err := s.check(ctx, name); err != nil {
		return err
	}
	blob, err := s.upload(ctx, name, r)
	if err != nil {
		return err
	}
	subject, err := s.archiveOf(ctx, name)
	if err != nil {
		return err
	}
	manifest, err := fileManifest(name, blob, subject)
	if err != nil {
		return err
	}
	s.forget(name)
	if err := write(manifest); err != nil {
		return err
	}
	d := describing(name, manifest)
	s.written.Store(tagOf(name), d)
	ctx, cancel := context.WithTimeout(ctx, othersTimeout)
	defer cancel()
	if subject != nil {
		s.refer(ctx, d, subject) // whether or not, the file is written
	}
	s.describe(ctx, name, blob.Data) // likewise
	return nil
}

// forget is for a file that is about to change.
func (s *Store) forget(name string) {
	s.sizes.Delete(tagOf(name))
	s.written.Delete(tagOf(name))
}

// putManifest makes a tag name a manifest.
func (s *Store) putManifest(ctx context.Context, tag, mediaType string, manifest []byte) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	_, err := s.service.Do(ctx, http.MethodPut, s.base+"manifests/"+tag, http.Header{"Content-Type": {mediaType}}, manifest)
	return err
}

// prepare sends the blob that every manifest names, once.
func (s *Store) prepare(ctx context.Context) error {
	s.ready.Lock()
	defer s.ready.Unlock()
	if s.hasEmpty {
		return nil
	}
	there, err := s.hasBlob(ctx, nothing.Digest)
	if err == nil && !there {
		err = s.send(ctx, nothing.Digest, bytes.NewReader(nothingBytes))
	}
	s.hasEmpty = err == nil
	return err
}

// upload sends the bytes of a file.
func (s *Store) upload(ctx context.Context, name string, r io.Reader) (ocispec.Descriptor, error) {
	head, all, err := rest.Tail(ctx, r, memoryLimit)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if all {
		sum := sha256.Sum256(head)
		blob := blobOf(name, sum[:], int64(len(head)))
		if len(head) <= inlineLimit {
			blob.Data = head
		}
		return blob, s.send(ctx, blob.Digest, bytes.NewReader(head))
	}
	return s.uploadLarge(ctx, name, io.MultiReader(bytes.NewReader(head), rest.WithContext(ctx, r)))
}

// uploadLarge sends bytes through a temporary file. What the registry has already is not sent.
func (s *Store) uploadLarge(ctx context.Context, name string, r io.Reader) (ocispec.Descriptor, error) {
	f, err := os.CreateTemp("", "go-updater-oci-*")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer os.Remove(f.Name()) // nobody needs it any more
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, h), r)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	blob := blobOf(name, h.Sum(nil), size)
	there, err := s.hasBlob(ctx, blob.Digest)
	if err != nil || there {
		return blob, err
	}
	return blob, s.send(ctx, blob.Digest, io.NewSectionReader(f, 0, size))
}

func (s *Store) hasBlob(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := s.service.Do(ctx, http.MethodHead, s.base+"blobs/"+d.String(), nil, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// send uploads a blob in one piece, which every registry takes.
func (s *Store) send(ctx context.Context, d digest.Digest, body rest.Body) error {
	return rest.Again(ctx, func() error {
		answer, err := s.service.Do(ctx, http.MethodPost, s.base+"blobs/uploads/", nil, nil)
		if err != nil {
			return err
		}
		session, err := s.resolve(answer.Header.Get("Location"))
		if err != nil {
			return fmt.Errorf("beginning an upload: %w", err)
		}
		err = s.finish(ctx, session, d, body)
		if err == nil || !rest.Temporary(err) || ctx.Err() != nil {
			return err
		}
		// Nobody knows whether the registry has all of it, nothing or a part, with which the upload is spoilt and begun anew.
		if s.finish(ctx, session, d, body) == nil {
			return nil
		}
		if there, herr := s.hasBlob(ctx, d); herr == nil && there {
			return nil
		}
		return err
	})
}

// finish sends all of a blob, and with it the end of the upload.
func (s *Store) finish(ctx context.Context, session string, d digest.Digest, body rest.Body) error {
	u, err := url.Parse(session)
	if err != nil {
		return err
	}
	query := u.Query()
	query.Set("digest", d.String())
	u.RawQuery = query.Encode()
	answer, err := s.service.Once(ctx, http.MethodPut, u.String(), http.Header{"Content-Type": {"application/octet-stream"}}, body)
	if err == nil && answer.Code != http.StatusCreated {
		err = fmt.Errorf("the registry answered %d to an upload", answer.Code)
	}
	return err
}

// Delete removes a file: its tag, or, in registries that cannot remove tags, its manifest, which no other file has. Where a registry removes nothing, the
// tag gets a manifest that says so.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.check(ctx, name); err != nil {
		return err
	}
	s.forget(name)
	if err := s.remove(ctx, name); err != nil {
		return s.failed("deleting", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, othersTimeout)
	defer cancel()
	s.describe(ctx, name, []byte("{}")) // whether or not, the file is gone
	return nil
}

func (s *Store) remove(ctx context.Context, name string) error {
	tag := tagOf(name)
	err := s.removeManifest(ctx, tag)
	if !errors.Is(err, errUnsupported) {
		return err
	}
	is, err := s.digestAt(ctx, tag)
	if err != nil || is == "" || is == digestOf(goneManifest(name)) {
		return err
	}
	if err := s.removeManifest(ctx, is.String()); !errors.Is(err, errUnsupported) {
		return err
	}
	return s.putManifest(ctx, tag, ocispec.MediaTypeImageManifest, goneManifest(name))
}

// removeManifest removes a tag, or a manifest by its digest.
func (s *Store) removeManifest(ctx context.Context, reference string) error {
	_, err := s.service.Do(ctx, http.MethodDelete, s.base+"manifests/"+reference, nil, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
