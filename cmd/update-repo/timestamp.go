package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func timestampCommand() *cobra.Command {
	var k keyFlags
	var folder string
	var asJSON bool
	c := &cobra.Command{
		Use:     "timestamp",
		Short:   "Renew the timestamp, with its key alone, for cron and CI",
		Example: "  17 4 * * *  update-repo timestamp --repo /srv/repo --keys /etc/update-repo",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := k.openThere(c, folder)
			if err != nil {
				return err
			}
			e, err := r.Timestamp(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), e)
			}
			fmt.Fprintf(c.OutOrStdout(), "timestamp %d is good until %s\n", e.Version, e.Expires.Format(time.RFC3339))
			return nil
		},
	}
	k.flags(c)
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	return c
}
