package nats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/choria-io/go-updater/store"
)

const (
	// idle is how long the next chunk may take.
	idle = 30 * time.Second

	// chunkHeader numbers a file's chunks from 0, and firstKey has the sequence of the first, so that a reader finds any of them.
	chunkHeader = "Updater-Chunk"
	firstKey    = "updater-first"

	// looks is how often a file is looked up that is replaced just when it is opened.
	looks = 4
)

// Open opens a file. Its version is the sequence of its last write. What fits into one message arrives with Open; of the rest
// an ordered consumer brings the chunks, from the one that Request.Offset lies in.
func (s *Store) Open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	for look := 1; ; look++ {
		object, err := s.open(ctx, name, req)
		if !errors.Is(err, store.ErrCut) || look == looks {
			return object, err
		}
	}
}

func (s *Store) open(ctx context.Context, name string, req store.Request) (*store.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := s.meta(ctx, name)
	if err != nil {
		return nil, s.failed("opening", name, err)
	}
	if !m.there() {
		return nil, fmt.Errorf("opening %s in %s: %w", name, s, fs.ErrNotExist)
	}
	object := &store.Object{Size: int64(m.Size), Version: m.version()}
	if req.Unless == object.Version {
		return nil, fmt.Errorf("opening %s in %s: %w", name, s, store.ErrUnchanged)
	}
	if req.Version == object.Version && req.Offset > 0 && req.Offset <= object.Size && (m.Chunks <= 1 || m.Metadata[firstKey] != "") {
		object.Offset = req.Offset
	}
	if m.Chunks > 1 && object.Offset < object.Size {
		object.Body, err = s.chunks(ctx, m, object.Offset)
		return object, s.failed("opening", name, err)
	}
	var data []byte
	if m.Chunks == 1 {
		msg, err := s.stream.GetLastMsgForSubject(ctx, s.chunkSubject(m.NUID))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && uint64(len(msg.Data)) != m.Size {
			return nil, fmt.Errorf("opening %s in %s: %w: it was replaced meanwhile", name, s, store.ErrCut)
		}
		if err != nil {
			return nil, s.failed("opening", name, err)
		}
		data = msg.Data
	}
	object.Body = io.NopCloser(&small{ctx, bytes.NewReader(data[min(object.Offset, int64(len(data))):])})
	return object, nil
}

type small struct {
	ctx context.Context
	r   *bytes.Reader
}

func (s *small) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// chunks reads a file of several chunks, from an offset.
func (s *Store) chunks(ctx context.Context, m meta, offset int64) (io.ReadCloser, error) {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.chunkSubject(m.NUID)}, DeliverPolicy: jetstream.DeliverAllPolicy}
	c := &chunkReader{store: s, ctx: ctx, left: int64(m.Size) - offset}
	if offset > 0 {
		first, err := strconv.ParseUint(m.Metadata[firstKey], 10, 64)
		if err != nil || m.Opts == nil || m.Opts.ChunkSize == 0 {
			return nil, fmt.Errorf("its metadata is damaged: %s %q", firstKey, m.Metadata[firstKey])
		}
		size := int64(m.Opts.ChunkSize)
		// Others may have written between its chunks, so the wanted one is there or later.
		c.want, c.skip = offset/size, offset%size
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, first+uint64(c.want)
	}
	consumer, err := s.js.OrderedConsumer(ctx, "OBJ_"+s.bucket, config)
	if err != nil {
		return nil, err
	}
	c.messages, err = consumer.Messages(jetstream.PullMaxMessages(16), jetstream.PullExpiry(5*time.Second))
	return c, err
}

type chunkReader struct {
	store    *Store
	ctx      context.Context
	messages jetstream.MessagesContext
	buf      []byte
	left     int64 // bytes of the file
	want     int64 // number of the next chunk, if they are numbered
	skip     int64 // bytes of it
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	for len(c.buf) == 0 {
		if c.left <= 0 {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf)
	c.buf = c.buf[n:]
	return n, nil
}

func (c *chunkReader) next() error {
	ctx, cancel := context.WithTimeout(c.ctx, idle)
	defer cancel()
	msg, err := c.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		return fmt.Errorf("%w: no chunk came: %w", store.ErrStalled, err)
	}
	data, about := msg.Data(), msg.Headers()
	if number := about.Get(chunkHeader); number != "" {
		is, err := strconv.ParseInt(number, 10, 64)
		if err != nil || is > c.want {
			return fmt.Errorf("%w: chunk %d is not there any more", store.ErrCut, c.want)
		}
		if is < c.want {
			return nil // it lay before the one that was asked for
		}
	}
	c.want++
	data = data[min(c.skip, int64(len(data))):]
	c.skip = 0
	c.buf = data[:min(int64(len(data)), c.left)]
	c.left -= int64(len(c.buf))
	// A file that is replaced loses its chunks, and nothing more would come.
	if info, err := msg.Metadata(); err == nil && info.NumPending == 0 && c.left > 0 {
		c.buf = nil
		return fmt.Errorf("%w: its last chunks are not there any more", store.ErrCut)
	}
	return nil
}

func (c *chunkReader) Close() error {
	c.messages.Stop()
	return nil
}

// List returns the files below a prefix.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var entries []store.Entry
	objects, err := s.js.ObjectStore(ctx, s.bucket)
	if err == nil {
		var list []*jetstream.ObjectInfo
		list, err = objects.List(ctx)
		for _, info := range list {
			name, ours := strings.CutPrefix(info.Name, s.prefix)
			if ours && strings.HasPrefix(name, prefix) && store.CheckName(name) == nil {
				entries = append(entries, store.Entry{Name: name, Size: int64(info.Size)})
			}
		}
	}
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		err = nil
	}
	if err != nil {
		return nil, s.failed("listing", s.prefix+prefix, err)
	}
	sortEntries(entries)
	return entries, ctx.Err()
}
