package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
)

const content = "0123456789"

// served makes a folder to be served that holds the file a/b.
func served(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "a", "b"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func request(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// The real process: its address, ranges, validators, refusals, and its end by SIGTERM.
func TestServeProcess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	folder := served(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main runs the command that argument zero names.
	cmd := &exec.Cmd{Path: self, Args: []string{"update-repo", "serve", "--repo", folder, "--listen", "127.0.0.1:0"}, Stderr: os.Stderr}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	url, err := bufio.NewReader(out).ReadString('\n')
	if url = strings.TrimSpace(url); err != nil || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("address %q, %v", url, err)
	}

	first, body := request(t, "GET", url+"/a/b")
	etag := first.Header.Get("ETag")
	if first.StatusCode != 200 || body != content || !strings.HasPrefix(etag, `"`) {
		t.Errorf("GET: %s, %q, ETag %q", first.Status, body, etag)
	}
	for name, c := range map[string]struct {
		method, path string
		header       []string
		status       int
		body         string
	}{
		"range":              {"GET", "/a/b", []string{"Range", "bytes=4-", "If-Range", etag}, 206, content[4:]},
		"range of another":   {"GET", "/a/b", []string{"Range", "bytes=4-", "If-Range", `"other"`}, 200, content},
		"range past the end": {"GET", "/a/b", []string{"Range", "bytes=20-"}, 416, ""},
		"not modified":       {"GET", "/a/b", []string{"If-None-Match", etag}, 304, ""},
		"head":               {"HEAD", "/a/b", nil, 200, ""},
		"post":               {"POST", "/a/b", nil, 405, "only GET and HEAD\n"},
		"put":                {"PUT", "/a/c", nil, 405, "only GET and HEAD\n"},
		"missing":            {"GET", "/a/c", nil, 404, "404 page not found\n"},
		"folder":             {"GET", "/a", nil, 404, "404 page not found\n"},
		"parent":             {"GET", "/%2e%2e/x", nil, 404, "404 page not found\n"},
	} {
		response, body := request(t, c.method, url+c.path, c.header...)
		if response.StatusCode != c.status || c.status != 416 && body != c.body {
			t.Errorf("%s: %s, %q", name, response.Status, body)
		}
		if c.status == 405 && response.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: allowed are %q", name, response.Header.Get("Allow"))
		}
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// A folder above the repository holds the keys, too: they are answered as missing, in whole and in part.
func TestServeNoPrivateKeys(t *testing.T) {
	folder := served(t)
	var out bytes.Buffer
	keys := filepath.Join(folder, "keys")
	for _, args := range [][]string{
		{"key", "new", "locked", "--keys", keys, "--passphrase-file", filepath.Join(folder, "a", "b")},
		{"key", "new", "ecdsa", "--keys", keys, "--no-passphrase", "--kind", "ecdsa"},
		{"key", "new", "unlocked", "--keys", keys, "--no-passphrase"},
		{"keygen", "--out", filepath.Join(keys, "1.zst")},
	} {
		if code := run(context.Background(), args, &out, &out); code != 0 {
			t.Fatalf("%v: %s", args, &out)
		}
	}
	tls := "a key of a web server:\n-----BEGIN EC PRIVATE KEY-----\n"
	if err := os.WriteFile(filepath.Join(keys, "tls.pem"), []byte(tls), 0o600); err != nil {
		t.Fatal(err)
	}
	var warnings bytes.Buffer
	server := httptest.NewServer(handler(store.NewDir(folder), &warnings))
	defer server.Close()
	for _, name := range []string{"locked.key", "ecdsa.key", "unlocked.key", "1.zst", "tls.pem"} {
		for _, header := range [][]string{nil, {"Range", "bytes=40-"}} {
			response, body := request(t, "GET", server.URL+"/keys/"+name, header...)
			if response.StatusCode != 404 || body != "404 page not found\n" || response.Header.Get("Cache-Control") != "" {
				t.Errorf("%s, %v: %s, %q", name, header, response.Status, body)
			}
		}
		if want := "warning: keys/" + name + " is a private key"; !strings.Contains(warnings.String(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if response, _ := request(t, "GET", server.URL+"/keys/unlocked.pub"); response.StatusCode != 200 {
		t.Errorf("the public half: %s", response.Status)
	}
}

func TestServeJSON(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"serve", "--repo", served(t), "--listen", "127.0.0.1:0", "--json"}, &out, &errs)
	var v struct{ URL string }
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || code != 0 || !strings.HasPrefix(v.URL, "http://127.0.0.1:") {
		t.Errorf("exit code %d, %q, %q, %v", code, &out, &errs, err)
	}
}

// A request under way when the server is told to stop is answered whole.
func TestServeStopsGracefully(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	files := handler(store.NewDir(served(t)), io.Discard)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		time.Sleep(300 * time.Millisecond)
		files.ServeHTTP(w, r)
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, slow) }()
	go func() { <-begun; stop() }()
	if response, body := request(t, "GET", "http://"+l.Addr().String()+"/a/b"); response.StatusCode != 200 || body != content {
		t.Errorf("%s, %q", response.Status, body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBar(t *testing.T) {
	if got := line("x", 50, 100, time.Second); got != "x [===============               ]  50%     0.0 MB/s" {
		t.Errorf("%q", got)
	}
	if got := line("x", 3e6, 2e6, time.Second); !strings.Contains(got, "100%     2.0 MB/s") {
		t.Errorf("%q", got)
	}
	if newBar(io.Discard) != nil {
		t.Error("a bar is drawn where there is no terminal")
	}
}
