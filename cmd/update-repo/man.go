package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "man FOLDER", Short: "Write the manual pages to a folder", Args: needArgs(1, 1, "the folder"),
		Long: "Write the manual pages, one a command, to a folder, which is made if need be.\n" +
			"Their date is that of SOURCE_DATE_EPOCH where it is set, else today's.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "go-updater"}, args[0]); err != nil {
				return fmt.Errorf("writing manual pages to %s: %w", args[0], err)
			}
			pages, err := filepath.Glob(filepath.Join(args[0], "update-repo*.1"))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"files": pages})
			}
			for _, page := range pages {
				fmt.Fprintln(c.OutOrStdout(), page)
			}
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
