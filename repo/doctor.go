package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

const (
	// noSuchFile is in no repository: versions of metadata begin at 1.
	noSuchFile = metadataFolder + "0.root.json"

	sampleLimit = 8 << 20  // bytes of an artifact that are fetched
	rangeLimit  = 64 << 10 // and of its second half, again
)

// Examination says what [Repo.Examine] looks at.
type Examination struct {
	// Wire is what the repository's store makes its requests with, where that is a web server. Without it nothing is said about headers.
	Wire *Wire

	// Version, OS and Arch name the release to look at. Empty ones stand for any that there is; only an unsigned repository on a
	// web server, which does not list its files, has to be told.
	Version, OS, Arch string
}

// Examine looks at a repository as a client meets it: what is answered for a missing file, for the rest of a file
// and for what has not changed; what caches on the way may keep; the server's clock and certificate; and whether the metadata is
// good. It changes nothing, and fetches 8 MiB of one artifact at most. [Repo.Audit] and [Verify] look at every file.
//
// Errors: those of a ctx that ended. All else is a finding.
func (r *Repo) Examine(ctx context.Context, what Examination) ([]updater.Finding, error) {
	e := &exam{repo: r, what: what}
	e.run(ctx)
	return e.found, ctx.Err()
}

// exam is an examination on its way.
type exam struct {
	repo  *Repo
	what  Examination
	found []updater.Finding
}

func (e *exam) good(format string, args ...any) {
	e.found = append(e.found, updater.Finding{OK: true, What: fmt.Sprintf(format, args...)})
}

// advise is for what works but could be better, problem for what keeps clients from updates or late.
func (e *exam) advise(do, format string, args ...any) {
	e.found = append(e.found, updater.Finding{OK: true, What: fmt.Sprintf(format, args...), Do: do})
}

func (e *exam) problem(do, format string, args ...any) {
	e.found = append(e.found, updater.Finding{What: fmt.Sprintf(format, args...), Do: do})
}

// failed tells of a request that a client could not make either.
func (e *exam) failed(err error, what string) {
	do := updater.Hint(err)
	if errors.Is(err, fs.ErrNotExist) {
		do = "check the repository, the version, the os and the arch"
	}
	e.problem(do, "%s: %v", what, err)
}

func (e *exam) run(ctx context.Context) {
	object, err := e.repo.store.Open(ctx, timestampName, store.Request{})
	if err == nil {
		object.Body.Close()
	}
	isSigned := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		e.failed(err, "the repository cannot be read")
		return
	}
	e.connection(isSigned)
	if !e.missing(ctx) {
		return // every search for the next root would end like this
	}
	if !isSigned {
		if errors.Is(err, fs.ErrPermission) {
			e.failed(err, "the repository cannot be read")
			return
		}
		e.unsigned(ctx)
		return
	}
	e.signed(ctx)
}

// missing asks for a file that is not there.
func (e *exam) missing(ctx context.Context) bool {
	object, err := e.repo.store.Open(ctx, noSuchFile, store.Request{})
	switch {
	case err == nil:
		object.Body.Close()
		e.problem("have the server answer 404 for what it does not have", "a missing file is answered as if it were there")
	case errors.Is(err, fs.ErrNotExist):
		e.good("a missing file is told to be missing")
		e.missingKept()
		return true
	case errors.Is(err, fs.ErrPermission):
		e.problem("let clients list the bucket, so that it answers 404; or build programs with HTTPForbiddenIsMissing",
			"a missing file is answered as forbidden, so that no client finds out which root is the newest: %v", err)
	default:
		e.failed(err, "a missing file is not told to be missing")
	}
	return false
}

// signed examines a repository that has metadata.
func (e *exam) signed(ctx context.Context) {
	base, err := e.repo.load(ctx, false)
	switch {
	case errors.Is(err, ErrUntrusted):
		e.problem("find out who wrote it before anything else is published", "clients refuse the metadata: %v", err)
	case err != nil:
		e.failed(err, "the metadata cannot be read")
	case base == nil:
		e.problem("", "the metadata was removed meanwhile")
	}
	if err != nil || base == nil {
		return
	}
	a := &Audit{Trust: *base.trust()}
	files, err := a.roles(ctx, base)
	if err != nil {
		e.failed(err, "the metadata cannot be read")
		return
	}
	for _, p := range a.Problems {
		e.problem("", "%s", p)
	}
	for _, w := range a.Warnings {
		e.advise("", "%s", w)
	}
	e.good("signed: product %s, root version %d, %d files", a.Product, a.Root, len(files))
	e.current(ctx, timestampName, timestampLimit)
	name := e.largest(files)
	if name == "" {
		e.advise("name another with --version, --os and --arch, or publish one", "there is no such release, so that no artifact was fetched")
		return
	}
	e.artifact(ctx, name, files[name].Length, files[name].Hashes["sha256"].String())
}

