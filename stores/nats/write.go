package nats

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/retry"
)

// chunkSize is how much of a file one message has, and is in memory. Servers take a MiB by default.
const chunkSize = 256 << 10

// minChunk is the least that a server has to take, beside the headers.
const minChunk = 1 << 10

// answer is how long the server may take for one message, before it is sent again.
const answer = 5 * time.Second

// Put writes a file: its chunks, under a subject of their own, and then what says that they are the file.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) error {
	return s.put(ctx, name, r, nil)
}

// PutIf writes a file on a condition, which the server checks.
func (s *Store) PutIf(ctx context.Context, name string, r io.Reader, version string) error {
	return s.put(ctx, name, r, &version)
}

func (s *Store) put(ctx context.Context, name string, r io.Reader, version *string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	was, err := s.meta(ctx, name)
	if err != nil {
		return s.failed("putting", name, err)
	}
	if version != nil && (was.there() != (*version != "") || was.there() && was.version() != *version) {
		return s.conflict(name)
	}
	info := jetstream.ObjectInfo{Bucket: s.bucket, NUID: nuid.Next(), ModTime: time.Now().UTC()}
	info.Name, info.Opts = s.prefix+name, &jetstream.ObjectMetaOptions{ChunkSize: chunkSize}
	contentType, cache := store.HeadersFor(name)
	info.Headers = nats.Header{"Content-Type": {contentType}, "Cache-Control": {cache}}
	if err := s.putChunks(ctx, &info, r); err != nil {
		s.drop(ctx, info.NUID)
		return err
	}
	err = s.putMeta(ctx, &info, version != nil, was.revision)
	switch {
	case err == nil && was.NUID != "":
		s.drop(ctx, was.NUID)
	case errors.Is(err, store.ErrConflict):
		s.drop(ctx, info.NUID) // after another failure it may be the file all the same
	}
	return err
}

// drop removes chunks that nobody refers to. Should it fail they only take room.
func (s *Store) drop(ctx context.Context, nuid string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answer)
	defer cancel()
	s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.chunkSubject(nuid)))
}

func (s *Store) conflict(name string) error {
	return fmt.Errorf("putting %s in %s: %w", name, s, store.ErrConflict)
}

func (s *Store) putChunks(ctx context.Context, info *jetstream.ObjectInfo, r io.Reader) error {
	room := min(chunkSize, s.conn.MaxPayload()-4096)
	if room < minChunk {
		return fmt.Errorf("putting %s in %s: the server takes messages of %d bytes, which is too few: raise its max_payload", info.Name, s, s.conn.MaxPayload())
	}
	h, buf := sha256.New(), make([]byte, room)
	info.Opts.ChunkSize = uint32(len(buf))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return fmt.Errorf("putting %s in %s: %w", info.Name, s, err)
		}
		if n > 0 {
			h.Write(buf[:n])
			msg := nats.NewMsg(s.chunkSubject(info.NUID))
			msg.Data = buf[:n]
			number := strconv.Itoa(int(info.Chunks))
			msg.Header.Set(chunkHeader, number)
			ack, err := s.publish(ctx, msg, jetstream.WithMsgID(info.NUID+"."+number))
			if err != nil {
				return s.failed("putting", info.Name, err)
			}
			if info.Chunks == 0 {
				info.Metadata = map[string]string{firstKey: strconv.FormatUint(ack.Sequence, 10)}
			}
			info.Chunks++
			info.Size += uint64(n)
		}
		if last {
			info.Digest = "SHA-256=" + base64.URLEncoding.EncodeToString(h.Sum(nil))
			return nil
		}
	}
}

// putMeta makes the chunks the file, on condition that its last revision is the one given: that of what marks it as deleted, or 0,
// where there is no file.
func (s *Store) putMeta(ctx context.Context, info *jetstream.ObjectInfo, conditional bool, revision uint64) error {
	name := strings.TrimPrefix(info.Name, s.prefix)
	msg := nats.NewMsg(s.metaSubject(name))
	var err error
	if msg.Data, err = json.Marshal(info); err != nil {
		return err
	}
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	options := []jetstream.PublishOpt{jetstream.WithMsgID(info.NUID)}
	if conditional {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(revision))
	}
	_, err = s.publish(ctx, msg, options...)
	var answered *jetstream.APIError
	if errors.As(err, &answered) && answered.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return s.conflict(name)
	}
	return s.failed("putting", name, err)
}

// publish sends a message until the server has it. Its id lets the server drop what it has already.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	err = s.again(ctx, func(ctx context.Context) error {
		ack, err = s.js.PublishMsg(ctx, msg, options...)
		return err
	})
	return ack, err
}

// again makes a request until there is an answer.
func (s *Store) again(ctx context.Context, request func(context.Context) error) error {
	return retry.Do(ctx, s.temporary(ctx), func() error {
		limited, cancel := context.WithTimeout(ctx, answer)
		defer cancel()
		return request(limited)
	})
}

func (s *Store) temporary(ctx context.Context) func(error) bool {
	return func(err error) bool {
		if ctx.Err() != nil || errors.Is(s.conn.LastError(), nats.ErrPermissionViolation) || s.conn.IsClosed() {
			return false
		}
		var answered *jetstream.APIError
		if errors.As(err, &answered) {
			return answered.Code >= 500 // no leader, for example
		}
		return true
	}
}

// Delete removes a file, and all that the server knows of it.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	was, err := s.meta(ctx, name)
	if err != nil || was.revision == 0 {
		return s.failed("deleting", name, err)
	}
	subjects := []string{s.metaSubject(name)}
	if was.NUID != "" {
		subjects = append(subjects, s.chunkSubject(was.NUID))
	}
	for _, subject := range subjects {
		err := s.again(ctx, func(ctx context.Context) error { return s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)) })
		if err != nil {
			return s.failed("deleting", name, err)
		}
	}
	return nil
}

func sortEntries(list []store.Entry) {
	slices.SortFunc(list, func(a, b store.Entry) int { return strings.Compare(a.Name, b.Name) })
}
