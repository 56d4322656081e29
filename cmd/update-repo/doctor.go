package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores"
)

var errFindings = errors.New("something is in the way of updates")

func doctorCommand() *cobra.Command {
	var f targetFlags
	var look repoExam
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor TARGET | REPOSITORY", Short: "Say what is in the way of updates, on this machine or in a repository, and what to do next",
		Long: "doctor TARGET looks at a program, its folder, its state, its backup and its probation.\n" +
			"doctor REPOSITORY, which is a folder, a URL or an archive, looks at a repository as a client meets it: missing files, cut\n" +
			"downloads, caches, clock, certificate and metadata. It fetches 8 MiB of one artifact at most, the largest or that of\n" +
			"--version, --os and --arch; update-repo verify looks at all of them.\n\n" +
			"It changes nothing. Its exit code is 1 if something is in the way of updates.",
		Example: "  update-repo doctor /usr/local/bin/tool\n" +
			"  update-repo doctor https://repo.example.net/updater --trust-root keys/trust-root.json",
		Args: needArgs(1, 1, "the target or the repository"),
		RunE: func(c *cobra.Command, args []string) error {
			if isRepository(args[0]) {
				where, found, err := look.run(c, args[0])
				if err != nil {
					return err
				}
				return printFindings(c, found, map[string]any{"repository": where, "findings": found}, asJSON)
			}
			s, found, err := updater.Diagnose(c.Context(), f.options(c, args[0])...)
			if err != nil {
				return err
			}
			return printFindings(c, found, map[string]any{"status": s, "findings": found}, asJSON)
		},
	}
	f.flags(c)
	look.flags(c)
	jsonFlag(c, &asJSON)
	return c
}

// isRepository tells a repository from a target, which is a file.
func isRepository(arg string) bool {
	info, err := os.Stat(arg)
	return strings.Contains(arg, "://") || stores.IsArchive(arg) || err == nil && info.IsDir()
}

// repoExam are the flags for a repository.
type repoExam struct {
	platform
	root string
}

func (x *repoExam) flags(c *cobra.Command) {
	x.platform.flags(c)
	c.Flags().StringVar(&x.root, "trust-root", "", "the trust root that the repository has to follow from; a file that init wrote")
}

// run examines a repository, and names it without credentials.
func (x *repoExam) run(c *cobra.Command, location string) (where string, found []updater.Finding, err error) {
	wire := repo.NewWire()
	from, err := stores.Open(c.Context(), location, stores.Options{HTTP: store.HTTPOptions{Client: &http.Client{Transport: wire}}})
	if err != nil {
		return "", nil, err
	}
	r := repo.Open(listable(from))
	if x.root != "" {
		root, err := readTrustRoot(x.root)
		if err != nil {
			return "", nil, err
		}
		r.TrustRoot(root)
	}
	found, err = r.Examine(c.Context(), repo.Examination{Wire: wire, Version: x.version, OS: x.os, Arch: x.arch})
	return from.String(), found, err
}

// printFindings prints what was found, or all as JSON. Its error says that something is in the way.
func printFindings(c *cobra.Command, found []updater.Finding, all any, asJSON bool) error {
	if asJSON {
		if err := printJSON(c.OutOrStdout(), all); err != nil {
			return err
		}
	}
	var err error
	for _, finding := range found {
		if !asJSON {
			printFinding(c.OutOrStdout(), finding)
		}
		if !finding.OK {
			err = errFindings
		}
	}
	return err
}

func printFinding(w io.Writer, f updater.Finding) {
	word := "ok"
	switch {
	case !f.OK:
		word = "problem"
	case f.Do != "":
		word = "note" // nothing is in the way, and there is something to do
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
