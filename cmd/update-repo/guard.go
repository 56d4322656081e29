package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
)

// targetFlags are those of commands that look after a target.
type targetFlags struct{ stateDir string }

func (f *targetFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.stateDir, "state-dir", "", "the state folder, where it is not .NAME.updater beside the target")
}

func (f *targetFlags) options(c *cobra.Command, target string) []updater.Option {
	opts := []updater.Option{updater.TargetFile(target), updater.OnEvent(progress(c))}
	if f.stateDir != "" {
		opts = append(opts, updater.StateDir(f.stateDir))
	}
	return opts
}

// probationFlags are those of an update.
type probationFlags struct {
	attempts  int
	within    time.Duration
	selfTest  time.Duration
	allowHeld bool
	backups   int
}

func (f *probationFlags) flags(c *cobra.Command) {
	c.Flags().IntVar(&f.attempts, "probation", 0, "put the new version on probation: it goes back after so many unclean exits")
	c.Flags().DurationVar(&f.within, "within", 10*time.Minute, "with --probation, or if it is not confirmed while running so long")
	c.Flags().DurationVar(&f.selfTest, "self-test", 0, "run the new version's self-test before the swap, for so long at most; it has to embed the library")
	c.Flags().IntVar(&f.backups, "backups", 1, "how many previous binaries are kept")
	c.Flags().BoolVar(&f.allowHeld, "allow-held", false, "install a version that went back before")
}

func (f *probationFlags) options() []updater.Option {
	opts := []updater.Option{updater.Probation(0, 0), updater.Backups(f.backups)} // what earlier probations left counts
	if f.attempts != 0 {
		opts = append(opts, updater.Probation(f.attempts, f.within))
	}
	if f.selfTest != 0 {
		opts = append(opts, updater.SelfTest(f.selfTest, nil))
	}
	if f.allowHeld {
		opts = append(opts, updater.AllowHeld())
	}
	return opts
}

// exitCode ends this program as another one ended.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func guardCommand() *cobra.Command {
	var f targetFlags
	var ended bool
	c := &cobra.Command{
		Use: "guard TARGET [-- ARG...]", Short: "Count a start of a program on probation, and bring its backup back if need be",
		Long: "guard is called before each start of a program, as by ExecStartPre of a systemd unit. It does nothing\n" +
			"unless the program is on probation. Then it counts the start, and brings the version before back if\n" +
			"there were too many unclean exits or the time is over, even if the new version never reaches its main.\n\n" +
			"With -- it also runs the program, with the arguments that follow, and keeps the exit status and the last lines\n" +
			"of standard error as evidence. Its exit code is the program's, 128 if a signal ended it.\n\n" +
			"With --ended it notes how the program ended, as ExecStopPost knows it ($SERVICE_RESULT, $EXIT_CODE,\n" +
			"$EXIT_STATUS): what the operator stopped does not count.\n\n" +
			"Trouble with the state never keeps the program from starting: guard warns and its exit code is 0.",
		Example: "  ExecStartPre=-/usr/bin/update-repo guard /opt/tool/tool\n" +
			"  ExecStopPost=-/usr/bin/update-repo guard --ended /opt/tool/tool\n\n" +
			"  update-repo guard /opt/tool/tool -- --config /etc/tool.conf",
		Args: needArgs(1, anyNumber, "the target"),
		RunE: func(c *cobra.Command, args []string) error {
			opts := f.options(c, args[0])
			switch {
			case c.ArgsLenAtDash() == 1 && !ended:
				code, err := updater.GuardRun(c.Context(), args[1:], opts...)
				if err == nil && code != 0 {
					err = exitCode(code)
				}
				return err
			case len(args) > 1:
				return usageError{fmt.Errorf("unexpected argument %q", args[1])}
			case ended:
				return updater.GuardExit(c.Context(), systemdExit(), opts...)
			}
			return guardOnce(c, opts)
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&ended, "ended", false, "note how the program ended, as systemd tells ExecStopPost")
	return c
}

func guardOnce(c *cobra.Command, opts []updater.Option) error {
	back, err := updater.Guard(c.Context(), opts...)
	if err != nil {
		tell(c.ErrOrStderr(), "warning", err)
		return nil
	}
	if back {
		fmt.Fprintln(c.OutOrStdout(), "gone back to the version before")
	}
	return nil
}

// systemdExit is what systemd tells an ExecStopPost.
func systemdExit() updater.Exit {
	result, code, status := os.Getenv("SERVICE_RESULT"), os.Getenv("EXIT_CODE"), os.Getenv("EXIT_STATUS")
	return updater.Exit{Meant: result == "success", How: fmt.Sprintf("%s: %s %s", result, code, status)}
}

func confirmCommand() *cobra.Command {
	var f targetFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "confirm TARGET", Short: "End the probation of a program: it works", Args: needArgs(1, 1, "the target"),
		RunE: func(c *cobra.Command, args []string) error {
			before, err := updater.Inspect(c.Context(), f.options(c, args[0])...)
			if err != nil {
				return err
			}
			if err := updater.Confirm(c.Context(), f.options(c, args[0])...); err != nil {
				return err
			}
			return printConfirmed(c, before, asJSON)
		},
	}
	f.flags(c)
	jsonFlag(c, &asJSON)
	return c
}

// printConfirmed tells which version was on probation before, if any was.
func printConfirmed(c *cobra.Command, before *updater.Status, asJSON bool) error {
	version, w := "", c.OutOrStdout()
	if before.Probation != nil {
		version = before.Probation.To.Version
	}
	if asJSON {
		return printJSON(w, map[string]any{"target": before.Target, "confirmed": before.Probation != nil, "version": version})
	}
	if before.Probation == nil {
		_, err := fmt.Fprintf(w, "nothing to do: %s is not on probation\n", before.Target)
		return err
	}
	_, err := fmt.Fprintf(w, "%s is version %s, confirmed\n", before.Target, version)
	return err
}

func unholdCommand() *cobra.Command {
	var f targetFlags
	c := &cobra.Command{
		Use: "unhold TARGET VERSION", Short: "Let a version be installed again that went back", Args: needArgs(2, 2, "the target or the version"),
		RunE: func(c *cobra.Command, args []string) error {
			return unhold(c.Context(), args[1], f.options(c, args[0]))
		},
	}
	f.flags(c)
	return c
}

func unhold(ctx context.Context, version string, opts []updater.Option) error {
	was, err := updater.Unhold(ctx, version, opts...)
	if err == nil && !was {
		err = fmt.Errorf("version %s is not held", version)
	}
	return err
}
