package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
)

func applyCommand() *cobra.Command {
	var p platform
	var trust trustFlags
	var follow followFlags
	var current string
	var mirrors []string
	var probation probationFlags
	var asJSON, managed, container bool
	c := &cobra.Command{
		Use: "apply REPOSITORY TARGET", Short: "Update a program that does not embed the library",
		Example: "  update-repo apply https://repo.example.net/updater /usr/local/bin/tool --version 1.2.3",
		Args:    needArgs(2, 2, "the repository or the target"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOrder(args[1]); err != nil {
				return err
			}
			wanted, err := follow.options(&p, &trust)
			if err != nil {
				return err
			}
			opts, err := trust.options()
			if err != nil {
				return err
			}
			opts = append(append(opts, wanted...),
				updater.TargetFile(args[1]),
				updater.OS(p.os), updater.Arch(p.arch),
				updater.CurrentVersion(current), updater.Mirrors(mirrors...), updater.OnEvent(trust.warning(c, progress(c))))
			opts = append(opts, probation.options()...)
			if managed {
				opts = append(opts, updater.AllowManaged())
			}
			if container {
				opts = append(opts, updater.AllowContainer())
			}
			from, err := source(c.Context(), args[0], mirrors...)
			if err != nil {
				return err
			}
			opts = append(opts, from)
			result, err := updater.ApplyContext(c.Context(), opts...)
			if err != nil {
				return err
			}
			adviseCurrent(c, result.Plan)
			if result.Applied {
				warnOfMode(c, result.Target)
			}
			if asJSON {
				backup := result.Backup
				if _, err := os.Lstat(backup); err != nil {
					backup = "" // nothing was applied, now or earlier
				}
				return printJSON(c.OutOrStdout(), map[string]any{
					"target": result.Target, "version": result.To, "applied": result.Applied,
					"backup": backup, "why": result.Why, "offer": offerOf(result.Plan),
				})
			}
			if result.Applied {
				fmt.Fprintf(c.OutOrStdout(), "%s is version %s\n", result.Target, result.To)
			} else {
				fmt.Fprintf(c.OutOrStdout(), "nothing to do: %s\n", result.Why)
			}
			return nil
		},
	}
	p.flags(c)
	c.Flags().Lookup("os").DefValue, p.os = runtime.GOOS, runtime.GOOS
	c.Flags().Lookup("arch").DefValue, p.arch = runtime.GOARCH, runtime.GOARCH
	jsonFlag(c, &asJSON)
	trust.flags(c)
	follow.flags(c)
	probation.flags(c)
	c.Flags().StringVar(&current, "current", "", "the version that is installed")
	c.Flags().StringSliceVar(&mirrors, "mirror", nil, "another repository with the same content")
	c.Flags().BoolVar(&managed, "allow-managed", false, "replace a target that a package manager installed")
	c.Flags().BoolVar(&container, "allow-container", false, "replace a target that is part of a container image")
	return c
}

// allowHint names the flag that allows what the client refuses, where the command has it.
func allowHint(c *cobra.Command, err error) string {
	for _, refused := range []struct {
		err        error
		flag, hint string
	}{
		{updater.ErrManaged, "allow-managed", "upgrade it with the package manager, or replace it all the same with --allow-managed"},
		{updater.ErrContainer, "allow-container", "build and start a new image, or replace it all the same with --allow-container"},
		{updater.ErrOlderVersion, "allow-downgrade", "name a newer version, or allow this one with --allow-downgrade"},
	} {
		if errors.Is(err, refused.err) && c.Flags().Lookup(refused.flag) != nil {
			return refused.hint
		}
	}
	return ""
}

// warnOfMode tells of a program that nobody can start: an update keeps the mode, which for a library or a plugin is right.
func warnOfMode(c *cobra.Command, target string) {
	info, err := os.Stat(target)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o111 == 0 {
		fmt.Fprintf(c.ErrOrStderr(), "warning: nobody may execute %s, as before: its mode is %v\nhint: chmod +x %s, if it is a program\n", target, info.Mode(), target)
	}
}

