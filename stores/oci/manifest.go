package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/choria-io/go-updater/store"
)

// What is ours in a registry, by artifact type.
const (
	// FileType is the manifest of a file: one layer, which has its bytes, and its name as the title.
	FileType = "application/vnd.choria.go-updater.file.v1"

	// ReleaseType is the index of a version's platforms.
	ReleaseType = "application/vnd.choria.go-updater.release.v1"

	// RemovedType is the manifest of a file that was removed, in a registry that removes nothing.
	RemovedType = "application/vnd.choria.go-updater.removed.v1"

	// ClaimType is the manifest with which a publisher says that it is about to write.
	ClaimType = "application/vnd.choria.go-updater.claim.v1"
)

const (
	// inlineLimit is up to which size the bytes of a file stand in its manifest as well, so that reading it takes one request.
	inlineLimit = 16 << 10

	// manifestLimit is how much a registry has to take (distribution specification, "Pushing manifests").
	manifestLimit = 4 << 20
)

// empty is what a manifest names where it has nothing to say, and its bytes.
var nothing, nothingBytes = ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: ocispec.DescriptorEmptyJSON.Digest, Size: 2}, []byte("{}")

// blobOf is the bytes of a file, as a manifest names them.
func blobOf(name string, sum []byte, size int64) ocispec.Descriptor {
	mediaType, _ := store.HeadersFor(name)
	return ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum)), Size: size,
		Annotations: map[string]string{ocispec.AnnotationTitle: name},
	}
}

// fileManifest makes the manifest of a file. No two files have the same one, so that removing one by its digest removes no other.
func fileManifest(name string, blob ocispec.Descriptor, subject *ocispec.Descriptor) ([]byte, error) {
	return marshal(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: FileType, Config: nothing,
		Layers: []ocispec.Descriptor{blob}, Subject: subject, Annotations: map[string]string{ocispec.AnnotationTitle: name},
	})
}

// goneManifest is in the place of a file that was removed.
func goneManifest(name string) []byte {
	data, _ := marshal(ocispec.Manifest{ // there is nothing in it that JSON cannot have
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: RemovedType, Config: nothing, Layers: []ocispec.Descriptor{nothing},
		Annotations: map[string]string{ocispec.AnnotationTitle: name},
	})
	return data
}

func marshal(m ocispec.Manifest) ([]byte, error) {
	m.SchemaVersion = 2
	return json.Marshal(m)
}

var errForeign = errors.New("what has its tag is not a file of an update repository")

// parseFile reads the manifest of a file: which file it is, and where its bytes are. A name that is not empty has to be the file's. The error wraps
// fs.ErrNotExist for one that was removed.
func parseFile(data []byte, name string) (is string, blob ocispec.Descriptor, err error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return "", blob, fmt.Errorf("%w: %w", errForeign, err)
	}
	is = m.Annotations[ocispec.AnnotationTitle]
	if m.ArtifactType == RemovedType {
		return "", blob, fs.ErrNotExist
	}
	if m.ArtifactType != FileType || len(m.Layers) != 1 || name != "" && is != name {
		return "", blob, errForeign
	}
	blob = m.Layers[0]
	if blob.Digest.Validate() != nil || blob.Digest.Algorithm() != digest.SHA256 || blob.Size < 0 {
		return "", blob, fmt.Errorf("%w: %q of %d bytes is no blob", errForeign, blob.Digest, blob.Size)
	}
	return is, blob, nil
}

// inlined tells whether the bytes of a file are in its manifest.
func inlined(blob ocispec.Descriptor) bool {
	return blob.Size == int64(len(blob.Data)) && digestOf(blob.Data) == blob.Digest
}

func digestOf(data []byte) digest.Digest {
	sum := sha256.Sum256(data)
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum[:]))
}

// versionOf is the version of a file by the digest of its manifest.
func versionOf(manifest digest.Digest) string { return `"` + manifest.String() + `"` }
