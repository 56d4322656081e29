package oci

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

const accepted = ocispec.MediaTypeImageManifest + ", " + ocispec.MediaTypeImageIndex + ", */*"

// Open asks for the manifest of a file, and then, unless it is small, for its bytes. The version is the digest of the manifest.
func (s *Store) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if err := s.check(ctx, name); err != nil {
		return nil, err
	}
	data, err := s.fetch(ctx, "manifests/"+tagOf(name), req.NoCache)
	if err != nil {
		return nil, s.failed("opening", name, err)
	}
	_, blob, err := parseFile(data, name)
	if err != nil {
		return nil, s.failed("opening", name, err)
	}
	version := versionOf(digestOf(data))
	if req.Unless == version {
		return nil, s.failed("opening", name, store.ErrUnchanged)
	}
	if req.Version != version || req.Offset >= blob.Size {
		req.Offset = 0
	}
	object, err := s.openBlob(ctx, blob, req.Offset)
	if err != nil {
		return nil, s.failed("opening", name, err)
	}
	object.Size, object.Version = blob.Size, version
	return object, nil
}

// lastByte is where a request's context has the end of the range that is asked for.
type lastByte struct{}

// openBlob opens the bytes of a file from an offset, or from their start.
func (s *Store) openBlob(ctx context.Context, blob ocispec.Descriptor, offset int64) (*store.Object, error) {
	if inlined(blob) {
		return &store.Object{Body: io.NopCloser(rest.WithContext(ctx, bytes.NewReader(blob.Data[offset:]))), Offset: offset}, nil
	}
	req := store.Request{}
	if offset > 0 {
		req = store.Request{Offset: offset, Version: `"` + blob.Digest.String() + `"`}
		ctx = context.WithValue(ctx, lastByte{}, blob.Size-1)
	}
	object, err := s.reader.Open(ctx, "blobs/"+blob.Digest.String(), req)
	if errors.Is(err, fs.ErrNotExist) { // but the file is there
		return nil, fmt.Errorf("the registry has lost the bytes of the file: %v", err)
	}
	return object, err
}

// fetch reads a manifest, in one try.
func (s *Store) fetch(ctx context.Context, what string, noCache bool) ([]byte, error) {
	object, err := s.reader.Open(ctx, what, store.Request{NoCache: noCache})
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	data, err := io.ReadAll(io.LimitReader(object.Body, manifestLimit+1))
	if err == nil && len(data) > manifestLimit {
		err = fmt.Errorf("a manifest is %w: more than %d bytes", store.ErrTooLarge, manifestLimit)
	}
	return data, err
}

// digestAt is the digest of what a tag names, empty if there is no such tag.
func (s *Store) digestAt(ctx context.Context, tag string) (digest.Digest, error) {
	answer, err := s.service.Do(ctx, http.MethodHead, s.base+"manifests/"+tag, http.Header{"Accept": {accepted}, "Cache-Control": {"no-cache"}}, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	if d := digest.Digest(answer.Header.Get("Docker-Content-Digest")); d.Validate() == nil {
		return d, nil
	}
	data, err := s.manifestAt(ctx, tag) // a registry need not say it
	if err != nil || data == nil {
		return "", err
	}
	return digestOf(data), nil
}

// manifestAt is what a tag names, nil if there is no such tag. It tries again.
func (s *Store) manifestAt(ctx context.Context, tag string) (data []byte, err error) {
	err = rest.Again(ctx, func() error {
		data, err = s.fetch(ctx, "manifests/"+tag, true)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// listers is how many manifests are asked for at a time.
const listers = 16

// List asks for the tags, a thousand at a time, and for the manifest of each file, where its size stands. Of files that never change
// it asks once.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	tags, err := s.tags(ctx)
	if err != nil {
		return nil, s.failed("listing", prefix, err)
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool {
		name, hashed, ok := fileOf(tag)
		return !ok || !hashed && !strings.HasPrefix(name, prefix)
	})
	entries, failures := make([]store.Entry, len(tags)), make([]error, len(tags))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for worker := range listers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := worker; i < len(tags) && ctx.Err() == nil; i += listers {
				if entries[i], failures[i] = s.entry(ctx, tags[i]); failures[i] != nil {
					cancel()
				}
			}
		}()
	}
	wg.Wait()
	if err := firstFailure(failures); err != nil {
		return nil, s.failed("listing", prefix, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e store.Entry) bool { return e.Name == "" || !strings.HasPrefix(e.Name, prefix) })
	slices.SortFunc(entries, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// firstFailure is the one that ended the others.
func firstFailure(failures []error) error {
	err := errors.Join(failures...)
	for _, f := range failures {
		if f != nil && !errors.Is(f, context.Canceled) {
			return f
		}
	}
	return err
}

// entry looks at the file of a tag. It is empty where that is gone by now, or is no file.
func (s *Store) entry(ctx context.Context, tag string) (store.Entry, error) {
	if known, ok := s.sizes.Load(tag); ok {
		return known.(store.Entry), nil
	}
	data, err := s.manifestAt(ctx, tag)
	if err != nil || data == nil {
		return store.Entry{}, err
	}
	name, blob, err := parseFile(data, "")
	if err != nil || tagOf(name) != tag || store.CheckName(name) != nil {
		return store.Entry{}, nil
	}
	e := store.Entry{Name: name, Size: blob.Size}
	if _, cache := store.HeadersFor(name); cache == store.CacheImmutable {
		s.sizes.Store(tag, e)
	}
	return e, nil
}

// pageSize is how many tags are asked for at a time; a registry may give fewer.
const pageSize = 1000

// tags are all tags. There are none in a repository that nobody has written to.
func (s *Store) tags(ctx context.Context) ([]string, error) {
	var tags []string
	seen := map[string]bool{}
	for next := s.base + "tags/list?n=" + fmt.Sprint(pageSize); next != ""; {
		answer, err := s.service.Do(ctx, http.MethodGet, next, http.Header{"Cache-Control": {"no-cache"}}, nil)
		if errors.Is(err, fs.ErrNotExist) {
			return tags, nil
		}
		if err != nil {
			return nil, err
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(answer.Body, &page); err != nil {
			return nil, fmt.Errorf("the registry sent no list of tags: %w", err)
		}
		before := len(tags)
		for _, tag := range page.Tags {
			if !seen[tag] {
				seen[tag] = true
				tags = append(tags, tag)
			}
		}
		if len(tags) == before { // the end, for a registry that begins anew after it
			return tags, nil
		}
		if next, err = s.nextPage(answer.Header.Get("Link"), page.Tags); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// nextPage is where the list goes on: where its Link says, or, in a registry that sends none, after the last one of a page that is full.
func (s *Store) nextPage(link string, page []string) (string, error) {
	target, _, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
	switch {
	case link == "" && len(page) < pageSize:
		return "", nil
	case link == "":
		return fmt.Sprintf("%stags/list?n=%d&last=%s", s.base, pageSize, url.QueryEscape(page[len(page)-1])), nil
	case !found:
		return "", fmt.Errorf("the registry sent a Link that is none: %q", link)
	}
	return s.resolve(target)
}

// resolve is the URL that a registry names in an answer. A registry that is asked by HTTPS names no other.
func (s *Store) resolve(target string) (string, error) {
	base, err := url.Parse(s.base)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != base.Scheme && u.Scheme != "https" {
		return "", errors.New("the registry named a URL that is none, or is not encrypted")
	}
	return u.String(), nil
}