// progress draws a line on a terminal; elsewhere only warnings are told.
func progress(c *cobra.Command) func(updater.Event) {
	b := newBar(c.ErrOrStderr())
	return func(e updater.Event) {
		switch e.Step {
		case updater.StepWarning:
			tell(c.ErrOrStderr(), "warning", e.Err)
		case updater.StepFetch:
			b.show("fetching", e.Done, e.Total)
		}
	}
}

func rollbackCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "rollback TARGET", Short: "Make the backup the target again", Args: needArgs(1, 1, "the target"),
		RunE: func(c *cobra.Command, args []string) error {
			status, err := updater.Rollback(c.Context(), updater.TargetFile(args[0]), updater.OnEvent(progress(c)))
			if err != nil {
				return err
			}
			return printStatus(c, status, asJSON)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func statusCommand() *cobra.Command {
	var asJSON bool
	var p platform
	var trust trustFlags
	var follow followFlags
	c := &cobra.Command{
		Use: "status [REPOSITORY] TARGET", Short: "Tell what is installed, and whether a version would change it",
		Args: needArgs(1, 2, "the target"),
		RunE: func(c *cobra.Command, args []string) error {
			target := args[len(args)-1]
			if err := checkOrder(target); err != nil {
				return err
			}
			if len(args) == 1 {
				if err := refuseFlags(c); err != nil {
					return err
				}
			}
			status, err := updater.Inspect(c.Context(), updater.TargetFile(target), updater.OnEvent(progress(c)))
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return printStatus(c, status, asJSON)
			}
			wanted, err := follow.options(&p, &trust)
			if err != nil {
				return err
			}
			opts, err := trust.options()
			if err != nil {
				return err
			}
			from, err := source(c.Context(), args[0])
			if err != nil {
				return err
			}
			plan, err := updater.Check(c.Context(), append(append(opts, wanted...), from, updater.TargetFile(target),
				updater.OS(p.os), updater.Arch(p.arch), updater.OnEvent(progress(c)),
				updater.AllowManaged(), updater.AllowContainer(), updater.Probation(0, 0))...)
			if err != nil {
				return err
			}
			adviseCurrent(c, plan)
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{
					"status": status, "version": plan.To, "up_to_date": plan.UpToDate, "fetch": plan.Fetch, "why": plan.Why, "offer": offerOf(plan),
				})
			}
			if err := printStatus(c, status, false); err != nil {
				return err
			}
			if plan.UpToDate {
				fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", stays(plan), plan.Why)
			} else {
				fmt.Fprintf(c.OutOrStdout(), "version %s can be installed: %d bytes, %s\n", plan.To, plan.Fetch, plan.Why)
			}
			return nil
		},
	}
	p.flags(c)
	trust.flags(c)
	follow.flags(c)
	p.os, p.arch = runtime.GOOS, runtime.GOARCH
	jsonFlag(c, &asJSON)
	return c
}

// refuseFlags refuses those that ask something of a repository where none is named.
func refuseFlags(c *cobra.Command) error {
	n := c.Flags().NFlag()
	if c.Flags().Changed("json") {
		n--
	}
	if n == 0 {
		return nil
	}
	return misuse("the repository comes first, then the target", "flags are given that are about a repository, and none is named")
}

func printStatus(c *cobra.Command, s *updater.Status, asJSON bool) error {
	w := c.OutOrStdout()
	if asJSON {
		return printJSON(w, s)
	}
	orUnknown := func(v string) string {
		if v == "" {
			return "unknown"
		}
		return v
	}
	fmt.Fprintf(w, "target:  %s\nversion: %s\nsha256:  %s\n", s.Target, orUnknown(s.Version), s.SHA256)
	if s.Backup == "" {
		fmt.Fprintln(w, "backup:  none")
	} else {
		fmt.Fprintf(w, "backup:  %s (version %s)\n", s.Backup, orUnknown(s.BackupVersion))
	}
	printProbation(w, s)
	return nil
}
