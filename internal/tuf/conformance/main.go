// Command conformance speaks the client protocol of the official TUF
// conformance suite (github.com/theupdateframework/tuf-conformance), so that the suite can be run
// against package tuf:
//
//	conformance --metadata-dir DIR init TRUSTED_ROOT
//	conformance --metadata-dir DIR --metadata-url URL refresh
//	conformance --metadata-dir DIR --metadata-url URL --target-name PATH... \
//		--target-base-url URL --target-dir DIR download
//
// It exits with 0, or with 1 and the reason on standard error. Trusted metadata lies in the metadata folder
// without version numbers; a target lies in the target folder under its
// percent-encoded path. FAKETIME, as the command faketime sets it, moves the clock.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/choria-io/go-updater/internal/tuf"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type names []string

func (n *names) String() string     { return strings.Join(*n, " ") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func run(args []string) error {
	var e env
	var targets names
	var targetURL, targetDir string
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.StringVar(&e.dir, "metadata-dir", "", "folder of trusted metadata")
	flags.StringVar(&e.url, "metadata-url", "", "where the repository's metadata is")
	flags.Var(&targets, "target-name", "path of a target; may be repeated")
	flags.StringVar(&targetURL, "target-base-url", "", "where the repository's targets are")
	flags.StringVar(&targetDir, "target-dir", "", "folder for targets")
	if err := flags.Parse(args); err != nil {
		return err
	}
	now, err := clock(os.Getenv("FAKETIME"), time.Now())
	if err != nil {
		return err
	}
	e.now = now
	switch command := flags.Arg(0); {
	case e.dir == "":
		return errors.New("--metadata-dir is missing")
	case command == "init" && flags.NArg() == 2:
		return initialize(e, flags.Arg(1))
	case command == "refresh" && flags.NArg() == 1:
		_, err := refresh(e)
		return err
	case command == "download" && flags.NArg() == 1:
		client, err := refresh(e)
		for i := 0; err == nil && i < len(targets); i++ {
			err = download(client, targets[i], targetURL, targetDir)
		}
		return err
	}
	return fmt.Errorf("init TRUSTED_ROOT, refresh or download is needed, not %q", flags.Args())
}

func initialize(e env, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := tuf.New(e, data); err != nil {
		return err
	}
	return e.Store("root.json", data)
}

// refresh trusts the root that is stored: there is none compiled in here.
func refresh(e env) (*tuf.Client, error) {
	root, err := e.Load("root.json")
	if err != nil {
		return nil, err
	}
	client, err := tuf.New(e, root)
	if err != nil {
		return nil, err
	}
	return client, client.Refresh()
}

// download fetches a target unless it is there already.
func download(client *tuf.Client, name, base, dir string) error {
	target, err := client.Target(name)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, url.PathEscape(name))
	if have, err := os.ReadFile(file); err == nil && target.Verify(have) == nil {
		return nil
	}
	where := name
	if client.ConsistentSnapshot() {
		digest := target.SHA256
		if digest == "" {
			digest = target.SHA512
		}
		where = path.Join(path.Dir(name), digest+"."+path.Base(name))
	}
	elements := strings.Split(where, "/")
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	data, err := get(base, strings.Join(elements, "/"), target.Length)
	if err != nil {
		return err
	}
	if err := target.Verify(data); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// env is the suite's web server and a folder.
type env struct {
	dir, url string
	now      time.Time
}

func (e env) Fetch(name string, limit int64) ([]byte, error) { return get(e.url, name, limit) }
func (e env) Now() time.Time                                 { return e.now }
func (e env) Warn(err error)                                 { fmt.Fprintln(os.Stderr, "warning:", err) }

func (e env) Load(name string) ([]byte, error) { return os.ReadFile(filepath.Join(e.dir, name)) }

func (e env) Store(name string, data []byte) error {
	file := filepath.Join(e.dir, name)
	if err := os.WriteFile(file+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// get fetches a file; name is escaped already.
func get(base, name string, limit int64) ([]byte, error) {
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Get(strings.TrimSuffix(base, "/") + "/" + name)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", name, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return data, err
}
