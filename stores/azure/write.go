package azure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// blockSize is how much of a large file is in memory, twice. With the 50,000 blocks of a blob, files may have 400 GB.
const blockSize = 8 << 20

// Put writes a file, in one request or in blocks; either appears when it is complete.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) error {
	return s.put(ctx, name, r, nil)
}

// PutIf writes a file on a condition, which the service checks.
func (s *Store) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	var c blob.ModifiedAccessConditions
	tag, none := azcore.ETag(version), azcore.ETagAny
	switch {
	case version == "":
		c.IfNoneMatch = &none
	case !strings.HasPrefix(version, `"`):
		if err := s.check(ctx, name); err != nil {
			return err
		}
		return fmt.Errorf("putting %s in %s: %w", name, s, store.ErrConflict) // no file has such a version
	default:
		c.IfMatch = &tag
	}
	return s.put(ctx, name, r, &blob.AccessConditions{ModifiedAccessConditions: &c})
}

func (s *Store) put(ctx context.Context, name string, r io.Reader, condition *blob.AccessConditions) error {
	if err := s.check(ctx, name); err != nil {
		return err
	}
	contentType, cache := store.HeadersFor(name)
	headers := &blob.HTTPHeaders{BlobContentType: &contentType, BlobCacheControl: &cache}
	client := s.client.NewBlockBlobClient(s.prefix + name)
	head, all, err := rest.Tail(ctx, r, blockSize)
	if err == nil && all {
		_, err = client.Upload(ctx, streaming.NopCloser(bytes.NewReader(head)), &blockblob.UploadOptions{HTTPHeaders: headers, AccessConditions: condition})
	} else if err == nil {
		whole := io.MultiReader(bytes.NewReader(head), rest.WithContext(ctx, r))
		_, err = client.UploadStream(ctx, whole, &blockblob.UploadStreamOptions{BlockSize: blockSize, Concurrency: 1, HTTPHeaders: headers, AccessConditions: condition})
	}
	return s.failed("putting", name, err)
}

// Delete removes a file.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.check(ctx, name); err != nil {
		return err
	}
	_, err := s.client.NewBlobClient(s.prefix+name).Delete(ctx, nil)
	var answer *azcore.ResponseError
	if errors.As(err, &answer) && answer.ErrorCode == "BlobNotFound" {
		return nil
	}
	return s.failed("deleting", name, err)
}

// List asks for five thousand names at a time.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	prefix = s.prefix + prefix
	var entries []store.Entry
	pages := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.failed("listing", prefix, err)
		}
		if page.Segment == nil {
			return nil, s.failed("listing", prefix, errors.New("the service sent no list"))
		}
		for _, item := range page.Segment.BlobItems {
			if item.Name == nil {
				continue
			}
			name := strings.TrimPrefix(*item.Name, s.prefix)
			if store.CheckName(name) == nil && item.Properties != nil && item.Properties.ContentLength != nil {
				entries = append(entries, store.Entry{Name: name, Size: *item.Properties.ContentLength})
			}
		}
	}
	return entries, ctx.Err()
}

// failed says what a request of the SDK failed with, in a line: its own errors have twenty.
func (s *Store) failed(action, name string, err error) error {
	if err == nil {
		return nil
	}
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		status := &store.StatusError{Code: answer.StatusCode, URL: s.String()}
		err = s.explain(status, answer.ErrorCode)
		if err == nil {
			err = fmt.Errorf("%w (%s)", status, answer.ErrorCode)
		}
		switch answer.ErrorCode {
		case "ConditionNotMet", "BlobAlreadyExists", "UnauthorizedBlobOverwrite":
			err = store.ErrConflict
		case "BlobNotFound":
			if action == "putting" {
				err = store.ErrConflict
			}
		}
	}
	return fmt.Errorf("%s %s in %s: %w", action, name, s, err)
}

var errNoContainer = errors.New("the container does not exist")

// explain says what is wrong and what to do about it; nil where the status is all that there is to say.
func (s *Store) explain(status *store.StatusError, code string) error {
	if status.Code == http.StatusForbidden && !s.expires.IsZero() && time.Now().After(s.expires) {
		return fmt.Errorf("the SAS expired at %s: put a new one into AZURE_STORAGE_SAS_TOKEN: %w", s.expires.Format(time.RFC3339), status)
	}
	switch code {
	case "ContainerNotFound", "ContainerBeingDeleted":
		return fmt.Errorf("%w: create %s, or check its name and the account (AZURE_STORAGE_ACCOUNT)", errNoContainer, s.name)
	case "AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation":
		return fmt.Errorf("the credentials are wrong or have expired: check AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or `az login`: %s: %w", code, status)
	case "AuthorizationPermissionMismatch", "AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch", "InsufficientAccountPermissions", "AuthorizationProtocolMismatch":
		return fmt.Errorf("the credentials do not allow it: readers need Storage Blob Data Reader, publishers Storage Blob Data Contributor, or a SAS with rl and racwdl: %s: %w", code, status)
	case "AuthorizationFailure":
		return fmt.Errorf("the credentials are wrong (check AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN), do not allow it, or the account's firewall keeps this machine out: %s: %w", code, status)
	case "PublicAccessNotPermitted", "ResourceNotFound":
		return fmt.Errorf("the container is not public, and no credentials were sent: %w", status)
	}
	if code != "" && status.Code != http.StatusNotFound {
		return fmt.Errorf("%s: %w", code, status)
	}
	return nil
}
