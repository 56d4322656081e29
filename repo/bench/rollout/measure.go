package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

// cost is what one host causes at the server.
type cost struct{ requests, bytes int } // bytes in both directions, headers included

// costs are those of what a host does.
type costs struct {
	quiet  cost // a check that finds nothing new
	news   cost // one that finds a new document, which changes nothing
	update cost // one that leads to the next version
	back   cost // one that leads back by a recall
}

func (c costs) print() {
	fmt.Printf("measured, over loopback, all headers counted:\n\n| | requests | bytes |\n|---|---|---|\n")
	for _, row := range []struct {
		what string
		cost
	}{{"a check that finds nothing new", c.quiet}, {"one that finds a changed channel", c.news}, {"one that updates, by a delta", c.update}, {"one that goes back to its backup, by a recall", c.back}} {
		fmt.Printf("| %s | %d | %d |\n", row.what, row.requests, row.bytes)
	}
}

// meter serves a folder and counts.
type meter struct {
	net.Listener
	requests, bytes atomic.Int64
}

func (m *meter) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	return &meteredConn{c, m}, err
}

type meteredConn struct {
	net.Conn
	m *meter
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

func (c *meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

// publisher is a signed repository of two versions of a small program, served.
type publisher struct {
	dir  string
	repo *repo.Repo
	root []byte
	url  string
	m    *meter
}

func measure(ctx context.Context) (c costs, err error) {
	dir, err := os.MkdirTemp("", "rollout")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	p := &publisher{dir: dir}
	if err := p.publish(ctx); err != nil {
		return c, err
	}
	served, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return c, err
	}
	p.m = &meter{Listener: served}
	p.url = "http://" + served.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.m.requests.Add(1)
		http.FileServer(http.Dir(filepath.Join(dir, "repo"))).ServeHTTP(w, r)
	})}
	go server.Serve(p.m)
	defer server.Close()
	return p.follow(ctx)
}

// publish builds and adds both versions, and offers the first.
func (p *publisher) publish(ctx context.Context) error {
	p.repo = repo.Open(store.NewDir(filepath.Join(p.dir, "repo")))
	key, err := repo.NewKey(repo.Ed25519)
	if err != nil {
		return err
	}
	p.repo.SignWith(key)
	keys := []*repo.PublicKey{key.Public()}
	p.root, err = p.repo.Sign(ctx, repo.Init{Product: "tool", Keys: map[string][]*repo.PublicKey{
		"root": keys, "targets": keys, "snapshot": keys, "timestamp": keys,
	}})
	if err != nil {
		return err
	}
	for _, v := range []string{good, bad} {
		path := filepath.Join(p.dir, "tool-"+v)
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+v, "-o", path, "./examples/quickstart/program")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building the program, which has to be done in the repository's root: %w\n%s", err, out)
		}
		a := repo.Addition{Path: path, Name: "tool", Version: v, OS: "linux", Arch: "amd64", Deltas: repo.Deltas{Last: 1}}
		if _, err := p.repo.Add(ctx, a); err != nil {
			return err
		}
	}
	none := 0
	return p.change(ctx, repo.Promotion{Version: good}, repo.Promotion{Version: bad, Rollout: &none})
}

func (p *publisher) change(ctx context.Context, by ...repo.ChannelChange) error {
	for _, change := range by {
		if _, err := p.repo.ChangeChannel(ctx, "stable", change); err != nil {
			return err
		}
	}
	return nil
}

// follow has one host see it all.
func (p *publisher) follow(ctx context.Context) (c costs, err error) {
	target := filepath.Join(p.dir, "installed")
	data, err := os.ReadFile(filepath.Join(p.dir, "tool-"+good))
	if err != nil {
		return c, err
	}
	if err := os.WriteFile(target, data, 0o755); err != nil {
		return c, err
	}
	current := good
	apply := func(want string, applied bool) (cost, error) {
		requests, bytes := p.m.requests.Load(), p.m.bytes.Load()
		result, err := updater.ApplyContext(ctx,
			updater.SourceRepo(p.url), updater.TargetFile(target), updater.Channel("stable"), updater.CurrentVersion(current),
			updater.TrustRoot(p.root), updater.MachineID("one"), updater.AllowContainer(), updater.OS("linux"), updater.Arch("amd64"))
		if err == nil && (result.Applied != applied || applied && result.To != want) {
			err = fmt.Errorf("applied %t to %s: %s", result.Applied, result.To, result.Why)
		}
		if err == nil && applied {
			current = want
		}
		return cost{int(p.m.requests.Load() - requests), int(p.m.bytes.Load() - bytes)}, err
	}
	one := 1
	steps := []struct {
		by   repo.ChannelChange
		want string
		to   *cost
	}{
		{nil, "", new(cost)}, // the first check of all
		{nil, "", &c.quiet},
		{repo.Promotion{Version: bad, Rollout: &one}, "", &c.news},
		{repo.Promotion{Version: bad, Rollout: everyone()}, bad, &c.update},
		{repo.Recall{Version: bad, To: good}, good, &c.back},
	}
	for _, s := range steps {
		if s.by != nil {
			if err := p.change(ctx, s.by); err != nil {
				return c, err
			}
		}
		if *s.to, err = apply(s.want, s.want != ""); err != nil {
			return c, err
		}
	}
	return c, nil
}

func everyone() *int {
	n := 100_00
	return &n
}
