// Package s3 keeps a repository in a bucket of Amazon S3, or of anything that speaks its protocol: MinIO, Ceph,
// Cloudflare R2, versitygw.
//
// Reads are plain signed GET requests under the time limits of [store.HTTP]. Writes go through minio-go, which tries again with growing
// pauses, and sends what is larger than 8 MiB in parts, of which it keeps one in memory. Two publishers are kept apart by If-Match and
// If-None-Match, which the service must know: Amazon, MinIO, R2 and versitygw do.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// Options say where a bucket is and how to get in. The zero value is Amazon S3 with the credentials that its own tools
// find: environment, ~/.aws/credentials, the role of the container or machine.
type Options struct {
	// Endpoint is the URL of a service other than Amazon's, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL
	// where it is empty.
	Endpoint string

	// Region is the bucket's, AWS_REGION or AWS_DEFAULT_REGION where it is empty, and us-east-1 without them.
	Region string

	// Profile is a section of ~/.aws/credentials.
	Profile string

	// AccessKey, SecretKey and SessionToken are used instead of what is found.
	AccessKey, SecretKey, SessionToken string

	// Anonymous sends no credentials: for a public bucket.
	Anonymous bool

	// VirtualHost puts the bucket into the host name at an Endpoint, as Amazon does.
	VirtualHost bool

	// ForbiddenIsMissing takes 403 for 404. A bucket answers so for files that are not there to those who may not list it;
	// the next root usually is not.
	ForbiddenIsMissing bool

	// Timeouts are those of reads.
	Timeouts store.Timeouts
}

// Store is a repository in a bucket.
type Store struct {
	*rest.Reader
	bucket, prefix string
	anonymous      bool
	client         *minio.Client
}

const amazon = "s3.amazonaws.com"

// FromURL opens s3://BUCKET/PREFIX. The query may have endpoint, region, profile, anonymous=true, virtual-host=true and
// hidden=true, the fields of Options; keys never stand in a URL.
func FromURL(location *url.URL) (*Store, error) {
	o := Options{}
	for key, values := range location.Query() {
		value, is := values[0], values[0] == "true"
		switch key {
		case "endpoint":
			o.Endpoint = value
		case "region":
			o.Region = value
		case "profile":
			o.Profile = value
		case "anonymous":
			o.Anonymous = is
		case "virtual-host":
			o.VirtualHost = is
		case "hidden":
			o.ForbiddenIsMissing = is
		default:
			return nil, fmt.Errorf("s3://%s: there is no option %q; there are endpoint, region, profile, anonymous, virtual-host and hidden", location.Host, key)
		}
	}
	if location.User != nil {
		return nil, errors.New("an s3 URL has no keys in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
	}
	return New(location.Host, location.Path, o)
}

// New opens a bucket; files lie below prefix, which may be empty. Nothing is asked of the service yet.
func New(bucket, prefix string, o Options) (*Store, error) {
	prefix, err := rest.Prefix(prefix)
	if err != nil {
		return nil, fmt.Errorf("s3://%s: %w", bucket, err)
	}
	o.Endpoint = firstOf(o.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))
	o.Region = firstOf(o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
	host, secure, err := split(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if bucket == "" {
		return nil, errors.New("the s3 URL names no bucket; it is s3://BUCKET/PREFIX")
	}
	s := &Store{bucket: bucket, prefix: prefix, anonymous: o.Anonymous}
	creds, transport := o.credentials(), rest.NewTransport()
	lookup := minio.BucketLookupPath
	if o.virtual(bucket) {
		lookup = minio.BucketLookupDNS
	}
	s.client, err = minio.New(host, &minio.Options{
		Creds: creds, Secure: secure, Region: o.Region, Transport: transport, BucketLookup: lookup, MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("s3://%s: %w", bucket, err)
	}
	s.Reader, err = rest.NewReader(rest.Dialect{
		Base: o.base(host, secure, bucket) + "/" + prefix, Transport: transport, Hides: o.ForbiddenIsMissing, Timeouts: o.Timeouts,
		Sign: sign(creds, o.Region, transport),
		Explain: func(status *store.StatusError, h http.Header, body []byte) error {
			return s.explain(parseError(status, h, body), status)
		},
	})
	return s, err
}

// tries of one request of a write. The pauses between them double from 0.2 s to a second, of which a random part is waited.
const tries = 8

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// split takes an endpoint apart.
func split(endpoint string) (host string, secure bool, err error) {
	if endpoint == "" {
		return amazon, true, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return "", false, errors.New("the S3 endpoint is no URL of the form https://HOST:PORT")
	}
	return u.Host, u.Scheme == "https", nil
}

// virtual tells whether the bucket goes into the host name. A dot in it would not fit Amazon's certificate.
func (o Options) virtual(bucket string) bool {
	return o.VirtualHost || o.Endpoint == "" && !strings.Contains(bucket, ".")
}

// base is the URL of the bucket.
func (o Options) base(host string, secure bool, bucket string) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	if o.Endpoint == "" {
		host = "s3." + o.Region + ".amazonaws.com"
		if strings.HasPrefix(o.Region, "cn-") {
			host += ".cn"
		}
	}
	if o.virtual(bucket) {
		return scheme + bucket + "." + host
	}
	return scheme + host + "/" + bucket
}

// credentials are looked for when they are needed, in the order in which Amazon's tools look.
func (o Options) credentials() *credentials.Credentials {
	switch {
	case o.Anonymous:
		return credentials.NewStaticV4("", "", "")
	case o.AccessKey != "":
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken)
	case o.Profile != "":
		return credentials.NewFileAWSCredentials("", o.Profile)
	}
	chain := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	elsewhere := firstOf(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
	if elsewhere != "" || !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		chain = append(chain, &credentials.IAM{Client: &http.Client{Transport: rest.NewTransport(), Timeout: metadataTimeout}})
	}
	return credentials.NewChainCredentials(chain)
}

// emptyHash is the SHA-256 of no bytes, the body of a GET.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func sign(creds *credentials.Credentials, region string, transport http.RoundTripper) func(*http.Request) error {
	return func(r *http.Request) error {
		value, err := creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: transport, Timeout: metadataTimeout}})
		if err != nil {
			return fmt.Errorf("finding S3 credentials: %w", err)
		}
		if value.AccessKeyID == "" {
			return nil
		}
		r.Header.Set("X-Amz-Content-Sha256", emptyHash)
		*r = *signer.SignV4(*r, value.AccessKeyID, value.SecretAccessKey, value.SessionToken, region)
		return nil
	}
}

func (s *Store) String() string { return strings.TrimSuffix("s3://"+s.bucket+"/"+s.prefix, "/") }

// key is the name of a file in the bucket.
func (s *Store) key(ctx context.Context, name string) (string, error) {
	if err := store.CheckName(name); err != nil {
		return "", err
	}
	return s.prefix + name, ctx.Err()
}
