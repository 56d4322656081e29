//go:build real

package stores

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/store/storetest"
)

// binary is where `make test-stores` has put the servers.
func binary(t *testing.T, name string) string {
	t.Helper()
	folder := os.Getenv("STORES_BIN")
	if folder == "" {
		t.Fatal("STORES_BIN is not set: run `make test-stores`")
	}
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// start runs a server until the test ends, and waits for it to answer.
func start(t *testing.T, port string, env []string, command string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	server := exec.Command(command, args...)
	server.Env, server.Stdout, server.Stderr, server.Dir = append(os.Environ(), env...), log, log, t.TempDir()
	must(t, server.Start())
	t.Cleanup(func() {
		server.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { server.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(2 * time.Second):
			server.Process.Kill()
			<-done
		}
		log.Close()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("%s does not start: %s", command, said)
		}
	}
}

func versitygw(t *testing.T) *service {
	port := freePort(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AK")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SKSKSKSK")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	start(t, port, []string{"ROOT_ACCESS_KEY=AK", "ROOT_SECRET_KEY=SKSKSKSK"}, binary(t, "versitygw"), "--port", "127.0.0.1:"+port, "posix", t.TempDir())
	client, err := minio.New("127.0.0.1:"+port, &minio.Options{Creds: credentials.NewStaticV4("AK", "SKSKSKSK", ""), Region: "us-east-1"})
	must(t, err)
	must(t, client.MakeBucket(ctx, "bucket", minio.MakeBucketOptions{}))
	return &service{name: "versitygw", url: "http://127.0.0.1:" + port, location: s3Location, many: 10_100, kills: 100, races: 50}
}

func fakeGCS(t *testing.T) *service { return fakeGCSIn(t, "-backend", "memory") }

// fakeGCSOnDisk looks for a file where it is. In memory the server goes through all of its files for each one that it is given.
func fakeGCSOnDisk(t *testing.T) *service {
	return fakeGCSIn(t, "-backend", "filesystem", "-filesystem-root", t.TempDir())
}

func fakeGCSIn(t *testing.T, backend ...string) *service {
	port := freePort(t)
	url := "http://127.0.0.1:" + port
	start(t, port, nil, binary(t, "fake-gcs-server"), append([]string{"-scheme", "http", "-host", "127.0.0.1", "-port", port, "-public-host", "127.0.0.1:" + port}, backend...)...)
	resp, err := http.Post(url+"/storage/v1/b", "application/json", strings.NewReader(`{"name":"bucket"}`))
	must(t, err)
	resp.Body.Close()
	// This server goes through all its files for each one that it is given: ten thousand take it ten minutes.
	return &service{name: "gcs", url: url, many: 2_100, kills: 100, races: 50, appends: true, location: func(endpoint string, n int64) string {
		return withQuery(fmt.Sprintf("gs://bucket/repo%d", n), "endpoint", endpoint)
	}}
}

// azuriteKey is the one that the emulator is known for.
const azuriteKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

func azurite(t *testing.T) *service {
	port := freePort(t)
	url := "http://127.0.0.1:" + port
	start(t, port, nil, "node", binary(t, "../npm/node_modules/azurite/dist/src/blob/main.js"), "--blobHost", "127.0.0.1", "--blobPort", port,
		"--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "devstoreaccount1")
	t.Setenv("AZURE_STORAGE_KEY", azuriteKey)
	cred, err := container.NewSharedKeyCredential("devstoreaccount1", azuriteKey)
	must(t, err)
	client, err := container.NewClientWithSharedKeyCredential(url+"/devstoreaccount1/bucket", cred, nil)
	must(t, err)
	_, err = client.Create(ctx, nil)
	must(t, err)
	return &service{name: "azure", url: url, many: 10_100, kills: 100, races: 50, location: func(endpoint string, n int64) string {
		return withQuery(fmt.Sprintf("azblob://bucket/repo%d", n), "endpoint", endpoint+"/devstoreaccount1")
	}}
}

func real(t *testing.T, s *service) {
	s.conform(t)
	s.endToEnd(t)
	t.Run("memory", s.memory)
}

func TestRealS3(t *testing.T) {
	s := versitygw(t)
	real(t, s)
	t.Run("killed children", s.killedChildren)
	t.Run("credentials", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
		refuses(t, s, "AWS_SECRET_ACCESS_KEY")
		t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
		refuses(t, s, "AWS_ACCESS_KEY_ID")
	})
	t.Run("no bucket", func(t *testing.T) {
		other := *s
		other.location = func(endpoint string, _ int64) string { return withQuery("s3://none", "endpoint", endpoint) }
		refuses(t, &other, "create none")
	})
}

func TestRealGCS(t *testing.T) { real(t, fakeGCS(t)) }

// What takes this server too long in memory.
func TestRealGCSOnDisk(t *testing.T) {
	s := fakeGCSOnDisk(t)
	t.Run("many", func(t *testing.T) { storetest.Many(t, openStore(t, s.fresh()(s.url)), 10_100) })
	t.Run("killed children", s.killedChildren)
}

// The server is in the process here too, which is why memory is not measured.
func TestRealNATS(t *testing.T) {
	s := natsService(t)
	s.many, s.kills, s.races = 10_100, 100, 50
	s.conform(t)
	s.endToEnd(t)
	t.Run("killed children", s.killedChildren)
}

func TestRealAzure(t *testing.T) {
	s := azurite(t)
	real(t, s)
	t.Run("killed children", s.killedChildren)
	t.Run("credentials", func(t *testing.T) {
		t.Setenv("AZURE_STORAGE_KEY", "d3Jvbmc=")
		refuses(t, s, "AZURE_STORAGE_KEY")
	})
	t.Run("read only", func(t *testing.T) { s.readOnlyAzure(t) })
	t.Run("no container", func(t *testing.T) {
		other := *s
		other.location = func(endpoint string, _ int64) string {
			return withQuery("azblob://none", "endpoint", endpoint+"/devstoreaccount1")
		}
		refuses(t, &other, "create none")
	})
}

// memory: a file of 200 MB goes through in constant memory.
func (s *service) memory(t *testing.T) {
	const size = 200 << 20
	st := openStore(t, s.fresh()(s.url))
	runtime.GC()
	runtime.GC() // the first leaves what is in pools, such as the coders of the publishers before
	peak, stop := peakHeap()
	must(t, st.Put(ctx, "f", &zeros{left: size}))
	object, err := st.Open(ctx, "f", store.Request{})
	must(t, err)
	n := int64(0)
	buf := make([]byte, 1<<16)
	for err == nil {
		var k int
		k, err = object.Body.Read(buf)
		n += int64(k)
	}
	object.Body.Close()
	stop()
	if n != size || *peak > 80<<20 {
		t.Errorf("%d bytes in up to %d MB of memory", n, *peak>>20)
	}
	t.Logf("up to %d MB of memory", *peak>>20)
}

type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

// peakHeap watches how much memory is in use.
func peakHeap() (peak *uint64, stop func()) {
	peak = new(uint64)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			*peak = max(*peak, m.HeapInuse)
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(done); <-ended }
}

