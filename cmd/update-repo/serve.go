package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/store"
)

func serveCommand() *cobra.Command {
	var folder, listen string
	c := &cobra.Command{
		Use: "serve", Short: "Serve the repository over HTTP, on loopback unless told", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "http://%s\n", l.Addr())
			server := &http.Server{Handler: handler(store.NewDir(folder)), ReadHeaderTimeout: 10 * time.Second}
			done := make(chan error, 1)
			go func() { done <- server.Serve(l) }()
			select {
			case err := <-done:
				return err
			case <-c.Context().Done():
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return server.Shutdown(ctx)
		},
	}
	repoFlag(c, &folder)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address and port; port 0 picks a free one")
	return c
}

// handler serves files only: no listings, nothing outside the folder.
func handler(dir *store.Dir) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		object, err := dir.Open(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), store.Request{})
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer object.Body.Close()
		content, ok := object.Body.(io.ReadSeeker)
		if !ok {
			http.Error(w, errors.ErrUnsupported.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("ETag", `"`+object.Version+`"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, content)
	})
}
