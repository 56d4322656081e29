package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores"
)

func serveCommand() *cobra.Command {
	var folder, listen string
	var asJSON bool
	c := &cobra.Command{
		Use: "serve", Short: "Serve the repository over HTTP, on loopback unless told", Args: noArgs,
		Long: "Serve the repository over HTTP, on loopback unless told. All files of its folder are served, but no\n" +
			"private keys: those are answered as missing, whatever their names.",
		Example: "  update-repo serve --repo /srv/repo\n" +
			"  update-repo serve --repo /srv/repo --listen :8080",
		RunE: func(c *cobra.Command, _ []string) error {
			path, ok := folderOf(folder)
			if !ok {
				return usageError{errors.New("serve is for a folder; other repositories have a server")}
			}
			if stores.IsArchive(folder) {
				return misuse("update-repo mirror "+folder+" FOLDER makes one of it", "serve is for a folder, %s names an archive", folder)
			}
			if err := checkThere(folder); err != nil {
				return err
			}
			if _, _, err := net.SplitHostPort(listen); err != nil {
				return usageError{fmt.Errorf("--listen %s is no ADDRESS:PORT, as in 127.0.0.1:8080", listen)}
			}
			if !hasRelease(path) {
				fmt.Fprintf(c.ErrOrStderr(), "warning: there is no release in %s\n", path)
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return advisedError{err, "name a free address of this machine with --listen; port 0 picks a free port"}
			}
			url := "http://" + l.Addr().String()
			if asJSON {
				err = printJSON(c.OutOrStdout(), map[string]any{"url": url})
			} else {
				_, err = fmt.Fprintln(c.OutOrStdout(), url)
			}
			if err != nil {
				l.Close()
				return err
			}
			return serve(c.Context(), l, handler(store.NewDir(path), c.ErrOrStderr()))
		},
	}
	repoFlag(c, &folder)
	c.Flags().Lookup("repo").Usage = "folder of the repository"
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address and port; port 0 picks a free one")
	return c
}

// grace is how long requests under way may take after the word to stop.
const grace = 10 * time.Second

// serve answers requests until ctx ends, and finishes those under way.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return server.Shutdown(ctx)
}

// headSize is how much of a file is looked at before it is served, in bytes.
const headSize = 4 << 10

// isPrivateKey tells by the head of a file whether it is a private key: a PEM block, encrypted or not, as all but keygen
// write it, or the seed that keygen writes. No file of a repository looks like either.
func isPrivateKey(head []byte) bool {
	return pemPrivateKey.Match(head) || keygenSeed.Match(head)
}

var (
	pemPrivateKey = regexp.MustCompile(`(?m)^-----BEGIN [A-Z0-9 -]*PRIVATE KEY-----`)
	keygenSeed    = regexp.MustCompile(`^\s*[0-9A-Fa-f]{64}\s*$`)
)

// handler serves files only: no listings, nothing outside the folder, and no private keys: the folder that was named may be the one
// above the repository.
func handler(dir *store.Dir, warnings io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		object, err := dir.Open(r.Context(), name, store.Request{})
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrInvalidName) {
			http.NotFound(w, r)
			return
		}
		if err != nil {
			fmt.Fprintf(warnings, "warning: %v\n", err)
			http.Error(w, "the file cannot be read", http.StatusInternalServerError)
			return
		}
		defer object.Body.Close()
		content, ok := object.Body.(io.ReadSeeker)
		if !ok {
			http.Error(w, errors.ErrUnsupported.Error(), http.StatusInternalServerError)
			return
		}
		head := make([]byte, headSize)
		n, err := io.ReadFull(content, head)
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			_, err = content.Seek(0, io.SeekStart)
		}
		if err != nil {
			fmt.Fprintf(warnings, "warning: %v\n", err)
			http.Error(w, "the file cannot be read", http.StatusInternalServerError)
			return
		}
		if isPrivateKey(head[:n]) {
			fmt.Fprintf(warnings, "warning: %s is a private key, and not served: keep it elsewhere\n", name)
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"`+object.Version+`"`)
		contentType, cacheControl := store.HeadersFor(name)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", cacheControl)
		http.ServeContent(w, r, "", time.Time{}, content)
	})
}
