package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
)

var errFindings = errors.New("something is in the way of updates")

func doctorCommand() *cobra.Command {
	var f targetFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor TARGET", Short: "Say what is wrong with a program's updates on this machine, and what to do next",
		Long: "doctor looks at the target, its folder, its state, its backup and its probation, and changes nothing.\n" +
			"Its exit code is 1 if something is in the way of updates.",
		Args: needArgs(1, 1, "the target"),
		RunE: func(c *cobra.Command, args []string) error {
			s, found, err := updater.Diagnose(c.Context(), f.options(c, args[0])...)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), map[string]any{"status": s, "findings": found}); err != nil {
					return err
				}
			}
			for _, finding := range found {
				if !asJSON {
					printFinding(c.OutOrStdout(), finding)
				}
				if !finding.OK {
					err = errFindings
				}
			}
			return err
		},
	}
	f.flags(c)
	jsonFlag(c, &asJSON)
	return c
}

func printFinding(w io.Writer, f updater.Finding) {
	word := "ok"
	if !f.OK {
		word = "problem"
	}
	fmt.Fprintf(w, "%-8s %s\n", word+":", f.What)
	if f.Do != "" {
		fmt.Fprintf(w, "%-8s %s\n", "", f.Do)
	}
}

// printProbation prints what is known about probations, and what comes next.
func printProbation(w io.Writer, s *updater.Status) {
	if t := s.Probation; t != nil {
		fmt.Fprintf(w, "on probation: %d starts, %d ended uncleanly (%d are too many); to be confirmed within %v of running\n",
			t.Starts, t.Unclean, t.Attempts, t.Within)
		if t.Back != "" {
			fmt.Fprintf(w, "goes back: %s\n", t.Back)
		}
	}
	for _, h := range s.Held {
		fmt.Fprintf(w, "held:    version %s since %s: %s\n", h.Version, h.Time.Format(time.RFC3339), h.Reason)
	}
	for _, e := range s.History {
		fmt.Fprintf(w, "history: %s: from %s to %s: %s", e.Ended.Format(time.RFC3339), e.From.Version, e.To.Version, e.Outcome)
		if e.Reason != "" {
			fmt.Fprintf(w, ": %s", e.Reason)
		}
		fmt.Fprintln(w)
		for _, f := range e.Failures {
			fmt.Fprintf(w, "         %s: %s\n", f.Time.Format(time.RFC3339), f.Exit)
			for _, line := range f.Output {
				fmt.Fprintf(w, "         | %s\n", line)
			}
		}
	}
	if next := whatNext(s); next != "" {
		fmt.Fprintf(w, "next:    %s\n", next)
	}
}

// whatNext is what an operator may do, empty if there is nothing.
func whatNext(s *updater.Status) string {
	switch {
	case s.Probation != nil && s.Probation.Back != "":
		return "start it once more, or call update-repo guard: either brings the version before back"
	case s.Probation != nil:
		return "it is confirmed by the program, or by update-repo confirm; update-repo rollback gives it up"
	case len(s.Held) > 0:
		return "publish a later version, or let a held one be tried again with update-repo unhold"
	}
	return ""
}
