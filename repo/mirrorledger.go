package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/choria-io/go-updater/store"
)

// ledger is the metadata of the source, as a store. Each file is read once, so that what was verified is what is written: names
// that always mean the same bytes from the destination where they are there, else from the source.
type ledger struct {
	src, before store.Reader
	has         func(name string) bool // what may be found in before
	distrust    bool                   // the destination's copies
	read        map[string]*ledgerFile
}

// ledgerFile is nil where there is no file.
type ledgerFile struct {
	data   []byte
	copied bool // it came from the source
}

func (l *ledger) String() string { return l.src.String() }

// Open implements [store.Reader].
func (l *ledger) Open(ctx context.Context, name string, _ store.Request) (*store.Object, error) {
	data, err := l.get(ctx, name)
	if err != nil {
		return nil, err
	}
	return &store.Object{Body: io.NopCloser(bytes.NewReader(data)), Size: int64(len(data))}, nil
}

func (l *ledger) get(ctx context.Context, name string) ([]byte, error) {
	f, known := l.read[name]
	if !known {
		data, copied, err := l.find(ctx, name)
		switch {
		case err == nil:
			f = &ledgerFile{data, copied}
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		l.read[name] = f
	}
	if f == nil {
		return nil, fmt.Errorf("opening %s in %s: %w", name, l.src, fs.ErrNotExist)
	}
	return f.data, nil
}

func (l *ledger) find(ctx context.Context, name string) (data []byte, copied bool, err error) {
	if name != timestampName && !l.distrust {
		data, err := l.getBefore(ctx, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return data, false, err
		}
	}
	data, err = l.fetch(ctx, l.src, name)
	return data, true, err
}

// getBefore reads what the destination has.
func (l *ledger) getBefore(ctx context.Context, name string) ([]byte, error) {
	if !l.has(name) {
		return nil, fs.ErrNotExist
	}
	return l.fetch(ctx, l.before, name)
}

func (l *ledger) fetch(ctx context.Context, from store.Reader, name string) ([]byte, error) {
	f := store.Fetcher{Readers: []store.Reader{from}}
	return f.ReadAll(ctx, store.Download{Name: name, Limit: targetsLimit, NoCache: name == timestampName}, nil)
}

// again forgets what came from the destination, and does not ask it any more. Its roots are what is trusted, and stay.
func (l *ledger) again() (worthIt bool) {
	for name, f := range l.read {
		if f != nil && !f.copied && !strings.HasSuffix(name, "."+metadata.ROOT+".json") {
			worthIt = true
			delete(l.read, name)
		}
	}
	l.distrust = true
	return worthIt
}

// past is the metadata of the destination, as a store. It reads through the ledger, so that no file is asked for twice.
type past struct{ m *mirror }

func (p past) String() string { return p.m.to.store.String() }

// Open implements [store.Reader].
func (p past) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	l := p.m.seen
	if name == timestampName {
		return &store.Object{Body: io.NopCloser(bytes.NewReader(p.m.was)), Size: int64(len(p.m.was))}, nil
	}
	if !l.has(name) {
		return nil, fmt.Errorf("opening %s in %s: %w", name, p, fs.ErrNotExist)
	}
	object, err := l.Open(ctx, name, req)
	if err == nil && l.read[name].copied {
		return nil, fmt.Errorf("opening %s in %s: %w", name, p, fs.ErrNotExist)
	}
	return object, err
}

// asStore has a Repo read the ledger.
type asStore struct{ store.Reader }

var errReadOnly = errors.New("this side of a mirror is only read")

func (asStore) Put(context.Context, string, io.Reader) error { return errReadOnly }
func (asStore) Delete(context.Context, string) error         { return errReadOnly }

// lister is what can be listed, written or not.
type lister interface {
	List(ctx context.Context, prefix string) ([]store.Entry, error)
}

func (s asStore) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if l, ok := s.Reader.(lister); ok {
		return l.List(ctx, prefix)
	}
	return nil, errReadOnly
}

func (m *mirror) reading(r store.Reader) *Repo {
	return &Repo{store: asStore{r}, signing: signing{clock: m.o.clock}}
}
