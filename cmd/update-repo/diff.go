package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

func diffCommand() *cobra.Command {
	var force, stats, asJSON bool
	c := &cobra.Command{
		Use: "diff OLD NEW PATCH", Short: "Write what turns one file into another", Args: needArgs(3, 3, "OLD, NEW or PATCH"),
		Long: "Write what turns the file OLD into the file NEW to the file PATCH. It is smallest for two Go\n" +
			"executables that the same toolchain built; any two files will do.",
		Example: "  update-repo diff tool-1.2.3 tool-1.2.4 tool.delta --stats",
		RunE: func(c *cobra.Command, args []string) error {
			bar := newBar(c.ErrOrStderr())
			d, err := repo.DiffFiles(args[0], args[1], args[2], force, func(done, all int) {
				bar.show(args[2], int64(done), int64(all))
			})
			if err != nil {
				return err
			}
			for _, remark := range d.Remarks {
				fmt.Fprintf(c.ErrOrStderr(), "note: %s: %s\n", args[1], remark)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), d)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\t%d bytes, %.2f %% of %d\n", args[2], d.Patch.Size, percent(d.Patch.Size, d.New.Size), d.New.Size)
			if stats {
				return printStats(c, d)
			}
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&force, "force", false, "replace a PATCH that is there")
	c.Flags().BoolVar(&stats, "stats", false, "show where the bytes are")
	return c
}

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(max(whole, 1)) }

func printStats(c *cobra.Command, d *repo.Difference) error {
	kind := "any two files"
	if d.Transformed {
		kind = "Go executables"
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(c.OutOrStdout(), "as %s: %d bytes copied, %d inserted\n", kind, d.Copied, d.Inserted)
	for _, s := range d.Spent {
		section := s.Section
		if section == "" {
			section = "-"
		}
		fmt.Fprintf(w, "%.0f\t bytes\t %s\t %s\t\n", s.Bytes, section, s.Kind)
	}
	return w.Flush()
}

func patchCommand() *cobra.Command {
	var force, asJSON bool
	c := &cobra.Command{
		Use: "patch OLD PATCH NEW", Short: "Make the new file of the old one and a patch", Args: needArgs(3, 3, "OLD, PATCH or NEW"),
		Long: "Make the file NEW of the file OLD and what `diff` wrote. NEW appears whole or not at all.\n" +
			"The patch holds four bytes of both files' hashes: that finds damage, not forgery.",
		Example: "  update-repo patch tool-1.2.3 tool.delta tool-1.2.4",
		RunE: func(c *cobra.Command, args []string) error {
			f, err := repo.PatchFile(args[0], args[1], args[2], force)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), f)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\t%d bytes, sha256 %s\n", args[2], f.Size, f.SHA256)
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&force, "force", false, "replace a NEW that is there")
	return c
}
