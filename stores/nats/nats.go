// Package nats keeps a repository in an object store of NATS JetStream.
//
// What is written is an object as nats.go and the nats command write it, and can be read with them. What they lack is done
// here: a write that depends on the revision that is there, reading from an offset, and being told when a file changes.
package nats

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/choria-io/go-updater/store"
)

// Store is a repository in an object store.
type Store struct {
	conn           *nats.Conn
	js             jetstream.JetStream
	stream         jetstream.Stream
	bucket, prefix string
	host           string // in messages
	own            bool   // the connection was made here
}

// New opens a bucket over a connection that the program has; files lie below prefix, which may be empty. The bucket has to
// exist: `nats object add BUCKET --replicas 3` makes one.
func New(ctx context.Context, conn *nats.Conn, bucket, prefix string) (*Store, error) {
	s := &Store{conn: conn, bucket: bucket, host: conn.ConnectedAddr()}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		if err := store.CheckName(prefix); err != nil {
			return nil, err
		}
		s.prefix = prefix + "/"
	}
	if bucket == "" || strings.ContainsAny(bucket, ".*> \t") {
		return nil, fmt.Errorf("%q is no name of a NATS bucket; the location is nats://HOST/BUCKET/PREFIX", bucket)
	}
	var err error
	if s.js, err = jetstream.New(conn); err != nil {
		return nil, err
	}
	s.stream, err = s.js.Stream(ctx, "OBJ_"+bucket)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("opening %s: there is no object store of that name: make it with `nats object add %s --replicas 3`, or check account and domain", s, bucket)
	}
	if err != nil {
		return nil, s.failed("opening", "the bucket", err)
	}
	return s, nil
}

// FromURL connects to nats://HOST:PORT/BUCKET/PREFIX. Who we are is said by what the nats command knows too: NATS_CREDS (a file), NATS_NKEY
// (a file with a seed), NATS_USER and NATS_PASSWORD, NATS_TOKEN, NATS_CERT and NATS_KEY, NATS_CA. Close ends the connection.
func FromURL(ctx context.Context, location *url.URL) (*Store, error) {
	if location.User != nil {
		return nil, errors.New("a nats URL has no password in it: set NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD, or NATS_TOKEN")
	}
	if location.RawQuery != "" || location.Host == "" {
		return nil, errors.New("the location is not of the form nats://HOST:PORT/BUCKET/PREFIX")
	}
	options, err := identity()
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect("nats://"+location.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to nats://%s: %w", location.Host, explain(err))
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(location.Path, "/"), "/")
	s, err := New(ctx, conn, bucket, prefix)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.own, s.host = true, location.Host
	return s, nil
}

// identity collects what the environment says.
func identity() ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name("go-updater"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the default writes to standard error; LastError has it
	}
	if file := os.Getenv("NATS_CREDS"); file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("NATS_CREDS: %w", err)
		}
		options = append(options, nats.UserCredentials(file))
	}
	if file := os.Getenv("NATS_NKEY"); file != "" {
		key, err := nats.NkeyOptionFromSeed(file)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		options = append(options, key)
	}
	if user := os.Getenv("NATS_USER"); user != "" {
		options = append(options, nats.UserInfo(user, os.Getenv("NATS_PASSWORD")))
	}
	if token := os.Getenv("NATS_TOKEN"); token != "" {
		options = append(options, nats.Token(token))
	}
	if file := os.Getenv("NATS_CA"); file != "" {
		options = append(options, nats.RootCAs(file))
	}
	if cert := os.Getenv("NATS_CERT"); cert != "" {
		options = append(options, nats.ClientCert(cert, os.Getenv("NATS_KEY")))
	}
	return options, nil
}

// Close ends the connection, unless the program handed it in.
func (s *Store) Close() error {
	if s.own {
		s.conn.Close()
	}
	return nil
}

func (s *Store) String() string {
	return strings.TrimSuffix("nats://"+s.host+"/"+s.bucket+"/"+s.prefix, "/")
}

func (s *Store) metaSubject(name string) string {
	return "$O." + s.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(s.prefix+name))
}

func (s *Store) chunkSubject(nuid string) string { return "$O." + s.bucket + ".C." + nuid }

// meta is what JetStream knows about a file: an ObjectInfo, and the sequence of the message that it came in, which is the
// revision. Both are zero for a file that never was.
type meta struct {
	jetstream.ObjectInfo
	revision uint64
}

// there tells whether there is a file; the nats command marks what it deletes.
func (m meta) there() bool { return m.revision > 0 && !m.Deleted }

func (m meta) version() string { return fmt.Sprintf(`"%d"`, m.revision) }

func (s *Store) meta(ctx context.Context, name string) (meta, error) {
	msg, err := s.stream.GetLastMsgForSubject(ctx, s.metaSubject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return meta{}, nil
	}
	if err != nil {
		return meta{}, err
	}
	m := meta{revision: msg.Sequence}
	if err := json.Unmarshal(msg.Data, &m.ObjectInfo); err != nil {
		return meta{}, fmt.Errorf("what NATS has under its name is no object: %w", err)
	}
	return m, nil
}

// failed says what went wrong. Answers that do not come are what permissions look like, so the connection is asked what it was told last.
func (s *Store) failed(action, name string, err error) error {
	if err == nil {
		return nil
	}
	silent := errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoStreamResponse)
	last := s.conn.LastError()
	switch {
	case silent && errors.Is(last, nats.ErrPermissionViolation):
		err = explain(last)
	case silent, errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting):
		err = fmt.Errorf("%w: %w", store.ErrStalled, explain(err))
	default:
		err = explain(err)
	}
	return fmt.Errorf("%s %s in %s: %w", action, name, s, err)
}

// explain adds what to do.
func explain(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return fmt.Errorf("the server does not take the credentials: check NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD or NATS_TOKEN, and whether they have expired: %w", err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("the credentials do not allow it: docs/STORES.md lists the subjects that readers and publishers need: %w", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("the server or the account has no JetStream: %w", err)
	}
	return err
}
