package oci

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/choria-io/go-updater/store"
)

// What is in this file is for those who look at a registry with other tools. Nothing that reads a repository asks for it. So two publishers may
// spoil an index for each other, and what fails here fails nothing: the next release.json of the version mends it, and so does Reindex.

// othersTimeout is how long a write may take longer for others' sake.
const othersTimeout = 10 * time.Second

// release is a folder of a repository that has the files of a version for a platform.
type release struct {
	version, folder string
	platform        ocispec.Platform
}

const releaseFile = "release.json"

// releaseOf tells which release a file belongs to.
func releaseOf(name string) (r release, file string, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 {
		return r, "", false
	}
	arch, variant, _ := strings.Cut(parts[2], "-")
	r = release{parts[0], path.Dir(name), ocispec.Platform{OS: parts[1], Architecture: arch, Variant: variant}}
	return r, parts[3], true
}

// tag is the version, which in tags may have no "+" for example; empty where a tag cannot be like it.
func (r release) tag() string {
	tag := escape(r.version)
	if len(tag) > tagLimit || strings.HasPrefix(tag, "_") || strings.HasPrefix(tag, ".") || strings.HasPrefix(tag, "-") {
		return ""
	}
	return tag
}

// describe brings the index of a version up to date with a release.json; data is nil where it has to be read.
func (s *Store) describe(ctx context.Context, name string, data []byte) error {
	r, file, ok := releaseOf(name)
	if !ok || file != releaseFile || r.tag() == "" {
		return nil
	}
	if data == nil {
		var err error
		f := store.Fetcher{Readers: []store.Reader{s}}
		if data, err = f.ReadFile(ctx, name, manifestLimit, nil); err != nil {
			return err
		}
	}
	archives, err := s.archives(ctx, r, data)
	if err != nil {
		return err
	}
	return s.edit(ctx, r.tag(), &ocispec.Index{ArtifactType: ReleaseType, Annotations: map[string]string{ocispec.AnnotationVersion: r.version}},
		func(all []ocispec.Descriptor) []ocispec.Descriptor {
			all = slices.DeleteFunc(all, func(d ocispec.Descriptor) bool { return d.Platform != nil && samePlatform(*d.Platform, r.platform) })
			return append(all, archives...)
		})
}

// archives are the descriptors of those that a release.json names and that are there.
func (s *Store) archives(ctx context.Context, r release, data []byte) ([]ocispec.Descriptor, error) {
	var spec struct {
		Binary    string
		Artifacts []struct{ File string }
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, err
	}
	var files []string
	for _, a := range spec.Artifacts {
		files = append(files, a.File)
	}
	if spec.Binary != "" && !slices.Contains(files, spec.Binary) {
		files = append(files, spec.Binary)
	}
	var archives []ocispec.Descriptor
	for _, f := range files {
		d, err := s.descriptor(ctx, r.folder+"/"+f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d.Platform = &r.platform
		archives = append(archives, d)
	}
	return archives, nil
}

func samePlatform(a, b ocispec.Platform) bool {
	return a.OS == b.OS && a.Architecture == b.Architecture && a.Variant == b.Variant
}

// descriptor is that of a file's manifest.
func (s *Store) descriptor(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if known, ok := s.written.Load(tagOf(name)); ok {
		return known.(ocispec.Descriptor), nil
	}
	data, err := s.manifestAt(ctx, tagOf(name))
	if err == nil && data == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if _, _, err := parseFile(data, name); err != nil {
		return ocispec.Descriptor{}, err
	}
	return describing(name, data), nil
}

// nameKey has the name of a file where a title would have tools give that name to the manifest.
const nameKey = "vnd.choria.go-updater.name"

func describing(name string, manifest []byte) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: FileType, Digest: digestOf(manifest), Size: int64(len(manifest)),
		Annotations: map[string]string{nameKey: name},
	}
}

// archiveOf is the manifest of the archive that a delta leads to, nil for what is no delta: NAME.BASE.delta leads to NAME.zst or NAME.bz2.
func (s *Store) archiveOf(ctx context.Context, name string) (*ocispec.Descriptor, error) {
	_, file, ok := releaseOf(name)
	base, isDelta := strings.CutSuffix(file, ".delta")
	if !ok || !isDelta || path.Ext(base) == "" {
		return nil, nil
	}
	base = path.Dir(name) + "/" + strings.TrimSuffix(base, path.Ext(base))
	for _, ext := range []string{".zst", ".bz2"} {
		d, err := s.descriptor(ctx, base+ext)
		if err == nil {
			return &ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errForeign) {
			return nil, err
		}
	}
	return nil, nil
}

// refer makes a delta a referrer of its archive, where the registry does not do so by itself (distribution specification, "Referrers Tag Schema").
func (s *Store) refer(ctx context.Context, delta ocispec.Descriptor, subject *ocispec.Descriptor) error {
	_, err := s.service.Do(ctx, http.MethodGet, s.base+"referrers/"+subject.Digest.String(), http.Header{"Accept": {ocispec.MediaTypeImageIndex}}, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.edit(ctx, strings.ReplaceAll(subject.Digest.String(), ":", "-"), &ocispec.Index{}, func(all []ocispec.Descriptor) []ocispec.Descriptor {
		if slices.ContainsFunc(all, func(d ocispec.Descriptor) bool { return d.Digest == delta.Digest }) {
			return all
		}
		return append(all, delta)
	})
}

// edit changes what an index has, and makes it, as fresh says, or removes it.
func (s *Store) edit(ctx context.Context, tag string, fresh *ocispec.Index, change func([]ocispec.Descriptor) []ocispec.Descriptor) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	data, err := s.manifestAt(ctx, tag)
	if err != nil {
		return err
	}
	index := fresh
	if data != nil {
		var there ocispec.Index
		if err := json.Unmarshal(data, &there); err != nil || there.ArtifactType != fresh.ArtifactType || there.MediaType != ocispec.MediaTypeImageIndex {
			return errForeign // somebody's own
		}
		index = &there
	}
	index.Versioned, index.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageIndex
	index.Manifests = change(index.Manifests)
	if len(index.Manifests) == 0 {
		if data == nil {
			return nil
		}
		return s.removeManifest(ctx, tag)
	}
	slices.SortStableFunc(index.Manifests, byPlatform)
	if data, err = json.Marshal(index); err != nil {
		return err
	}
	return s.putManifest(ctx, tag, ocispec.MediaTypeImageIndex, data)
}

func byPlatform(a, b ocispec.Descriptor) int {
	text := func(d ocispec.Descriptor) string {
		if d.Platform == nil {
			return ""
		}
		return d.Platform.OS + "/" + d.Platform.Architecture + "/" + d.Platform.Variant
	}
	return strings.Compare(text(a), text(b))
}

// Reindex makes the indexes of all versions anew from what each release.json says, one after the other.
func (s *Store) Reindex(ctx context.Context) error {
	entries, err := s.List(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, file, ok := releaseOf(e.Name); !ok || file != releaseFile {
			continue
		}
		if err := s.describe(ctx, e.Name, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.failed("indexing", e.Name, err)
		}
	}
	return nil
}
