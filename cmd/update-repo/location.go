package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores"
	"github.com/choria-io/go-updater/stores/tarfile"
)

// openReader opens the repository at a location for reading.
func openReader(ctx context.Context, location string) (store.Reader, error) {
	r, err := stores.Open(ctx, location, stores.Options{})
	if err != nil {
		return nil, err
	}
	if stores.IsArchive(location) {
		return r, nil
	}
	return r, checkThere(location)
}

// openReadable is openReader for what asks a Store; a web server then refuses to list.
func openReadable(ctx context.Context, location string) (store.Store, error) {
	r, err := openReader(ctx, location)
	if err != nil {
		return nil, err
	}
	return listable(r), nil
}

// listable is a reader as a Store.
func listable(r store.Reader) store.Store {
	if s, ok := r.(store.Store); ok {
		return s
	}
	return readOnly{r}
}

// folderOf is the folder that a location names, if it names one.
func folderOf(location string) (string, bool) {
	r, err := store.New(location, store.HTTPOptions{})
	if err != nil {
		return "", false
	}
	d, ok := r.(*store.Dir)
	if !ok {
		return "", false
	}
	return d.String(), true
}

// checkThere wants a folder to be there: a mistyped path is no empty repository. What is elsewhere is told by its first read.
func checkThere(location string) error {
	folder, ok := folderOf(location)
	if !ok {
		return nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("opening the repository: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("opening the repository: %s is no folder", folder)
	}
	return nil
}

// hasRelease tells whether a folder is that of a repository with a release.
func hasRelease(folder string) bool {
	found, err := fs.Glob(os.DirFS(folder), "*/*/*/release.json")
	return err == nil && len(found) > 0
}

// checkNotServed refuses a path for a private key that is in the folder of a repository, or below the metadata of a signed one: a web
// server would hand it out.
func checkNotServed(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	parent := filepath.Dir(path)
	found := hasRelease(parent)
	for folder := parent; !found; folder = filepath.Dir(folder) {
		if _, err := os.Lstat(filepath.Join(folder, "metadata", "timestamp.json")); err == nil {
			found, parent = true, folder
		}
		if folder == filepath.Dir(folder) {
			break
		}
	}
	if found {
		return usageError{fmt.Errorf("%s would lie inside the repository %s, which is served; keys are kept elsewhere", path, parent)}
	}
	return nil
}

// readOnly is a store that can be read but not written, and, archives aside, not listed.
type readOnly struct{ store.Reader }

func (r readOnly) refuse(what string) error {
	return fmt.Errorf("%s %s: %w", what, r, stores.ErrReadOnly)
}

func (r readOnly) Put(context.Context, string, io.Reader) error { return r.refuse("writing to") }
func (r readOnly) Delete(context.Context, string) error         { return r.refuse("deleting from") }
func (r readOnly) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if l, ok := r.Reader.(*tarfile.Reader); ok {
		return l.List(ctx, prefix)
	}
	return nil, fmt.Errorf("a web server does not say which files it has: %w", r.refuse("listing"))
}

// source has the client read from a location, which has to be there unless mirrors may stand in for it.
func source(ctx context.Context, location string, mirrors ...string) (updater.Option, error) {
	if _, err := store.New(location, store.HTTPOptions{}); (err == nil || location == "") && !stores.IsArchive(location) {
		if len(mirrors) > 0 {
			return updater.SourceRepo(location), nil
		}
		return updater.SourceRepo(location), checkThere(location)
	}
	r, err := stores.Open(ctx, location, stores.Options{})
	if err != nil {
		return nil, err
	}
	return updater.Repository(r), nil
}

// checkOrder finds a repository in the place of the target, which comes last.
func checkOrder(target string) error {
	if target == "" {
		return usageError{errors.New("the target is empty")}
	}
	info, err := os.Stat(target)
	if !strings.Contains(target, "://") && (err != nil || !info.IsDir()) {
		return nil
	}
	return misuse("the repository comes first, then the target, which is a file on this machine", "%s is no target", target)
}

// argumentHint says what an argument that names nothing was meant to be, perhaps.
func argumentHint(args []string, err error) string {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, updater.ErrTargetMissing) {
		return ""
	}
	for _, arg := range args {
		if _, serr := os.Lstat(arg); serr == nil {
			continue
		}
		host, _, _ := strings.Cut(arg, "/")
		if _, port, serr := net.SplitHostPort(host); serr == nil && port != "" && strings.Trim(port, "0123456789") == "" {
			return "did you mean http://" + arg + "?"
		}
		if found, serr := exec.LookPath(arg); serr == nil && errors.Is(err, updater.ErrTargetMissing) {
			return "a target is a path, PATH is not searched: did you mean " + found + "?"
		}
	}
	return ""
}
