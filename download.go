package updater

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/store"
)

// Downloader fetches releases. [HTTPDownloader] is the default; programs may
// bring their own.
type Downloader interface {
	// Configure is called once, by [DownloadMethod], before the other two.
	Configure(*Config) error

	// FetchSpec fetches release.json of Config.Version for the configured
	// platform.
	FetchSpec() (*Spec, error)

	// FetchBinary puts the uncompressed binary that spec describes at the
	// path target, or at Config.TargetFile+".new". Its checksum is checked afterwards.
	FetchBinary(spec *Spec, target string) error
}

// HTTPDownloader fetches from the configured repositories: web servers, and
// folders too.
type HTTPDownloader struct {
	cfg *Config
}

// Configure tells which repositories to fetch from.
func (h *HTTPDownloader) Configure(c *Config) error {
	h.cfg = c
	return nil
}

// FetchSpec fetches and checks release.json.
func (h *HTTPDownloader) FetchSpec() (*Spec, error) {
	if h.cfg == nil {
		return nil, errors.New("the downloader is not configured")
	}
	return h.cfg.fetchSpec(context.Background())
}

// FetchBinary downloads the archive to target+".part", decodes it to target,
// and checks the checksum. What lay at the two paths is removed.
func (h *HTTPDownloader) FetchBinary(spec *Spec, target string) (err error) {
	c := h.cfg
	if c == nil {
		return errors.New("the downloader is not configured")
	}
	out, err := disk.CreateFresh(c.fs, target)
	if err != nil {
		return err
	}
	sink := &fileSink{file: out}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			c.fs.Remove(target)
		}
	}()
	sum, err := canonicalHash(spec.Sha256Hash)
	if err != nil {
		return err
	}
	sp, err := openSpool(c.fs, target+".part", "")
	if err != nil {
		return err
	}
	defer sp.remove()
	_, err = c.fetchBinary(context.Background(), spec, sp, sink, func() error { return sink.check(sum) })
	return err
}

func (c *Config) fetcherOf(readers ...store.Reader) *store.Fetcher {
	return &store.Fetcher{Readers: readers, Attempts: c.attempts, Notify: c.notice}
}

// notice warns of a failure that is not the last word.
func (c *Config) notice(n store.Notice) {
	next := n.Next
	if n.Wait > 0 {
		next = fmt.Sprintf("%s in %.1fs", next, n.Wait.Seconds())
	}
	c.warn(cause.Errorf("%w; %s", n.Err, next))
}

// fetcher fetches from the first repository that has a file right.
func (c *Config) fetcher() (*store.Fetcher, error) {
	readers, err := c.readers()
	return c.fetcherOf(readers...), err
}

// readers are the repositories, in the order in which they are asked.
func (c *Config) readers() ([]store.Reader, error) {
	var readers []store.Reader
	locations := append([]string{c.SourceRepo}, c.mirrors...)
	if c.reader != nil {
		readers, locations = append(readers, c.reader), c.mirrors
	}
	for _, location := range locations {
		r, err := store.New(location, c.http)
		if err != nil {
			return nil, err
		}
		readers = append(readers, r)
	}
	return readers, nil
}

// fetchSpec fetches release.json, and believes none of it before it is checked.
func (c *Config) fetchSpec(ctx context.Context) (*Spec, error) {
	folder, err := Folder(c.Version, c.OperatingSystem, c.Architecture)
	if err != nil {
		return nil, err
	}
	f, err := c.fetcher()
	if err != nil {
		return nil, err
	}
	signed, err := c.signed(ctx, folder)
	if err != nil {
		return nil, err
	}
	var spec *Spec
	_, err = f.ReadFile(ctx, folder+"/release.json", SpecLimit, func(data []byte) error {
		if err := signed.accept(data); err != nil {
			return err
		}
		spec, err = ParseSpec(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := signed.check(spec); err != nil {
		return nil, err
	}
	spec.BinaryURI = c.locate(folder, spec.BinaryPath)
	return spec, spec.verify(c)
}

// locate is where a file of a release is, for people to read: requests are made by the store.
func (c *Config) locate(folder, file string) *url.URL {
	base := &url.URL{Scheme: "file", Path: c.SourceRepo}
	if strings.Contains(c.SourceRepo, "://") {
		var err error
		if base, err = url.Parse(c.SourceRepo); err != nil {
			return nil
		}
	}
	base.Path = strings.TrimRight(base.Path, "/") + "/" + folder + "/" + file
	if base.RawPath != "" {
		base.RawPath = strings.TrimRight(base.RawPath, "/") + "/" + folder + "/" + file
	}
	return base
}

// sink is where decoded bytes go.
type sink interface {
	io.Writer

	Reset() error
}

// fetchBinary downloads the first artifact that can be had and decodes it into
// out. check has the last word on what came out. An artifact that is missing or
// wrong gives way to the next.
func (c *Config) fetchBinary(ctx context.Context, spec *Spec, sp *spool, out sink, check func() error) (*Artifact, error) {
	folder, err := Folder(c.Version, c.OperatingSystem, c.Architecture)
	if err != nil {
		return nil, err
	}
	f, err := c.fetcher()
	if err != nil {
		return nil, err
	}
	var failures []error
	for i, a := range spec.candidates() {
		if i > 0 {
			c.warn(cause.Errorf("%w; trying %s", failures[i-1], a.File))
		}
		err := c.fetchArtifact(ctx, f, folder+"/"+a.File, a, spec, sp, out, check)
		if _, local := cause.Find[*store.LocalError](err); err == nil || ctx.Err() != nil || local {
			return a, err
		}
		failures = append(failures, err)
	}
	return nil, missing(cause.Join(failures...), errNoFile)
}

func (c *Config) fetchArtifact(ctx context.Context, f *store.Fetcher, name string, a *Artifact, spec *Spec, sp *spool, out sink, check func() error) error {
	limit := c.maxSize
	if a.Size > 0 {
		limit = a.Size
	}
	if err := sp.expect(a); err != nil {
		return local(err)
	}
	return f.Download(ctx, store.Download{
		Name: name, Limit: limit, Spool: sp, Progress: c.progress(a.File),
		Accept: func() error {
			c.event(StepVerify, "verifying "+a.File)
			if err := sp.check(a); err != nil {
				return err
			}
			if err := out.Reset(); err != nil {
				return err
			}
			if err := decode(ctx, out, sp, a.Encoding, c.binaryLimit(spec)); err != nil {
				return err
			}
			return check()
		},
	})
}

// binaryLimit is how many bytes may come out of an archive.
func (c *Config) binaryLimit(spec *Spec) int64 {
	if spec.Size > 0 {
		return spec.Size
	}
	return c.maxSize
}
