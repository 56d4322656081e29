// Command metadata publishes into a large signed repository, and measures with the client how many bytes of
// metadata one check takes. Call it with the numbers of releases and platforms: metadata 1000 10.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

var platforms = []string{
	"linux/amd64", "linux/arm64", "linux/arm", "linux/386", "linux/ppc64le", "linux/s390x",
	"darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64",
}

func main() {
	err := errors.New("usage: metadata RELEASES PLATFORMS")
	if len(os.Args) == 3 {
		releases, rerr := strconv.Atoi(os.Args[1])
		n, perr := strconv.Atoi(os.Args[2])
		if rerr == nil && perr == nil && releases > 0 && n > 0 && n <= len(platforms) {
			err = bench(context.Background(), releases, platforms[:n])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, releases int, platforms []string) error {
	work, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	binary := filepath.Join(work, "choria")
	// A program for linux/amd64 as far as its header goes.
	head := "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"
	if err := os.WriteFile(binary, []byte(head+strings.Repeat("x", 1000)), 0o755); err != nil {
		return err
	}
	mem := &store.Mem{}
	if err := fill(ctx, mem, binary, releases, platforms); err != nil {
		return err
	}
	r, root, took, err := sign(ctx, mem)
	if err != nil {
		return err
	}
	fmt.Printf("signing %d releases for %d platforms in place: %.1f s\n", releases, len(platforms), took.Seconds())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	server := &counting{Mem: mem}
	go http.Serve(listener, server)
	c := client{url: "http://" + listener.Addr().String(), root: root, target: filepath.Join(work, "target"), server: server}
	if err := os.WriteFile(c.target, []byte(head), 0o755); err != nil {
		return err
	}
	return c.measure(ctx, r, binary, platforms)
}

// fill writes releases as they are before they are signed: one is published, and copied.
func fill(ctx context.Context, mem *store.Mem, binary string, releases int, platforms []string) error {
	model := &store.Mem{}
	release, err := repo.Open(model).Add(ctx, addition(binary, "model", "linux/amd64"))
	if err != nil {
		return err
	}
	spec, err := json.MarshalIndent(release.Spec, "", "  ")
	if err != nil {
		return err
	}
	entries, err := model.List(ctx, "")
	if err != nil {
		return err
	}
	content := map[string][]byte{}
	for _, e := range entries {
		object, err := model.Open(ctx, e.Name, store.Request{})
		if err != nil {
			return err
		}
		if content[filepath.Base(e.Name)], err = io.ReadAll(object.Body); err != nil {
			return err
		}
	}
	content["release.json"] = append(spec, '\n')
	for i := range releases {
		for _, platform := range platforms {
			for name, data := range content {
				if err := mem.Put(ctx, fmt.Sprintf("%s/%s/%s", version(i), platform, name), bytes.NewReader(data)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func version(i int) string { return fmt.Sprintf("1.%d.%d", i/20, i%20) }

func addition(binary, version, platform string) repo.Addition {
	goos, arch, _ := strings.Cut(platform, "/")
	return repo.Addition{Path: binary, Name: "choria", Version: version, OS: goos, Arch: arch, Force: true}
}

func sign(ctx context.Context, mem *store.Mem) (*repo.Repo, []byte, time.Duration, error) {
	r := repo.Open(mem)
	init := repo.Init{Product: "choria", Keys: map[string][]*repo.PublicKey{}}
	for _, roles := range [][]string{{"root"}, {"targets", "snapshot"}, {"timestamp"}} {
		key, err := repo.NewKey(repo.Ed25519)
		if err != nil {
			return nil, nil, 0, err
		}
		r.SignWith(key)
		for _, role := range roles {
			init.Keys[role] = append(init.Keys[role], key.Public())
		}
	}
	begun := time.Now()
	root, err := r.Sign(ctx, init)
	return r, root, time.Since(begun), err
}

// counting serves a store and counts what is sent of its metadata.
type counting struct {
	*store.Mem
	bytes, files atomic.Int64
	each         bool // print each file
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	object, err := c.Open(r.Context(), name, store.Request{})
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer object.Body.Close()
	n, _ := io.Copy(w, object.Body)
	if strings.HasPrefix(name, "metadata/") {
		if c.each {
			fmt.Printf("  %s: %d bytes\n", name, n)
		}
		c.bytes.Add(n)
		c.files.Add(1)
	}
}

type client struct {
	url, target string
	root        []byte
	server      *counting
}

// check has the client look for a version, and returns how many bytes of metadata that took.
func (c *client) check(ctx context.Context, version string) (bytes, files int64, err error) {
	c.server.bytes.Store(0)
	c.server.files.Store(0)
	_, err = updater.Check(ctx, updater.SourceRepo(c.url), updater.TargetFile(c.target), updater.Version(version),
		updater.OS("linux"), updater.Arch("amd64"), updater.TrustRoot(c.root), updater.AllowContainer(), updater.AllowManaged())
	return c.server.bytes.Load(), c.server.files.Load(), err
}

const publishes = 30

func (c *client) measure(ctx context.Context, r *repo.Repo, binary string, platforms []string) error {
	c.server.each = true
	n, files, err := c.check(ctx, version(0))
	c.server.each = false
	if err != nil {
		return err
	}
	fmt.Printf("first check: %d bytes of metadata in %d files\n", n, files)
	if n, files, err = c.check(ctx, version(0)); err != nil {
		return err
	}
	fmt.Printf("nothing changed: %d bytes in %d files\n", n, files)
	var most, mostFiles, total int64
	begun := time.Duration(0)
	for i := range publishes {
		v := fmt.Sprintf("2.0.%d", i)
		var all []repo.Addition
		for _, platform := range platforms {
			all = append(all, addition(binary, v, platform))
		}
		start := time.Now()
		if _, err := r.AddAll(ctx, all); err != nil {
			return err
		}
		begun += time.Since(start)
		if n, files, err = c.check(ctx, v); err != nil {
			return err
		}
		if total += n; n > most {
			most, mostFiles = n, files
		}
	}
	fmt.Printf("after a publish: %d bytes at most (%d files), %d on average of %d\n", most, mostFiles, total/publishes, publishes)
	fmt.Printf("publishing a release for %d platforms: %d ms\n", len(platforms), begun.Milliseconds()/publishes)
	return nil
}