// largest is the largest artifact of the releases that are asked for, empty if there is none.
func (e *exam) largest(files map[string]*metadata.TargetFiles) (largest string) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if release, ok := placeOf(name); !ok || strings.HasSuffix(name, "/"+specName) || !e.wants(release) {
			continue
		}
		if largest == "" || files[name].Length > files[largest].Length {
			largest = name
		}
	}
	return largest
}

func (e *exam) wants(r Release) bool {
	fits := func(want, is string) bool { return want == "" || want == is }
	return fits(e.what.Version, r.Version) && fits(e.what.OS, r.OS) && fits(e.what.Arch, r.Arch)
}

// unsigned examines a repository that has releases alone.
func (e *exam) unsigned(ctx context.Context) {
	e.advise("update-repo init makes keys and signs it", "the repository is not signed: who writes to its server decides what clients install")
	list := []Release{{Version: e.what.Version, OS: e.what.OS, Arch: e.what.Arch}}
	if e.what.Version == "" || e.what.OS == "" || e.what.Arch == "" {
		all, err := e.repo.List(ctx)
		if err != nil {
			e.advise("name a release with --version, --os and --arch", "no release was looked at: %v", err)
			return
		}
		list = slices.DeleteFunc(all, func(r Release) bool { return !e.wants(r) })
	}
	if len(list) == 0 {
		e.advise("name another with --version, --os and --arch, or publish one", "there is no such release, so that no artifact was fetched")
		return
	}
	release := list[len(list)-1]
	folder, err := updater.Folder(release.Version, release.OS, release.Arch)
	if err != nil {
		e.problem("", "%v", err)
		return
	}
	spec, err := e.repo.spec(ctx, folder+"/"+specName)
	if err != nil {
		e.failed(err, folder+"/"+specName)
		return
	}
	e.current(ctx, folder+"/"+specName, updater.SpecLimit)
	if artifacts := decodable(spec); len(artifacts) > 0 {
		e.artifact(ctx, folder+"/"+artifacts[0].File, artifacts[0].Size, artifacts[0].SHA256)
	}
}

// current examines a file that is replaced: whether a check without news has to fetch it.
func (e *exam) current(ctx context.Context, name string, limit int64) {
	object, err := e.repo.store.Open(ctx, name, store.Request{})
	if err != nil {
		e.failed(err, name)
		return
	}
	_, err = io.Copy(io.Discard, io.LimitReader(object.Body, limit))
	object.Body.Close()
	if err != nil {
		e.failed(err, name)
		return
	}
	e.currentKept(name)
	object, err = e.repo.store.Open(ctx, name, store.Request{Unless: object.Version})
	switch {
	case errors.Is(err, store.ErrUnchanged):
		e.good("what has not changed is not sent again")
	case err != nil:
		e.failed(err, name)
	default:
		object.Body.Close()
		e.advise("have the server send a strong ETag and heed If-None-Match", "%s is sent again though it has not changed, with every check of every host", name)
	}
}

// artifact fetches a sample of a file, and a part of that again as after a cut connection. A size of 0 is unknown, as is an
// empty sum: release.json may have neither.
func (e *exam) artifact(ctx context.Context, name string, size int64, sum string) {
	began := time.Now()
	object, err := e.repo.store.Open(ctx, name, store.Request{})
	if err != nil {
		e.failed(err, name)
		return
	}
	sample, err := io.ReadAll(io.LimitReader(object.Body, sampleLimit))
	object.Body.Close()
	if err != nil {
		e.failed(err, name)
		return
	}
	whole := len(sample) < sampleLimit || int64(len(sample)) == size
	switch {
	case size > 0 && (whole && int64(len(sample)) != size || object.Size >= 0 && object.Size != size),
		whole && sum != "" && sha256Of(sample)["sha256"].String() != sum:
		e.problem("update-repo verify tells which files are damaged", "%s is not the file that was published", name)
	default:
		e.good("%s: %d bytes fetched in %v", name, len(sample), time.Since(began).Round(time.Millisecond))
	}
	e.artifactKept(name)
	e.rest(ctx, name, object.Version, sample)
}

// rest asks for the second half of what is there already.
func (e *exam) rest(ctx context.Context, name, version string, sample []byte) {
	const do = "have the server send a strong ETag, and heed Range and If-Range"
	if version == "" {
		e.problem(do, "%s has no version, so that a download that was cut begins anew", name)
		return
	}
	half := len(sample) / 2
	object, err := e.repo.store.Open(ctx, name, store.Request{Offset: int64(half), Version: version})
	if err != nil {
		e.problem(do, "a download that was cut does not go on: %v", err)
		return
	}
	defer object.Body.Close()
	if half > 0 && object.Offset == 0 {
		e.problem(do, "%s is sent from its start when its rest is asked for, so that a download that was cut begins anew", name)
		return
	}
	again, err := io.ReadAll(io.LimitReader(object.Body, rangeLimit))
	if want := sample[half:min(half+rangeLimit, len(sample))]; err == nil && !bytes.HasPrefix(again, want) {
		err = errors.New("other bytes came than before")
	}
	if err != nil {
		e.problem(do, "a download that was cut does not go on: %s: %v", name, err)
		return
	}
	e.good("a download that was cut goes on where it was")
}
