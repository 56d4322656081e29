// Package stores opens a repository by its location, wherever it lives.
//
// Each kind of store is a package of its own, so that a program that needs one links that one alone; this package links all of
// them, and is for commands that publish, mirror and check. docs/STORES.md has a page on each.
//
//	/srv/repo, file:///srv/repo    a folder
//	/srv/repo.tar                  an archive, to be read
//	https://, http://              a web server, to be read
//	s3://BUCKET/PREFIX             Amazon S3 and what speaks its protocol
//	gs://BUCKET/PREFIX             Google Cloud Storage
//	azblob://CONTAINER/PREFIX      Azure Blob Storage
//	nats://HOST/BUCKET/PREFIX      an object store of NATS JetStream
//	oci://REGISTRY/NAME            an OCI registry
package stores

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/azure"
	"github.com/choria-io/go-updater/stores/gcs"
	"github.com/choria-io/go-updater/stores/nats"
	"github.com/choria-io/go-updater/stores/oci"
	"github.com/choria-io/go-updater/stores/s3"
	"github.com/choria-io/go-updater/stores/tarfile"
)

// Options are for what no location says.
type Options struct {
	// HTTP is how web servers are asked.
	HTTP store.HTTPOptions
}

// ErrReadOnly: what the location names can be read but not written.
var ErrReadOnly = errors.New("repositories there can be read only")

// opener opens the store that a URL of its scheme names.
type opener func(ctx context.Context, location *url.URL) (store.Store, error)

// table has a line for each kind of store that is not a folder or a web server, which [store.New] knows.
func table() map[string]opener {
	return map[string]opener{
		"s3":     func(_ context.Context, u *url.URL) (store.Store, error) { return s3.FromURL(u) },
		"gs":     func(_ context.Context, u *url.URL) (store.Store, error) { return gcs.FromURL(u) },
		"azblob": func(_ context.Context, u *url.URL) (store.Store, error) { return azure.FromURL(u) },
		"nats":   func(ctx context.Context, u *url.URL) (store.Store, error) { return nats.FromURL(ctx, u) },
		"oci":    func(_ context.Context, u *url.URL) (store.Store, error) { return oci.FromURL(u) },
	}
}

// Open opens the repository at a location for reading. Stores that hold a connection are an [io.Closer].
//
// Most services are not asked anything yet: what is wrong with a bucket or with credentials is told by the first read.
func Open(ctx context.Context, location string, o Options) (store.Reader, error) {
	if IsArchive(location) {
		return tarfile.Open(location)
	}
	scheme, _, found := strings.Cut(location, "://")
	open := table()[strings.ToLower(scheme)]
	if !found || open == nil {
		r, err := store.New(location, o.HTTP)
		if err != nil && found && !known(scheme) {
			return nil, fmt.Errorf("repositories with %s:// are not supported; docs/STORES.md lists those that are", scheme)
		}
		return r, err
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("the repository's %s URL is malformed", scheme) // url.Error has all of it, secrets too
	}
	return open(ctx, u)
}

// IsArchive tells whether a location is the path of a tar file, of one that may not be there yet too: it ends in ".tar" and is no folder.
func IsArchive(location string) bool {
	if strings.Contains(location, "://") || !strings.HasSuffix(location, tarfile.Suffix) {
		return false
	}
	info, err := os.Stat(location)
	return err != nil || !info.IsDir()
}

// known tells the schemes that package store opens.
func known(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "file", "http", "https":
		return true
	}
	return false
}

// OpenStore opens the repository at a location for publishing. The error wraps ErrReadOnly for a web server and an archive.
func OpenStore(ctx context.Context, location string, o Options) (store.Store, error) {
	if IsArchive(location) {
		return nil, fmt.Errorf("%s: %w; an archive is written at once, by a mirror", location, ErrReadOnly)
	}
	r, err := Open(ctx, location, o)
	if err != nil {
		return nil, err
	}
	s, ok := r.(store.Store)
	if !ok {
		return nil, fmt.Errorf("%s: %w; publish to the bucket or folder behind the web server", r, ErrReadOnly)
	}
	return s, nil
}
