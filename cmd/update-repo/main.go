// Command update-repo makes and keeps update repositories, and updates
// programs that do not embed the library.
//
// Exit codes: 0 done; 1 failed; 2 wrong usage, publishing to what can be read only for one; 3 busy, try again later;
// 4 `verify` found damage; 5 staged, other maintainers have to sign.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/stores"
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything as arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(withAdd(root, args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	if hint := hintFor(command, err); hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	var usage usageError
	switch {
	case errors.As(err, &usage), errors.Is(err, stores.ErrReadOnly):
		return 2
	case errors.Is(err, updater.ErrBusy), errors.Is(err, repo.ErrBusy):
		return 3
	case errors.Is(err, errDamaged):
		return 4
	case errors.Is(err, repo.ErrStaged):
		return 5
	}
	return 1
}

// withAdd makes `update-repo FILE --arch ...` short for `update-repo add FILE --arch ...`.
func withAdd(root *cobra.Command, args []string) []string {
	if len(args) == 0 {
		return args
	}
	for _, a := range args {
		if a == "-h" || a == "--help" {
			return args
		}
	}
	first := args[0]
	if strings.HasPrefix(first, "__complete") || first == "help" || first == "completion" {
		return args
	}
	for _, c := range root.Commands() {
		if c.Name() == first {
			return args
		}
	}
	return append([]string{"add"}, args...)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "update-repo",
		Short: "Make and keep update repositories of plain files",
		Long: "update-repo makes and keeps repositories from which programs update themselves.\n" +
			"`update-repo FILE --version V --os OS --arch ARCH` is short for `update-repo add FILE ...`.\n\n" +
			"Data goes to standard output, as JSON with --json; errors, hints, warnings and, on a\n" +
			"terminal, progress go to standard error. No colours are used, NO_COLOR or not.\n\n" +
			"Exit codes:\n" +
			"  0  done\n" +
			"  1  failed\n" +
			"  2  wrong usage, or a repository that can be read only\n" +
			"  3  busy: another update of the target or another publisher is running, try later\n" +
			"  4  verify found damage\n" +
			"  5  staged: other maintainers have to sign",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(addCommand(), listCommand(), verifyCommand(), removeCommand(), pruneCommand(), deltasCommand(),
		diffCommand(), patchCommand(), serveCommand(), mirrorCommand(),
		channelCommand(), promoteCommand(), rolloutCommand(), pauseCommand(), resumeCommand(), withdrawCommand(), recallCommand(),
		floorCommand(), noteCommand(), simulateCommand(),
		initCommand(), keyCommand(), rotateCommand(), thresholdCommand(), signCommand(), timestampCommand(), keygenCommand(),
		applyCommand(), rollbackCommand(), statusCommand(), doctorCommand(), guardCommand(), confirmCommand(), unholdCommand(), manCommand())
	return root
}

func hintFor(c *cobra.Command, err error) string {
	var usage usageError
	if errors.As(err, &usage) {
		return "see " + c.CommandPath() + " --help"
	}
	var refused *repo.RefusedError
	if errors.As(err, &refused) {
		return refused.Advice
	}
	if c.Name() == "mirror" {
		if h := mirrorHint(err); h != "" {
			return h
		}
	}
	if h := signingHint(err); h != "" {
		return h
	}
	if h := publisherHint(err); h != "" {
		return h
	}
	return updater.Hint(err)
}

// printJSON writes data for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

const anyNumber = 1 << 30

// needArgs asks for least to most arguments; what names those that may be missing.
func needArgs(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least {
			return usageError{fmt.Errorf("%s is missing", what)}
		}
		if len(args) > most {
			return usageError{fmt.Errorf("unexpected argument %q", args[most])}
		}
		return nil
	}
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
