package gcs

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// partSize is how much of a large file is in memory: a multiple of the 256 KiB that the service wants.
const partSize = 8 << 20

// Put writes a file: in one request, or as a resumable upload; either appears when it is complete.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) error {
	return s.put(ctx, name, r, "")
}

// PutIf writes a file on a condition, which the service checks.
func (s *Store) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	generation := strings.Trim(version, `"`)
	if version == "" {
		generation = "0" // there is none
	}
	if _, err := strconv.ParseInt(generation, 10, 64); err != nil {
		if err := s.check(ctx, name); err != nil {
			return err
		}
		return s.failed("putting", name, store.ErrConflict) // no file has such a version
	}
	return s.put(ctx, name, r, generation)
}

func (s *Store) check(ctx context.Context, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

// metadata is what is said of a file.
type metadata struct {
	Name         string `json:"name"`
	ContentType  string `json:"contentType"`
	CacheControl string `json:"cacheControl"`
}

func (s *Store) put(ctx context.Context, name string, r io.Reader, generation string) error {
	if err := s.check(ctx, name); err != nil {
		return err
	}
	m := metadata{Name: s.prefix + name}
	m.ContentType, m.CacheControl = store.HeadersFor(name)
	about, err := json.Marshal(m)
	if err != nil {
		return err
	}
	query := url.Values{"name": {m.Name}}
	if generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	head, all, err := rest.Tail(ctx, r, partSize)
	if err == nil && all {
		err = s.putSmall(ctx, query, m, about, head)
	} else if err == nil {
		sent, sum := sha256.New(), md5.New()
		io.MultiWriter(sent, sum).Write(head)
		err = s.putLarge(ctx, query, m, about, head, io.TeeReader(rest.WithContext(ctx, r), io.MultiWriter(sent, sum)), sum)
		var status *store.StatusError
		if errors.As(err, &status) && (status.Code == http.StatusNotFound || status.Code == http.StatusGone) && rest.Holds(ctx, s, name, sent.Sum(nil)) {
			err = nil // the answer to the last part was lost, and the upload is over
		}
	}
	return s.failed("putting", name, err)
}

func (s *Store) upload(query url.Values, kind string) string {
	query.Set("uploadType", kind)
	return s.endpoint + "/upload/storage/v1/b/" + url.PathEscape(s.bucket) + "/o?" + query.Encode()
}

// putSmall sends a file and what is said of it in one body (multipart/related, RFC 2387).
func (s *Store) putSmall(ctx context.Context, query url.Values, m metadata, about, data []byte) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, part := range []struct {
		kind string
		data []byte
	}{{"application/json", about}, {m.ContentType, data}} {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}})
		if err != nil {
			return err
		}
		p.Write(part.data) // into memory
	}
	w.Close()
	answer, err := s.service.Do(ctx, http.MethodPost, s.upload(query, "multipart"),
		http.Header{"Content-Type": {"multipart/related; boundary=" + w.Boundary()}}, body.Bytes())
	return refused(answer, err)
}

func refused(answer rest.Answer, err error) error {
	if err == nil && answer.Code == http.StatusPreconditionFailed {
		return store.ErrConflict
	}
	return err
}

// putLarge sends a file in parts. A part that was sent twice is one to the service, which goes by its place.
func (s *Store) putLarge(ctx context.Context, query url.Values, m metadata, about, part []byte, r io.Reader, sum hash.Hash) error {
	answer, err := s.service.Do(ctx, http.MethodPost, s.upload(query, "resumable"),
		http.Header{"Content-Type": {"application/json"}, "X-Upload-Content-Type": {m.ContentType}}, about)
	if err := refused(answer, err); err != nil {
		return err
	}
	session := answer.Header.Get("Location")
	if session == "" {
		return errors.New("the service gave no upload to go on with")
	}
	for offset := int64(0); ; {
		next, last, err := rest.Tail(ctx, r, partSize)
		if err != nil {
			s.service.Do(context.WithoutCancel(ctx), http.MethodDelete, session, nil, nil) // it would go by itself within a week
			return err
		}
		end := offset + int64(len(part))
		total := "*"
		if last && len(next) == 0 {
			total = strconv.FormatInt(end, 10)
		}
		answer, err := s.putPart(ctx, session, offset, total, part)
		if err != nil {
			return err
		}
		if total != "*" {
			return stored(answer, sum)
		}
		part, offset = next, end
	}
}

