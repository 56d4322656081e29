package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

var errDamaged = errors.New("the repository is damaged")

// verification is what verify prints as JSON.
type verification struct {
	Releases []repo.Release `json:"releases"` // with an error where one is damaged
	Unnamed  []string       `json:"unnamed"`  // files that no release.json names
}

func verifyCommand() *cobra.Command {
	var folder, key string
	var asJSON bool
	c := &cobra.Command{
		Use: "verify", Short: "Fetch, hash and decode every artifact, as clients do", Args: noArgs,
		Long: "Fetch, hash and decode every artifact, as clients do. A file that is missing or\n" +
			"other than release.json says is damage (exit code 4). A file in a release's folder that\n" +
			"release.json does not name is a warning: no client fetches it.",
		RunE: func(c *cobra.Command, _ []string) error {
			public, err := parsePublicKey(key)
			if err != nil {
				return err
			}
			r, err := openFolder(folder)
			if err != nil {
				return err
			}
			var v verification
			if v.Releases, err = r.List(c.Context()); err != nil {
				return err
			}
			if v.Unnamed, err = r.Unnamed(c.Context()); err != nil {
				return err
			}
			if len(v.Releases)+len(v.Unnamed) == 0 {
				return fmt.Errorf("there is no release in %s", folder)
			}
			bad := 0
			for i, release := range v.Releases {
				state := "good"
				if err := repo.Verify(c.Context(), folder, release, public); err != nil {
					if c.Context().Err() != nil {
						return err
					}
					bad++
					state = err.Error()
					v.Releases[i].Err = state
				}
				if !asJSON {
					fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", release, state)
				}
			}
			for _, file := range v.Unnamed {
				fmt.Fprintf(c.ErrOrStderr(), "warning: no release.json names %s\n", file)
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), v)
			}
			if bad > 0 {
				return fmt.Errorf("%w: %d of %d releases", errDamaged, bad, len(v.Releases))
			}
			return err
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&key, "public-key", "", "also check signatures with this key, in hex")
	return c
}
