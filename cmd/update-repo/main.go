// Command update-repo makes and keeps update repositories, and updates
// programs that do not embed the library.
//
// Exit codes: 0 done; 1 failed; 2 wrong usage, publishing to what can be read only for one; 3 busy, or another change waits for signatures,
// try again later; 4 `verify` found damage; 5 staged, other maintainers have to sign.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/stores"
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

// advisedError is an error with its own hint.
type advisedError struct {
	error
	hint string
}

func (e advisedError) Unwrap() error { return e.error }

// misuse is a usageError that tells what was meant, perhaps.
func misuse(hint, format string, args ...any) error {
	return advisedError{usageError{fmt.Errorf(format, args...)}, hint}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything as arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetOut(stdout)
	root.SetErr(stderr)
	command := root
	args, err := withAdd(root, args)
	if err == nil {
		root.SetArgs(args)
		command, err = root.ExecuteContextC(ctx)
	}
	if err == nil {
		return 0
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	tell(stderr, "error", err)
	if hint := hintFor(command, err); hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	var usage usageError
	switch {
	case errors.As(err, &usage), errors.Is(err, stores.ErrReadOnly):
		return 2
	case errors.Is(err, updater.ErrBusy), errors.Is(err, repo.ErrBusy), errors.Is(err, repo.ErrWaiting):
		return 3
	case errors.Is(err, errDamaged):
		return 4
	case errors.Is(err, repo.ErrStaged):
		return 5
	}
	return 1
}

// tell writes an error, each line of several with the word before it.
func tell(w io.Writer, word string, err error) {
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintf(w, "%s: %s\n", word, line)
	}
}

// withAdd makes `update-repo FILE --arch ...` short for `update-repo add FILE --arch ...`. What is neither a file nor a command is more
// likely a mistyped command than a file that should be published.
func withAdd(root *cobra.Command, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	first := args[0]
	if len(args) == 1 && first == "--version" {
		return []string{"version"}, nil
	}
	if strings.HasPrefix(first, "-") {
		if slices.Contains(args, "-h") || slices.Contains(args, "--help") {
			return args, nil
		}
		return append([]string{"add"}, args...), nil
	}
	isCommand := func(c *cobra.Command) bool { return c.Name() == first }
	if strings.HasPrefix(first, "__complete") || slices.ContainsFunc(root.Commands(), isCommand) {
		return args, nil
	}
	if _, err := os.Stat(first); errors.Is(err, fs.ErrNotExist) {
		return nil, noCommand(root, first, "command and no file")
	}
	return append([]string{"add"}, args...), nil
}

// noCommand says that there is no such command, and which may be meant.
func noCommand(parent *cobra.Command, name, what string) error {
	hint := "see " + parent.CommandPath() + " --help"
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return misuse(hint, "there is no %s %q", what, name)
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
			"  3  busy: another update of the target or another publisher is running, or another\n" +
			"     change waits for signatures; nothing was kept, try later\n" +
			"  4  verify found damage\n" +
			"  5  staged: other maintainers have to sign",
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if f := c.Flags().Lookup("repo"); f != nil && f.Value.String() == "" {
				return usageError{errors.New("--repo is empty")}
			}
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(addCommand(), listCommand(), verifyCommand(), removeCommand(), pruneCommand(), deltasCommand(),
		diffCommand(), patchCommand(), serveCommand(), mirrorCommand(),
		channelCommand(), promoteCommand(), rolloutCommand(), pauseCommand(), resumeCommand(), withdrawCommand(), recallCommand(),
		floorCommand(), noteCommand(), simulateCommand(),
		initCommand(), keyCommand(), rotateCommand(), thresholdCommand(), signCommand(), timestampCommand(), keygenCommand(),
		applyCommand(), rollbackCommand(), statusCommand(), doctorCommand(), guardCommand(), confirmCommand(), unholdCommand(), manCommand(), versionCommand())
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	root.SuggestionsMinimumDistance = 2 // letters that differ
	for _, c := range root.Commands() {
		switch {
		case c.Name() == "help":
			c.Args = helpTopic
		case c.HasSubCommands():
			c.SuggestionsMinimumDistance = root.SuggestionsMinimumDistance
			c.Args = noSuchCommand
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
			if c.Name() == "completion" {
				for _, shell := range c.Commands() {
					shell.Args = noArgs
				}
			}
		}
	}
	return root
}

// helpTopic wants help's arguments to be a command.
func helpTopic(help *cobra.Command, args []string) error {
	c := help.Root()
	for _, name := range args {
		at := slices.IndexFunc(c.Commands(), func(sub *cobra.Command) bool { return sub.Name() == name })
		if at < 0 {
			return noCommand(c, name, "command")
		}
		c = c.Commands()[at]
	}
	return nil
}

func hintFor(c *cobra.Command, err error) string {
	var advised advisedError
	if errors.As(err, &advised) {
		return advised.hint
	}
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
	if h := signingHint(c, err); h != "" {
		return h
	}
	if h := publisherHint(c, err); h != "" {
		return h
	}
	if h := allowHint(c, err); h != "" {
		return h
	}
	if h := argumentHint(c.Flags().Args(), err); h != "" {
		return h
	}
	if h := updater.Hint(err); h != "" {
		return h
	}
	var path *fs.PathError
	if errors.As(err, &path) && errors.Is(err, fs.ErrPermission) {
		return "run it as a user who may read and write there"
	}
	return ""
}

// printJSON writes data for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

const anyNumber = 1 << 30

// needArgs asks for least to most arguments, the least not empty; what names those that may be missing.
func needArgs(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least {
			return usageError{fmt.Errorf("%s is missing", what)}
		}
		if len(args) > most {
			return usageError{fmt.Errorf("unexpected argument %q", args[most])}
		}
		if slices.Contains(args[:min(least, len(args))], "") { // of a variable that is not set
			return usageError{fmt.Errorf("%s is empty", what)}
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

// noSuchCommand is for commands that are but the name of others.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return noCommand(c, args[0], "command")
	}
	return nil
}