// stored compares what the service says that it has with what it was sent.
func stored(answer rest.Answer, sum hash.Hash) error {
	var is struct {
		MD5 string `json:"md5Hash"`
	}
	if err := json.Unmarshal(answer.Body, &is); err != nil {
		return fmt.Errorf("the service does not say what it stored: %w", err)
	}
	if want := base64.StdEncoding.EncodeToString(sum.Sum(nil)); is.MD5 != want {
		return fmt.Errorf("the service stored other bytes than it was sent: their MD5 is %s, not %s", is.MD5, want)
	}
	return nil
}

// putPart sends a part, and again what the service did not keep of it.
func (s *Store) putPart(ctx context.Context, session string, offset int64, total string, part []byte) (rest.Answer, error) {
	for {
		end := offset + int64(len(part))
		answer, err := s.service.Do(ctx, http.MethodPut, session, http.Header{"Content-Range": {fmt.Sprintf("bytes %d-%d/%s", offset, end-1, total)}}, part)
		if err := refused(answer, err); err != nil {
			return answer, err
		}
		if answer.Code != http.StatusPermanentRedirect { // which means "go on" here
			if total == "*" {
				return answer, fmt.Errorf("the service answered %d to a part that is not the last", answer.Code)
			}
			return answer, nil
		}
		_, kept, _ := strings.Cut(answer.Header.Get("Range"), "-")
		last, err := strconv.ParseInt(kept, 10, 64)
		switch {
		case err == nil && last == end-1 && total == "*":
			return answer, nil
		case err != nil || last < offset || last >= end-1:
			return answer, fmt.Errorf("the service keeps nothing of a part: it has %q", answer.Header.Get("Range"))
		}
		part, offset = part[last+1-offset:], last+1
	}
}

// Delete removes a file.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.check(ctx, name); err != nil {
		return err
	}
	_, err := s.service.Do(ctx, http.MethodDelete, s.endpoint+"/storage/v1/b/"+url.PathEscape(s.bucket)+"/o/"+url.PathEscape(s.prefix+name), nil, nil)
	var status *store.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		return nil
	}
	return s.failed("deleting", name, err)
}

// List asks for a thousand names at a time.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	var entries []store.Entry
	query := url.Values{"prefix": {s.prefix + prefix}, "maxResults": {"1000"}, "fields": {"items(name,size),nextPageToken"}}
	for {
		answer, err := s.service.Do(ctx, http.MethodGet, s.endpoint+"/storage/v1/b/"+url.PathEscape(s.bucket)+"/o?"+query.Encode(), nil, nil)
		if err != nil {
			return nil, s.failed("listing", s.prefix+prefix, err)
		}
		var page struct {
			Items []struct {
				Name string
				Size int64 `json:",string"`
			}
			NextPageToken string
		}
		if err := json.Unmarshal(answer.Body, &page); err != nil {
			return nil, s.failed("listing", s.prefix+prefix, fmt.Errorf("the service sent no list: %w", err))
		}
		for _, item := range page.Items {
			if name := strings.TrimPrefix(item.Name, s.prefix); store.CheckName(name) == nil {
				entries = append(entries, store.Entry{Name: name, Size: item.Size})
			}
		}
		if page.NextPageToken == "" {
			return entries, ctx.Err()
		}
		query.Set("pageToken", page.NextPageToken)
	}
}

func (s *Store) failed(action, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s in %s: %w", action, name, s, err)
}
