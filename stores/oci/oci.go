// Package oci keeps a repository in an OCI registry: distribution, Harbor, GitHub, GitLab, Quay, Artifactory, those of the clouds.
//
// A file is an artifact: a manifest of type [FileType] under a tag made of the file's name, whose one layer is the file's bytes. The bytes of
// small files stand in the manifest as well. `oras pull` gets a file under its name.
//
// For those who look at a registry with other tools each version has an index of type [ReleaseType], whose tag is the version, of the archives
// for each platform, and deltas are referrers of the archive that they lead to. Nothing that reads a repository needs either, and their
// failures are no failures of a write; [Store.Reindex] makes the indexes anew.
//
// # Two publishers at once
//
// A registry writes a tag, whatever the tag was before: there is no If-Match (distribution-spec pull request 251 proposes one). So publishers agree among themselves, by
// one more tag, the claim. Who wants to write on a condition puts its claim there, waits for [Options].Settle, and looks whether the claim still is its own;
// if so it has the floor, and then compares, writes, and looks at the claim again before the next write, or after one that took
// longer than Settle. A claim that someone else has is waited for, until it is given back or has not changed for [Options].Lease by the clock of who
// waits, which is nobody else's business: publishers that were killed stop nobody for long.
//
// The rule that makes it safe does not depend on anyone's patience. Whoever overwrites a claim waits Settle before it writes, and whoever writes has
// seen its claim less than Settle before, or sees it afterwards. So of two conditional writes at once one comes first, and the other one sees it, as long as
// no write reaches its tag later than Settle after the look before it. Where a write took longer and somebody else has claimed meanwhile, who wrote is told so
// by [ErrLate]. What is left is a publisher, or a request on its way, that stands still for longer than Settle exactly between look and write, while another
// one gets the floor: after Lease of silence, or, where both began at the same moment, after Settle. That write comes when nobody expects it, and takes the place of a
// newer one. Registries that answer a read of a tag with what it was before (pull-through caches, replicas) keep none of this; publish to the one
// that they copy. Put and Delete wait for nobody.
package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// Options say how to reach a registry. The zero value asks by HTTPS (a loopback address by HTTP) with the credentials that `docker login`
// or `oras login` has left.
type Options struct {
	// Username and Password are used instead of what is found.
	Username, Password string

	// Anonymous sends no credentials: for a public repository.
	Anonymous bool

	// PlainHTTP asks without encryption.
	PlainHTTP bool

	// Settle is how long a claim has to stand before it counts, 2 s where it is 0. It should be longer than the registry takes
	// for a write. Lease is for how long a claim that nobody renews keeps others waiting, 15 s where it is 0. All publishers have to agree.
	Settle, Lease time.Duration

	// Timeouts are those of reads.
	Timeouts store.Timeouts
}

// Store is a repository in a registry.
type Store struct {
	registry, name string // as the location has them
	base           string // the URL of everything in it
	access         *access
	reader         *rest.Reader
	service        *rest.Service
	claim          *claim
	sizes          sync.Map // of files that never change, by tag
	written        sync.Map // descriptors of what was written here, by tag
	editing        sync.Mutex
	ready          sync.Mutex
	hasEmpty       bool // the blob that every manifest names is there
}

// FromURL opens oci://REGISTRY/NAME. The query may have plain-http=true, anonymous=true, settle and lease, the fields of Options.
func FromURL(location *url.URL) (*Store, error) {
	o := Options{}
	for key, values := range location.Query() {
		var err error
		switch key {
		case "plain-http":
			o.PlainHTTP = values[0] == "true"
		case "anonymous":
			o.Anonymous = values[0] == "true"
		case "settle":
			o.Settle, err = time.ParseDuration(values[0])
		case "lease":
			o.Lease, err = time.ParseDuration(values[0])
		default:
			return nil, fmt.Errorf("oci://%s%s: there is no option %q; there are plain-http, anonymous, settle and lease", location.Host, location.Path, key)
		}
		if err != nil {
			return nil, fmt.Errorf("oci://%s%s: %s is a duration, such as 2s", location.Host, location.Path, key)
		}
	}
	if location.User != nil {
		return nil, fmt.Errorf("an oci URL has no credentials in it: run `docker login %s`", location.Host)
	}
	return New(location.Host, strings.Trim(location.Path, "/"), o)
}

// Names of repositories are what the distribution specification lets them be.
var validName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// New opens the repository name at a registry, HOST or HOST:PORT. Nothing is asked of it yet.
func New(registry, name string, o Options) (*Store, error) {
	if registry == "" || name == "" {
		return nil, errors.New("the oci URL names no repository; it is oci://REGISTRY/NAME")
	}
	if len(name) > 255 || !validName.MatchString(name) {
		return nil, fmt.Errorf("oci://%s/%s: %q is no name of a repository: it has small letters, digits, and single . _ - / between them", registry, name, name)
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Second
	}
	if o.Lease == 0 {
		o.Lease = max(15*time.Second, 4*o.Settle)
	}
	if o.Settle < 0 || o.Lease < 2*o.Settle {
		return nil, fmt.Errorf("oci://%s/%s: lease has to be at least twice settle", registry, name)
	}
	s := &Store{registry: registry, name: name}
	host, scheme := registry, "https"
	if host == "docker.io" {
		host = "registry-1.docker.io"
	}
	if o.PlainHTTP || loopback(host) {
		scheme = "http"
	}
	s.base = scheme + "://" + host + "/v2/" + name + "/"
	var err error
	if s.access, err = newAccess(host, registry, name, o); err != nil {
		return nil, err
	}
	dialect := rest.Dialect{
		Base: s.base, Transport: s.access, Timeouts: o.Timeouts, Explain: s.access.explain,
		Sign: func(*http.Request) error { return nil }, // the transport does
		Rewrite: func(r *http.Request) {
			r.Header.Set("Accept", accepted)
			r.Header.Del("If-Range") // the name of a blob says what it is
			if last, ok := r.Context().Value(lastByte{}).(int64); ok && r.Header.Get("Range") != "" {
				r.Header.Set("Range", fmt.Sprint(r.Header.Get("Range"), last)) // not every registry knows ranges without an end
			}
		},
	}
	s.service, s.claim = rest.NewService(dialect), newClaim(s, o)
	s.reader, err = rest.NewReader(dialect)
	return s, err
}

// loopback tells whether a host is this machine.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (s *Store) String() string { return "oci://" + s.registry + "/" + s.name }

// check is what comes before each operation on a file.
func (s *Store) check(ctx context.Context, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

func (s *Store) failed(action, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s in %s: %w", action, name, s, err)
}
