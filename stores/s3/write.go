package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// partSize is how much of a large file is in memory. With the 10,000 parts that S3 takes, files may have 80 GB.
const partSize = 8 << 20

// Put writes a file, in one request or as a multipart upload; either appears when it is complete.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) error {
	return s.put(ctx, name, r, minio.PutObjectOptions{})
}

// PutIf writes a file on a condition, which the service checks.
func (s *Store) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	var o minio.PutObjectOptions
	if version == "" {
		o.SetMatchETagExcept("*")
	} else {
		o.SetMatchETag(strings.Trim(version, `"`))
	}
	return s.put(ctx, name, r, o)
}

func (s *Store) put(ctx context.Context, name string, r io.Reader, o minio.PutObjectOptions) error {
	key, err := s.key(ctx, name)
	if err != nil {
		return err
	}
	o.ContentType, o.CacheControl = store.HeadersFor(name)
	// MD5 guards what is sent. Signing it in chunks, minio-go's way over http, is what look-alikes get wrong.
	o.PartSize, o.SendContentMd5, o.DisableContentSha256 = partSize, true, true
	head, all, err := rest.Tail(ctx, r, partSize)
	if err == nil && all {
		_, err = s.client.PutObject(ctx, s.bucket, key, bytes.NewReader(head), int64(len(head)), o)
	} else if err == nil {
		err = s.putParts(ctx, name, io.MultiReader(bytes.NewReader(head), rest.WithContext(ctx, r)), o)
	}
	return s.failed("putting", name, err)
}

// putParts is a multipart upload. Where the answer to its last request was lost, minio-go asks again and is told that there is no such
// upload any more; what is there tells whether it was done.
func (s *Store) putParts(ctx context.Context, name string, r io.Reader, o minio.PutObjectOptions) error {
	sent := sha256.New()
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, io.TeeReader(r, sent), -1, o)
	if minio.ToErrorResponse(err).Code != "NoSuchUpload" {
		return err
	}
	if rest.Holds(ctx, s, name, sent.Sum(nil)) {
		return nil
	}
	return err
}

// Delete removes a file.
func (s *Store) Delete(ctx context.Context, name string) error {
	key, err := s.key(ctx, name)
	if err != nil {
		return err
	}
	err = s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil
	}
	return s.failed("deleting", name, err)
}

// List asks for a thousand names at a time. Keys that are no names of files, such as those that stand for folders, are left out.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the goroutine behind the channel
	var entries []store.Entry
	for object := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, s.failed("listing", s.prefix+prefix, object.Err)
		}
		name := strings.TrimPrefix(object.Key, s.prefix)
		if store.CheckName(name) == nil {
			entries = append(entries, store.Entry{Name: name, Size: object.Size})
		}
	}
	return entries, ctx.Err()
}

// failed says what a request of minio-go failed with.
func (s *Store) failed(action, name string, err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		status := &store.StatusError{Code: answer.StatusCode, URL: s.String()}
		if explained := s.explain(answer, status); explained != nil {
			err = explained
		} else {
			err = fmt.Errorf("%w (%s)", status, answer.Code)
		}
		if answer.StatusCode == http.StatusPreconditionFailed || answer.Code == "ConditionalRequestConflict" || action == "putting" && answer.Code == minio.NoSuchKey {
			err = store.ErrConflict
		}
	}
	return fmt.Errorf("%s %s in %s: %w", action, name, s, err)
}