// nginx is the plain web server that most repositories live on, and a cache in front of it.
func TestRealNginx(t *testing.T) {
	folder, files, port, cache := t.TempDir(), t.TempDir(), freePort(t), freePort(t)
	must(t, os.Chmod(files, 0o755))
	must(t, os.WriteFile(filepath.Join(folder, "nginx.conf"), fmt.Appendf(nil, `
daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 1; events {}
http {
	access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	proxy_cache_path %[1]s/cache keys_zone=c:1m;
	server { listen 127.0.0.1:%[2]s; root %[3]s; location ~ /(metadata/timestamp|release)\.json$ { add_header Cache-Control "public, max-age=1"; } }
	server { listen 127.0.0.1:%[4]s; location / { proxy_pass http://127.0.0.1:%[2]s; proxy_cache c; proxy_cache_valid 200 10m; proxy_cache_valid 404 1s; } }
}`, folder, port, files, cache), 0o600))
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	args := []string{"-c", filepath.Join(folder, "nginx.conf"), "-e", filepath.Join(folder, "error.log")}
	if os.Getuid() == 0 {
		args = append(args, "-g", "user root;")
	}
	start(t, port, nil, nginx, args...)
	key := signer(t, t.TempDir())
	dir := store.NewDir(files)
	root := initialize(t, dir, key)
	for i, through := range []string{port, cache, cache} {
		version := fmt.Sprintf("1.%d", i)
		_, err := publisher(dir, key).Add(ctx, addition(file(t, version), version))
		must(t, err)
		r, err := openAny("http://127.0.0.1:" + through)
		must(t, err)
		// A cache may be a second late, and then says that there is nothing.
		for end := time.Now().Add(5 * time.Second); !installs(t, r, root, version, version); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("version %s does not arrive", version)
			}
		}
	}
	must(t, dir.Put(ctx, "big", bytes.NewReader(bytes.Repeat([]byte("x"), 4<<20))))
	for _, through := range []string{port, cache} {
		r, err := openAny("http://127.0.0.1:" + through)
		must(t, err)
		object, err := r.Open(ctx, "big", store.Request{})
		must(t, err)
		object.Body.Close()
		rest, err := r.Open(context.Background(), "big", store.Request{Offset: 1 << 20, Version: object.Version})
		must(t, err)
		rest.Body.Close()
		if rest.Offset != 1<<20 {
			t.Errorf("a range starts at %d", rest.Offset)
		}
	}
}
