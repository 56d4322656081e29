package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

const defaultDeltas = 3 // versions before a release

// deltasFlag is the flag of how many deltas are made.
func deltasFlag(c *cobra.Command, d *repo.Deltas) {
	c.Flags().IntVar(&d.Last, "deltas", defaultDeltas, "make deltas from this many versions before; 0 for none")
	c.Flags().StringArrayVar(&d.From, "delta-from", nil, "also make a delta from this version (repeatable)")
}

// noteTo prints each note once.
func noteTo(c *cobra.Command) func(string) {
	seen := map[string]bool{}
	return func(text string) {
		if !seen[text] {
			seen[text] = true
			fmt.Fprintf(c.ErrOrStderr(), "note: %s\n", text)
		}
	}
}

func deltasCommand() *cobra.Command {
	var folder string
	var u repo.DeltaUpdate
	var k keyFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "deltas", Short: "Make the deltas that are missing", Args: noArgs,
		Long: "Make the deltas that are missing, and drop those whose base no release has any more.\n" +
			"`add` makes those of a new release; this is for releases that are there.\n\n" +
			"In a signed repository it takes as many keys as the thresholds ask for.",
		Example: "  update-repo deltas --repo /srv/repo\n" +
			"  update-repo deltas --version 1.3.0 --delta-from 1.0.0 --repo /srv/repo",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkDeltas(u.Deltas); err != nil {
				return err
			}
			if len(u.From) > 0 && u.Version == "" {
				return usageError{fmt.Errorf("--delta-from needs --version")}
			}
			r, err := k.openThere(c, folder)
			if err != nil {
				return err
			}
			u.Note, u.Progress = noteTo(c), newBar(c.ErrOrStderr()).show
			changes, err := r.MakeDeltas(c.Context(), u)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), changes)
			}
			for _, change := range changes {
				fmt.Fprintf(c.OutOrStdout(), "%s: %d deltas made, %d dropped\n", change.Release, change.Made, change.Dropped)
			}
			return nil
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	k.flags(c)
	deltasFlag(c, &u.Deltas)
	c.Flags().StringVar(&u.Version, "version", "", "only of the releases of this version")
	return c
}

func checkDeltas(d repo.Deltas) error {
	if d.Last < 0 {
		return usageError{fmt.Errorf("--deltas %d: it cannot be negative", d.Last)}
	}
	return nil
}

func pruneCommand() *cobra.Command {
	var folder string
	var keep int
	var k keyFlags
	var dry, asJSON, force bool
	c := &cobra.Command{
		Use: "prune", Short: "Remove all but the newest versions", Args: noArgs,
		Long: "Remove all but the newest versions of each platform, and deltas from those that go.\n" +
			"Versions that are no numbers with dots cannot be ordered, and stay. So do those that a channel names.",
		Example: "  update-repo prune --keep 5 --dry-run --repo /srv/repo",
		RunE: func(c *cobra.Command, _ []string) error {
			if keep < 1 {
				return usageError{fmt.Errorf("--keep is missing: how many versions of each platform stay, at least 1")}
			}
			r, err := k.openThere(c, folder)
			if err != nil {
				return err
			}
			if force {
				r.IgnoreChannels()
			}
			p, err := r.Prune(c.Context(), keep, dry)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), p)
			}
			printPruned(c, p, dry)
			return nil
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	k.flags(c)
	c.Flags().IntVar(&keep, "keep", 0, "versions of each platform that stay")
	c.Flags().BoolVar(&dry, "dry-run", false, "only tell what would be removed")
	c.Flags().BoolVar(&force, "force", false, "remove what channels name, too")
	return c
}

func printPruned(c *cobra.Command, p *repo.Pruned, dry bool) {
	done := "removed"
	if dry {
		done = "would remove"
	}
	for _, r := range p.Releases {
		fmt.Fprintf(c.OutOrStdout(), "%s %s\n", done, r)
	}
	for _, d := range p.Deltas {
		fmt.Fprintf(c.OutOrStdout(), "%s %d deltas to %s\n", done, d.Dropped, d.Release)
	}
	for _, r := range p.Unordered {
		fmt.Fprintf(c.ErrOrStderr(), "note: %s stays: versions that are no numbers with dots have no order\n", r)
	}
	for _, r := range p.Named {
		fmt.Fprintf(c.ErrOrStderr(), "note: %s stays: a channel names it\n", r)
	}
}
