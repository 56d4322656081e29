//go:build unix

// Command program is a service that follows a channel, and goes back by itself from a version that does not work.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	updater "github.com/choria-io/go-updater"
)

// version and broken are set when it is built.
var version, broken = "0.0.0", ""

// trustRoot is what `update-repo init` wrote. The file that stands here is a
// placeholder, which no repository is trusted with.
//
//go:embed trust-root.json
var trustRoot []byte

func main() {
	opts := []updater.Option{
		updater.Logger(log.New(os.Stdout, "program "+version+": ", 0)),
		updater.SourceRepo(os.Getenv("REPOSITORY")),
		updater.Channel("stable"),
		updater.CurrentVersion(version),
		updater.TrustRoot(trustRoot),
		updater.Probation(2, 10*time.Second),
		updater.Watchdog(true),
		updater.Health(healthy),
		updater.Every(time.Second), // an hour or more in real life
	}
	running := updater.Boot(opts...)
	ctx, cancel := running.Context(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	log.SetFlags(0)
	log.Printf("program %s: started, pid %d", version, os.Getpid())
	if broken != "" {
		log.Fatalf("program %s: %s", version, broken)
	}
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := running.Prove(ctx); err != nil {
			log.Print("on probation: ", err)
		}
	}()
	err := updater.Run(ctx, func(ctx context.Context, staged *updater.Staged) error {
		if running.OnProbation() {
			return nil // the next look is soon enough
		}
		if _, err := staged.Apply(ctx); err != nil {
			return err
		}
		return updater.Restart(opts...) // this moment suits us
	}, opts...)
	if !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	log.Printf("program %s: stopped", version)
}

// serve answers on a port of this machine until ctx ends.
func serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "version", version)
	})}
	go server.Serve(listener)
	context.AfterFunc(ctx, func() { server.Close() })
	return nil
}

// healthy asks the program itself whether it answers.
func healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+os.Getenv("PORT"), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
