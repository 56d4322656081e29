// Package azure keeps a repository in a container of Azure Blob Storage.
//
// Reads are plain GET requests under the time limits of [store.HTTP]; writes, and finding credentials, go through Microsoft's SDK.
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// Options say where a container is and how to get in. The first of Key, SAS and Anonymous that is set counts; without them it is what
// azidentity finds: environment, workload or managed identity, `az login`.
type Options struct {
	// Account is the storage account, AZURE_STORAGE_ACCOUNT where it is empty.
	Account string

	// Endpoint is the URL of the blob service, https://ACCOUNT.blob.core.windows.net where it is empty.
	Endpoint string

	// Key is the account's, AZURE_STORAGE_KEY where it is empty.
	Key string

	// SAS is a shared access signature, AZURE_STORAGE_SAS_TOKEN where it is empty.
	SAS string

	// Anonymous sends no credentials: for a public container.
	Anonymous bool

	// ForbiddenIsMissing takes 403 for 404.
	ForbiddenIsMissing bool

	// Timeouts are those of reads.
	Timeouts store.Timeouts
}

// Store is a repository in a container.
type Store struct {
	*rest.Reader
	name, prefix string
	client       *container.Client
	expires      time.Time // of a SAS, where it says so
}

// FromURL opens azblob://CONTAINER/PREFIX. The query may have account, endpoint, anonymous=true and hidden=true, the fields of
// Options; keys never stand in a URL.
func FromURL(location *url.URL) (*Store, error) {
	o := Options{}
	for key, values := range location.Query() {
		switch key {
		case "account":
			o.Account = values[0]
		case "endpoint":
			o.Endpoint = values[0]
		case "anonymous":
			o.Anonymous = values[0] == "true"
		case "hidden":
			o.ForbiddenIsMissing = values[0] == "true"
		default:
			return nil, fmt.Errorf("azblob://%s: there is no option %q; there are account, endpoint, anonymous and hidden", location.Host, key)
		}
	}
	if location.User != nil {
		return nil, errors.New("an azblob URL has no keys in it: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN")
	}
	return New(location.Host, location.Path, o)
}

// New opens a container; files lie below prefix, which may be empty. Nothing is asked of the service yet.
func New(name, prefix string, o Options) (*Store, error) {
	prefix, err := rest.Prefix(prefix)
	if err != nil {
		return nil, fmt.Errorf("azblob://%s: %w", name, err)
	}
	if name == "" {
		return nil, errors.New("the azblob URL names no container; it is azblob://CONTAINER/PREFIX?account=ACCOUNT")
	}
	o.fill()
	if o.Endpoint == "" {
		if o.Account == "" {
			return nil, fmt.Errorf("azblob://%s: which storage account? set AZURE_STORAGE_ACCOUNT or add ?account=ACCOUNT", name)
		}
		o.Endpoint = "https://" + o.Account + ".blob.core.windows.net"
	}
	s := &Store{name: name, prefix: prefix}
	where, transport := strings.TrimSuffix(o.Endpoint, "/")+"/"+url.PathEscape(name), rest.NewTransport()
	sign, err := s.connect(where, o, transport)
	if err != nil {
		return nil, fmt.Errorf("azblob://%s: %w", name, err)
	}
	s.Reader, err = rest.NewReader(rest.Dialect{
		Base: where + "/" + prefix, Transport: transport, Hides: o.ForbiddenIsMissing, Timeouts: o.Timeouts,
		Explain: func(status *store.StatusError, h http.Header, _ []byte) error {
			return s.explain(status, h.Get("X-Ms-Error-Code"))
		},
		Sign: func(r *http.Request) error {
			r.Header.Set("X-Ms-Version", apiVersion)
			r.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
			return sign(r)
		},
	})
	return s, err
}

// apiVersion is that of the service's protocol that reads use.
const apiVersion = "2023-11-03"

func (o *Options) fill() {
	for _, v := range []struct {
		field *string
		name  string
	}{{&o.Account, "AZURE_STORAGE_ACCOUNT"}, {&o.Key, "AZURE_STORAGE_KEY"}, {&o.SAS, "AZURE_STORAGE_SAS_TOKEN"}} {
		if *v.field == "" {
			*v.field = os.Getenv(v.name)
		}
	}
	o.SAS = strings.TrimPrefix(o.SAS, "?")
}

// connect makes the client for writes, and what adds the same credentials to reads.
func (s *Store) connect(where string, o Options, transport http.RoundTripper) (sign func(*http.Request) error, err error) {
	options := &container.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport: &http.Client{Transport: transport},
		Retry:     policy.RetryOptions{MaxRetries: 7, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: 5 * time.Second},
	}}
	switch {
	case o.Anonymous:
		s.client, err = container.NewClientWithNoCredential(where, options)
		return func(*http.Request) error { return nil }, err
	case o.Key != "":
		cred, err := container.NewSharedKeyCredential(o.Account, o.Key)
		if err != nil {
			return nil, fmt.Errorf("AZURE_STORAGE_KEY is no key of an account: %w", err)
		}
		s.client, err = container.NewClientWithSharedKeyCredential(where, cred, options)
		return (&passes{cred: cred, container: s.name}).sign, err
	case o.SAS != "":
		if query, err := url.ParseQuery(o.SAS); err == nil {
			s.expires, _ = time.Parse(time.RFC3339, query.Get("se")) // some have an access policy instead
		}
		s.client, err = container.NewClientWithNoCredential(where+"?"+o.SAS, options)
		return func(r *http.Request) error { r.URL.RawQuery = o.SAS; return nil }, err
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	s.client, err = container.NewClient(where, cred, options)
	return bearer(cred), err
}

// bearer puts in the token of an identity.
func bearer(cred azcore.TokenCredential) func(*http.Request) error {
	return func(r *http.Request) error {
		token, err := cred.GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})
		if err != nil {
			return fmt.Errorf("there are no Azure credentials: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or run `az login`: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Token)
		return nil
	}
}

// passes signs reads with the account's key: with a pass for the container, which is made anew before it expires.
type passes struct {
	cred      *blob.SharedKeyCredential
	container string

	mu    sync.Mutex
	query string
	until time.Time
}

const passLife = time.Hour

func (p *passes) sign(r *http.Request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now().UTC(); p.until.Sub(now) < passLife/2 {
		until := now.Add(passLife)
		q, err := sas.BlobSignatureValues{
			Protocol: sas.ProtocolHTTPSandHTTP, StartTime: now.Add(-15 * time.Minute), ExpiryTime: until, // clocks differ
			Permissions: (&sas.ContainerPermissions{Read: true}).String(), ContainerName: p.container,
		}.SignWithSharedKey(p.cred)
		if err != nil {
			return err
		}
		p.query, p.until = q.Encode(), until
	}
	r.URL.RawQuery = p.query
	return nil
}

func (s *Store) String() string { return strings.TrimSuffix("azblob://"+s.name+"/"+s.prefix, "/") }

// check is what each operation begins with.
func (s *Store) check(ctx context.Context, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}
