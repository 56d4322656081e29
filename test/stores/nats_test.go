package stores

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/store/storetest"
	natsstore "github.com/choria-io/go-updater/stores/nats"
)

func natsServer(t *testing.T, o server.Options) string {
	t.Helper()
	o.Host, o.Port, o.JetStream, o.StoreDir, o.NoSigs, o.NoLog = "127.0.0.1", -1, true, t.TempDir(), true, true
	s, err := server.NewServer(&o)
	must(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s.ClientURL()
}

func bucket(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	must(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	must(t, err)
	_, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "bucket", Storage: jetstream.FileStorage})
	must(t, err)
	return conn
}

func natsService(t *testing.T) *service {
	url := natsServer(t, server.Options{})
	bucket(t, url)
	return &service{name: "nats", url: url, many: 2_100, kills: 8, races: 5, location: func(endpoint string, n int64) string {
		return fmt.Sprintf("%s/bucket/repo%d", endpoint, n)
	}}
}

func TestNATS(t *testing.T) {
	s := natsService(t)
	s.conform(t)
	s.endToEnd(t)
}

// Lines that break lose nothing and write nothing twice.
func TestNATSCuts(t *testing.T) {
	s := natsService(t)
	l := newLine(t, strings.TrimPrefix(s.url, "nats://"))
	st := openStore(t, s.fresh()("nats://"+l.address))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for range 4 {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				l.cut()
			}
		}
	}()
	big := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	for i := range 4 {
		must(t, st.Put(ctx, fmt.Sprintf("f%d", i), bytes.NewReader(big)))
	}
	close(stop)
	wg.Wait()
	for i := range 4 {
		f := store.Fetcher{Readers: []store.Reader{st}}
		got, err := f.ReadFile(ctx, fmt.Sprintf("f%d", i), 64<<20, nil)
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("f%d has %d bytes, %v", i, len(got), err)
		}
	}
	if l.cuts == 0 {
		t.Error("nothing was cut")
	}
}

// line is a TCP connection that can be cut.
type line struct {
	address string
	mu      sync.Mutex
	open    []net.Conn
	cuts    int
}

func newLine(t *testing.T, to string) *line {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &line{address: listener.Addr().String()}
	t.Cleanup(func() { listener.Close(); l.cut() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, near, far)
			l.mu.Unlock()
			go func() { io.Copy(far, near); far.Close() }()
			go func() { io.Copy(near, far); near.Close() }()
		}
	}()
	return l
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts += len(l.open)
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

// A program that has a connection hands it in, and keeps it.
func TestNATSOwnConnection(t *testing.T) {
	conn := bucket(t, natsServer(t, server.Options{}))
	s, err := natsstore.New(ctx, conn, "bucket", "")
	must(t, err)
	must(t, s.Put(ctx, "f", strings.NewReader("x")))
	must(t, s.Close())
	if conn.IsClosed() {
		t.Error("the program's connection was closed")
	}
	// The nats command and every other client can read it, and is read.
	js, err := jetstream.New(conn)
	must(t, err)
	objects, err := js.ObjectStore(ctx, "bucket")
	must(t, err)
	if data, err := objects.GetBytes(ctx, "f"); err != nil || string(data) != "x" {
		t.Errorf("others read %q, %v", data, err)
	}
	big := bytes.Repeat([]byte("y"), 1<<20)
	_, err = objects.PutBytes(ctx, "f", big)
	must(t, err)
	f := store.Fetcher{Readers: []store.Reader{s}}
	if data, err := f.ReadFile(ctx, "f", 2<<20, nil); err != nil || !bytes.Equal(data, big) {
		t.Errorf("what another client wrote: %d bytes, %v", len(data), err)
	}
	must(t, objects.Delete(ctx, "f"))
	must(t, s.PutIf(ctx, "f", strings.NewReader("z"), ""))
}

func TestNATSWatch(t *testing.T) {
	s := natsService(t)
	st := openStore(t, s.fresh()(s.url))
	storetest.Watches(t, st)
}

