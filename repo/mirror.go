package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
)

// MirrorOptions say how [Mirror] copies, and what. The zero value copies all of a repository.
type MirrorOptions struct {
	// Root is a root of the source, of whatever version, from which it is verified. Without it the roots that the
	// destination has are gone on from, and where it has none the source is believed about its first, with a remark.
	Root []byte

	// Part leaves releases out.
	Part Part

	// Jobs is how many files are copied at once, 4 if zero.
	Jobs int

	// Check hashes every file of the destination anew. Without it files are taken to be what the destination's own
	// metadata says of them if they have the size that it says.
	Check bool

	// Prune removes, when all else is done, releases and channels that the part does not take or the source does not have any more.
	// The destination has to be a [store.Locker]: elsewhere they may be what someone else is about to publish.
	Prune bool

	// Dry writes nothing, and tells what would be written.
	Dry bool

	// Before is the repository that the destination takes the place of, where it is written anew as an archive
	// is; nil if the destination is changed in place.
	Before store.Reader

	// Since leaves out what Before has: for an archive that is brought to who has that already. It is no repository by itself.
	Since bool

	// Progress is told how far the copying is, if not nil. It is called by one goroutine at a time.
	Progress func(MirrorProgress)

	clock func() time.Time
}

// MirrorProgress is how far a Mirror is. The totals are those of the files that have to be copied or hashed.
type MirrorProgress struct {
	File               string // that something was just read of
	Files, FilesTotal  int
	Bytes, BytesCopied int64 // done of BytesTotal; of them those that came from the source
	BytesTotal         int64
}

// Mirrored is what Mirror did, or with Dry would do.
type Mirrored struct {
	Product   string   `json:"product,omitempty"`
	Root      int64    `json:"root,omitempty"`      // version of the newest root, 0 for a repository that is not signed
	Timestamp int64    `json:"timestamp,omitempty"` // version of the timestamp that is served
	Copied    int      `json:"copied"`              // files, metadata included
	Bytes     int64    `json:"bytes"`               // of those
	Present   int      `json:"present"`             // files that were there already
	Left      int      `json:"left"`                // files that the metadata names and the part does not take
	Removed   []string `json:"removed"`
	Remarks   []string `json:"remarks"`
	Dry       bool     `json:"dry"`
}

var (
	// ErrDiverged: source and destination have each published for themselves. Make one of them anew from the other.
	ErrDiverged = errors.New("source and destination have been published to apart")

	// ErrNotListable: a repository that is not signed can be mirrored only from a store that says which files it has.
	ErrNotListable = errors.New("neither signed nor from a store that lists its files")
)

// sourceTries is how often a mirror begins anew because the source was published to meanwhile.
const sourceTries = 3

// Mirror copies a repository to another place, as far as it is not there yet, and makes what was copied current when all of it is
// there. A client that reads the destination meanwhile sees it as it was; docs/STORES.md names the one exception.
//
// Of a signed repository all is verified before it gets its name: the metadata as clients do, of every file length and hash. What is
// older than the destination has, has expired or is not signed as it has to be is refused, and nothing of it is written.
// An interrupted Mirror leaves files that the next one goes on from.
//
// Errors: ErrUntrusted, updater.ErrUntrusted, updater.ErrOlderMetadata, updater.ErrExpired, updater.ErrMetadata, updater.ErrRejected (a file is not what was signed),
// ErrDiverged, ErrNotListable, ErrNoChannel, ErrBusy, and those of the stores.
func Mirror(ctx context.Context, src store.Reader, dst store.Store, o MirrorOptions) (*Mirrored, error) {
	to := &Repo{store: dst, signing: signing{clock: o.clock}}
	if _, ok := dst.(store.Locker); o.Prune && !ok {
		return nil, fmt.Errorf("pruning %s: it has no lock, so what looks forgotten may be what someone else is about to publish", dst)
	}
	if !o.Dry {
		unlock, err := to.lock(ctx)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	for try := 1; ; try++ {
		m := &mirror{o: o, src: src, to: to, result: &Mirrored{Removed: []string{}, Remarks: []string{}, Dry: o.Dry}}
		err := m.run(ctx)
		if err == nil {
			return m.result, nil
		}
		if try == sourceTries || ctx.Err() != nil || !m.sourceMoved(ctx, err) {
			return nil, err
		}
	}
}

// mirror is one run.
type mirror struct {
	o      MirrorOptions
	src    store.Reader
	to     *Repo
	result *Mirrored

	seen   *ledger                          // what was read of the metadata
	there  map[string]int64                 // sizes of the destination's files, by name
	now    *signed                          // what the source says
	before *signed                          // what the destination said, nil if nothing
	listed map[string]*metadata.TargetFiles // by that
	calm   bool                             // nobody has begun to write what comes after that
	was    []byte                           // its timestamp.json

	wasSnapshot []byte
	tally       *tally
}

func (m *mirror) run(ctx context.Context) error {
	if err := m.look(ctx); err != nil {
		return err
	}
	signed, err := m.isSigned(ctx)
	if err != nil {
		return err
	}
	if !signed {
		return m.runUnsigned(ctx)
	}
	files, err := m.believe(ctx)
	if err != nil {
		return err
	}
	taken, err := m.take(ctx, files)
	if err != nil {
		return err
	}
	if err := m.copyAll(ctx, taken); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return m.publish(ctx) },
		func() error { return m.plainChannels(ctx, taken) },
		func() error { return m.prune(ctx, taken) },
	}
	if m.o.Before != nil { // nobody reads it yet, and the metadata comes last
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// look lists the destination, so that files need not be asked for one by one.
func (m *mirror) look(ctx context.Context) error {
	entries, err := m.to.store.List(ctx, "")
	if err != nil {
		return err
	}
	m.there = map[string]int64{}
	for _, e := range entries {
		m.there[e.Name] = e.Size
	}
	before := m.o.Before
	if before == nil {
		before = m.to.store
	}
	m.seen = &ledger{src: m.src, before: before, has: func(name string) bool { _, ok := m.there[name]; return ok }, read: map[string]*ledgerFile{}}
	if m.o.Before != nil {
		m.seen.has = func(string) bool { return true } // asked for, it says
	}
	return nil
}

// isSigned tells whether the source is signed. Once the destination is, it never takes anything else.
func (m *mirror) isSigned(ctx context.Context) (bool, error) {
	_, err := m.seen.get(ctx, timestampName)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	was, berr := m.seen.getBefore(ctx, timestampName)
	if berr != nil && !errors.Is(berr, fs.ErrNotExist) {
		return false, berr
	}
	if was != nil || m.o.Root != nil {
		return false, fmt.Errorf("%w: %s is not signed, and what it is to be mirrored to is: %w", ErrUntrusted, m.src, err)
	}
	return false, nil
}

// sourceMoved tells whether a failure may come from a publish to the source while it was read.
func (m *mirror) sourceMoved(ctx context.Context, err error) bool {
	if m.seen == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, updater.ErrRejected) && !errors.Is(err, updater.ErrUntrusted) && !errors.Is(err, ErrUntrusted) {
		return false
	}
	had := m.seen.read[timestampName]
	is, rerr := m.seen.fetch(ctx, m.src, timestampName)
	return rerr == nil && had != nil && string(is) != string(had.data)
}
