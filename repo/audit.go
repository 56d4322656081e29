package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/choria-io/go-updater/store"
)

// Audit is what a walk through a signed repository found.
type Audit struct {
	Trust
	RolesSeen int      `json:"rolesSeen"` // targets, and all that it leads to
	Files     int      `json:"files"`     // that are signed, and were hashed
	Left      int      `json:"left"`      // that are signed, and not here, see [Repo.Partial]
	Unsigned  []string `json:"unsigned"`  // release.json of releases that nobody signed: clients with a trust root do not see them
	Problems  []string `json:"problems"`  // clients refuse something
	Warnings  []string `json:"warnings"`  // they will, or nobody sees something
}

// Audit walks the whole repository as a client would that starts from any of its roots: root after root,
// then every role that targets leads to, then length and hash of every signed file. progress is called for each file, if not nil.
//
// Errors: ErrUnsigned, and those of the store. What is wrong with the repository is in Audit.Problems.
func (r *Repo) Audit(ctx context.Context, progress func(file string, done, total int)) (*Audit, error) {
	s, err := r.load(ctx, false)
	if errors.Is(err, ErrUntrusted) {
		return &Audit{Problems: []string{err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ErrUnsigned
	}
	a := &Audit{Trust: *s.trust()}
	if err := a.gap(ctx, r); err != nil {
		return nil, err
	}
	if err := a.roots(ctx, s); err != nil {
		return nil, err
	}
	files, err := a.roles(ctx, s)
	if err != nil {
		return nil, err
	}
	here, err := r.presence(ctx)
	if err != nil {
		return nil, err
	}
	done := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if here.leftOut(name, files[name]) {
			a.Left++
		} else if err := r.checkFile(ctx, servedName(name, files[name]), files[name]); err != nil {
			a.problem("%s: %v", name, err)
		}
		done++
		if progress != nil {
			progress(name, done, len(files))
		}
	}
	a.Files = done - a.Left
	return a, a.unsigned(ctx, r, files)
}

func (a *Audit) problem(format string, args ...any) {
	a.Problems = append(a.Problems, fmt.Sprintf(format, args...))
}

func (a *Audit) warn(format string, args ...any) {
	a.Warnings = append(a.Warnings, fmt.Sprintf(format, args...))
}

// gap finds roots that no client gets to, because the one before is missing.
func (a *Audit) gap(ctx context.Context, r *Repo) error {
	entries, err := r.store.List(ctx, metadataFolder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		number, ok := strings.CutSuffix(strings.TrimPrefix(e.Name, metadataFolder), ".root.json")
		if v, err := strconv.ParseInt(number, 10, 64); ok && err == nil && v > a.Root {
			a.problem("root %d is there but root %d is missing: clients stay at root %d", v, a.Root+1, a.Root)
		}
	}
	return nil
}

// roots has go-tuf start from each root that there ever was.
func (a *Audit) roots(ctx context.Context, s *signed) error {
	current := s.root().Signed.Version
	data := map[int64][]byte{}
	for v := int64(1); v <= current; v++ {
		var err error
		data[v], err = s.repo.read(ctx, versioned(v, metadata.ROOT), rootLimit)
		if errors.Is(err, fs.ErrNotExist) {
			a.problem("root %d is missing: programs with an older trust root see nothing of what follows", v)
			continue
		}
		if err != nil {
			return err
		}
	}
	problems := map[int64]error{} // on the way from a root
	for v := current; v >= 1; v-- {
		if data[v] == nil {
			continue
		}
		if _, err := parseRoot(data[v]); err != nil { // go-tuf is told nothing that was not looked at
			problems[v] = err
			continue
		}
		set, err := trustedmetadata.New(data[v])
		switch {
		case err != nil:
		case v == current:
			set.RefTime = time.Time{} // expiry is told separately
			_, err = set.UpdateTimestamp(s.timestampData)
		case data[v+1] != nil:
			if err = problems[v+1]; err == nil {
				_, err = set.UpdateRoot(data[v+1])
			}
		}
		problems[v] = err
	}
	for v := int64(1); v <= current; v++ {
		if err := problems[v]; err != nil {
			a.problem("from root %d: %v", v, err)
		}
	}
	if current > rotationLimit {
		a.warn("clients follow at most %d roots at once: build programs with a newer trust root", rotationLimit)
	}
	return nil
}

// roles verifies every role that targets leads to, and returns all signed files.
func (a *Audit) roles(ctx context.Context, s *signed) (map[string]*metadata.TargetFiles, error) {
	files := map[string]*metadata.TargetFiles{}
	now := s.repo.now()
	lifetimes := lifetimesOf(s.root())
	for _, e := range a.Expires {
		a.expiry(e, now, lifetimes[e.Role])
	}
	visit := func(name string, parent *targetsMeta) (*targetsMeta, error) {
		m, err := s.role(ctx, name, parent)
		if errors.Is(err, ErrUntrusted) || errors.Is(err, fs.ErrNotExist) {
			a.problem("%v", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		a.RolesSeen++
		maps.Copy(files, m.Signed.Targets)
		a.expiry(Expiry{name, m.Signed.Version, m.Signed.Expires}, now, lifetimes[metadata.TARGETS])
		return m, nil
	}
	a.RolesSeen = 1
	if err := s.walk(visit); err != nil {
		return nil, err
	}
	return files, nil
}

var renewal = map[string]string{
	metadata.ROOT:      "update-repo rotate --renew",
	metadata.TARGETS:   "update-repo sign --renew",
	metadata.SNAPSHOT:  "update-repo sign --renew",
	metadata.TIMESTAMP: "update-repo timestamp",
}

// expiry tells what has expired, and what has a quarter of its life left.
func (a *Audit) expiry(e Expiry, now time.Time, lifetime time.Duration) {
	how := renewal[e.Role]
	if how == "" {
		how = renewal[metadata.TARGETS]
	}
	switch left := e.Expires.Sub(now); {
	case left <= 0:
		a.problem("%s has expired at %s: %s", e.Role, date(e.Expires), how)
	case left < lifetime/4:
		a.warn("%s expires at %s: %s", e.Role, date(e.Expires), how)
	}
}

// checkFile compares a file with what is signed about it.
func (r *Repo) checkFile(ctx context.Context, name string, f *metadata.TargetFiles) error {
	object, err := r.store.Open(ctx, name, store.Request{})
	if err != nil {
		return err
	}
	defer object.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(object.Body, f.Length+1))
	if err != nil {
		return err
	}
	if n != f.Length || !f.Hashes.Equal(metadata.Hashes{"sha256": h.Sum(nil)}) {
		return errors.New("it is not the file that was signed")
	}
	return nil
}

// unsigned warns of releases that clients with a trust root do not see.
func (a *Audit) unsigned(ctx context.Context, r *Repo, files map[string]*metadata.TargetFiles) error {
	entries, err := r.store.List(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name, "/"+specName) && files[e.Name] == nil {
			a.Unsigned = append(a.Unsigned, e.Name)
			a.warn("%s is not signed: add the release again, or remove it", e.Name)
		}
	}
	return nil
}