// Who may do what, and what they are told.
func TestNATSCredentials(t *testing.T) {
	readOnly := &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"$JS.API.STREAM.INFO.OBJ_bucket", "$JS.API.STREAM.MSG.GET.OBJ_bucket", "$JS.API.DIRECT.GET.OBJ_bucket", "$JS.API.DIRECT.GET.OBJ_bucket.>",
			"$JS.API.CONSUMER.CREATE.OBJ_bucket.>", "$JS.API.CONSUMER.MSG.NEXT.OBJ_bucket.>", "$JS.API.CONSUMER.DELETE.OBJ_bucket.>", "$JS.API.CONSUMER.INFO.OBJ_bucket.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	url := natsServer(t, server.Options{Users: []*server.User{{Username: "all", Password: "p"}, {Username: "reader", Password: "p", Permissions: readOnly}}})
	bucket(t, url, nats.UserInfo("all", "p"))
	location := url + "/bucket"
	as := func(user, password string) { t.Setenv("NATS_USER", user); t.Setenv("NATS_PASSWORD", password) }
	as("all", "p")
	big := bytes.Repeat([]byte("x"), 1<<20)
	must(t, openStore(t, location).Put(ctx, "f", bytes.NewReader(big)))
	as("reader", "p")
	reader := openStore(t, location)
	f := store.Fetcher{Readers: []store.Reader{reader}}
	if data, err := f.ReadFile(ctx, "f", 2<<20, nil); err != nil || len(data) != 1<<20 {
		t.Errorf("a reader reads %d bytes, %v", len(data), err)
	}
	if err := reader.Put(ctx, "g", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "docs/STORES.md") {
		t.Errorf("a reader writes: %v", err)
	}
	as("reader", "wrong")
	if _, err := openAny(location); err == nil || !strings.Contains(err.Error(), "NATS_CREDS") {
		t.Errorf("a wrong password: %v", err)
	}
	as("all", "p")
	if _, err := openAny(url + "/none"); err == nil || !strings.Contains(err.Error(), "nats object add none") {
		t.Errorf("no such bucket: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := openStore(t, location).Put(canceled, "g", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// A file of credentials that a server takes until they expire, and not after.
func TestNATSExpiry(t *testing.T) {
	operator, account, user := newKey(t, nkeys.CreateOperator), newKey(t, nkeys.CreateAccount), newKey(t, nkeys.CreateUser)
	claims := jwt.NewAccountClaims(public(t, account))
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1}
	signed, err := claims.Encode(operator)
	must(t, err)
	system := jwt.NewAccountClaims(public(t, newKey(t, nkeys.CreateAccount)))
	signedSystem, err := system.Encode(operator)
	must(t, err)
	resolver := &server.MemAccResolver{}
	must(t, resolver.Store(claims.Subject, signed))
	must(t, resolver.Store(system.Subject, signedSystem))
	url := natsServer(t, server.Options{TrustedKeys: []string{public(t, operator)}, AccountResolver: resolver, SystemAccount: system.Subject})
	credentials := func(expires time.Time) {
		claims := jwt.NewUserClaims(public(t, user))
		claims.Expires = expires.Unix()
		token, err := claims.Encode(account)
		must(t, err)
		seed, err := user.Seed()
		must(t, err)
		file, err := jwt.FormatUserConfig(token, seed)
		must(t, err)
		path := filepath.Join(t.TempDir(), "creds")
		must(t, os.WriteFile(path, file, 0o600))
		t.Setenv("NATS_CREDS", path)
	}
	credentials(time.Now().Add(time.Hour))
	bucket(t, url, nats.UserCredentials(os.Getenv("NATS_CREDS")))
	must(t, openStore(t, url+"/bucket").Put(ctx, "f", strings.NewReader("x")))
	credentials(time.Now().Add(-time.Hour))
	if _, err := openAny(url + "/bucket"); err == nil || !strings.Contains(err.Error(), "NATS_CREDS") || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired credentials: %v", err)
	}
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	must(t, err)
	return pair
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	must(t, err)
	return key
}
