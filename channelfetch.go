package updater

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/store"
)

// errNews: the repository has something that this machine has not seen.
var errNews = errors.New("there is news")

// signedChannel gets a channel's document that the repository's keys stand behind.
//
// With quick set it is the one that this machine has seen, verified again, as long as the timestamp is the one that it
// has seen, to the byte: then nothing that could be accepted is new, not even a root, since a root that
// takes keys away comes with a timestamp of other bytes. That is one request, of some 500 bytes.
func (c *Config) signedChannel(state *trustState, quick bool) (doc *channel.Document, err error) {
	err = c.inTurn(state, func(store.Reader) error {
		if !quick {
			doc, err = c.signedDocument(state, state)
			return err
		}
		doc, err = c.signedDocument(state, &quickEnv{trustState: state})
		if errors.Is(err, errNews) {
			doc, err = nil, nil
		}
		return err
	})
	return doc, err
}

// channelFile is the name of a channel's document: as the metadata lists it, and without a hash for
// those who check no signatures.
func (c *Config) channelFile() string { return "channels/" + c.channel + ".json" }

// seenName is where the document that this machine has seen is kept.
func (c *Config) seenName() string { return "channel-" + c.channel + ".json" }

func (c *Config) signedDocument(state *trustState, env tuf.Env) (*channel.Document, error) {
	t, product, err := c.lookUp(env, state, c.channelFile())
	if err != nil {
		return nil, err
	}
	if data, err := state.Load(c.seenName()); err == nil && t.Verify(data) == nil {
		return c.parseChannel(data, product)
	}
	if _, quick := env.(*quickEnv); quick {
		return nil, errNews
	}
	if t.SHA256 == "" || t.Length > channel.MaxSize {
		return nil, cause.Errorf("%w: %s is signed without a sha256, or larger than %d bytes", ErrRejected, t.Path, channel.MaxSize)
	}
	// The file's name has its hash, so that a change of the channel shows at once or not at all.
	name := "channels/" + t.SHA256 + "." + c.channel + ".json"
	var doc *channel.Document
	data, err := state.from.ReadAll(state.ctx, store.Download{Name: name, Limit: t.Length, NoCache: state.noCache}, func(data []byte) (err error) {
		if err := t.Verify(data); err != nil {
			return cause.Errorf("%w: %w", ErrRejected, err)
		}
		doc, err = c.parseChannel(data, product)
		return err
	})
	if err != nil {
		return nil, missing(err, errNoFile)
	}
	if err := state.Store(c.seenName(), data); err != nil {
		c.warn(err)
	}
	return doc, nil
}

// quickEnv is the world of a refresh that finds nothing new: it serves the timestamp that was fetched if
// that is the one that is stored, and nothing else.
type quickEnv struct {
	*trustState
	timestamp []byte
}

// Fetch implements [tuf.Env].
func (e *quickEnv) Fetch(name string, limit int64) ([]byte, error) {
	switch {
	case name == "timestamp.json":
		return e.timestamp, nil // the root was asked for before
	case !strings.HasSuffix(name, ".root.json"):
		return nil, errNews
	}
	seen, err := e.Load("timestamp.json")
	if err != nil {
		return nil, errNews
	}
	e.timestamp, err = e.trustState.Fetch("timestamp.json", tuf.MaxTimestamp)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !bytes.Equal(seen, e.timestamp):
		return nil, errNews
	case err != nil:
		return nil, err
	}
	return nil, fs.ErrNotExist
}

// unsignedChannel gets a channel's document as it is served. The one that was seen before is not sent again, and
// nothing older is taken: that is all that can be said for it.
func (c *Config) unsignedChannel(state *trustState, _ bool) (doc *channel.Document, err error) {
	err = c.inTurn(state, func(reader store.Reader) error {
		doc, err = c.unsignedDocument(state, reader)
		return err
	})
	return doc, err
}

func (c *Config) unsignedDocument(state *trustState, reader store.Reader) (*channel.Document, error) {
	seen, unless := c.seenDocument(state, reader)
	spool := &versionSpool{}
	var doc *channel.Document
	err := state.from.Download(state.ctx, store.Download{
		Name: c.channelFile(), Limit: channel.MaxSize, Unless: unless, NoCache: state.noCache, Spool: spool,
		Accept: func() (err error) {
			doc, err = c.parseChannel(spool.data, "")
			return err
		},
	})
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return seen, nil
	case err != nil:
		return nil, err
	case seen != nil && doc.Serial < seen.Serial:
		return nil, cause.Errorf("serial %d is %w: serial %d", doc.Serial, ErrOlderMetadata, seen.Serial)
	}
	err = state.Store(c.seenName(), spool.data)
	if err == nil { // only now: it says what the document is
		err = state.Store(c.seenName()+".from", []byte(spool.source+"\n"+spool.version))
	}
	if err != nil {
		c.warn(err)
	}
	return doc, nil
}

// seenDocument is the document that this machine has seen, nil if there is none, and its version if it is from
// this repository.
func (c *Config) seenDocument(state *trustState, reader store.Reader) (doc *channel.Document, version string) {
	data, err := state.Load(c.seenName())
	if err != nil {
		return nil, ""
	}
	if doc, err = c.parseChannel(data, ""); err != nil {
		c.warn(cause.Errorf("going on without the stored %s: %w", c.seenName(), err))
		return nil, ""
	}
	if from, err := state.Load(c.seenName() + ".from"); err == nil {
		if source, v, _ := strings.Cut(string(from), "\n"); source == reader.String() {
			version = v
		}
	}
	return doc, version
}

// versionSpool keeps a download in memory, and which version of the file it is.
type versionSpool struct {
	source, version string
	data            []byte
}

// Have implements [store.Spool].
func (s *versionSpool) Have() (string, string, int64) { return "", "", 0 }

// Begin implements [store.Spool].
func (s *versionSpool) Begin(source, version string) error {
	s.source, s.version, s.data = source, version, s.data[:0]
	return nil
}

func (s *versionSpool) Write(p []byte) (int, error) {
	s.data = append(s.data, p...)
	return len(p), nil
}
