//go:build unix

// Command daemon is what the end-to-end tests of the probation update: a service that
// embeds the library. Its version and how it behaves are linked in.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	updater "github.com/choria-io/go-updater"
)

var version, behaviour string

// Before main, as an init function or a variable of some package would.
var _ = crash()

func crash() int {
	if behaviour == "init" {
		note("crashes")
		panic("no database driver")
	}
	return 0
}

func note(format string, args ...any) {
	if os.Getenv("DAEMON_LOG") == "" {
		return // a self-test
	}
	f, err := os.OpenFile(os.Getenv("DAEMON_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	fmt.Fprintf(f, "%s %s\n", version, fmt.Sprintf(format, args...))
	f.Close()
}

func number(name string, or int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return or
}

// healthy fails as the test asks for: which versions are ill stands in a variable.
func healthy(context.Context) error {
	if strings.Contains(os.Getenv("DAEMON_ILL"), version+",") || behaviour == "ill" {
		return errors.New("no answer on port 80")
	}
	return nil
}

func selfTest() error {
	if behaviour == "selftest" {
		return errors.New("libfoo.so.2 is missing")
	}
	return nil
}

func options() []updater.Option {
	opts := []updater.Option{
		updater.SourceRepo(os.Getenv("DAEMON_REPO")), updater.Version(os.Getenv("DAEMON_WANT")),
		updater.CurrentVersion(version), updater.AllowContainer(), updater.Attempts(1), updater.Health(healthy),
		updater.Probation(number("DAEMON_ATTEMPTS", 2), time.Duration(number("DAEMON_WITHIN_MS", 60000))*time.Millisecond),
	}
	if name := os.Getenv("DAEMON_CHANNEL"); name != "" {
		opts = append(opts, updater.Version(""), updater.UnsignedChannel(name), updater.Every(time.Second))
	}
	if os.Getenv("DAEMON_SELFTEST") != "" {
		opts = append(opts, updater.SelfTest(3*time.Second, nil))
	}
	switch os.Getenv("DAEMON_WATCHDOG") {
	case "restart":
		opts = append(opts, updater.Watchdog(true))
	case "supervised":
		opts = append(opts, updater.Watchdog(false))
	}
	if dir := os.Getenv("DAEMON_STATE"); dir != "" {
		opts = append(opts, updater.StateDir(dir))
	}
	return opts
}

func main() {
	running := updater.Boot(append(options(), updater.SelfTest(time.Minute, selfTest))...)
	if err := running.Err(); err != nil {
		note("boot: %v", err)
	}
	note("runs %d", os.Getpid())
	ctx, cancel := running.Context(context.Background(), syscall.SIGTERM)
	defer cancel()
	switch behaviour {
	case "good":
		work(ctx, running)
	case "exit":
		time.Sleep(time.Duration(number("DAEMON_EXIT_MS", 2000)) * time.Millisecond)
		fmt.Fprintln(os.Stderr, "cannot bind: address in use")
		os.Exit(1)
	case "hang":
		<-ctx.Done()
	case "follow":
		note("ends: %v", updater.Run(ctx, apply, options()...))
	case "stuck":
		for { // another thread may be stopped first
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
	case "ill":
		note("prove: %v", running.Prove(ctx))
		<-ctx.Done()
	}
}

// apply is what a program does with an update that is staged.
func apply(ctx context.Context, staged *updater.Staged) error {
	note("changes to %s", staged.Plan.To)
	if _, err := staged.Apply(ctx); err != nil {
		return err
	}
	return updater.Restart(options()...)
}

// work confirms, looks for an update, and goes on until it is stopped.
func work(ctx context.Context, running *updater.Running) {
	if err := running.Prove(ctx); err != nil {
		note("prove: %v", err)
	}
	if os.Getenv("DAEMON_UPDATE") != "" {
		result, err := updater.ApplyContext(ctx, options()...)
		switch {
		case errors.Is(err, updater.ErrHeld):
			note("held")
		case err != nil:
			note("update: %v", err)
		case result.Applied:
			note("updated")
			note("restart: %v", updater.Restart(options()...))
		}
	}
	note("works")
	<-ctx.Done()
}
