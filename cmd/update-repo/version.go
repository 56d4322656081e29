package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what the linker left in this executable.
type build struct {
	Version  string `json:"version"`            // of the module; (devel) where it was built from a checkout without a tag
	Revision string `json:"revision,omitempty"` // of the checkout that it was built from
	Modified bool   `json:"modified,omitempty"` // it was built from something else than that revision
	Go       string `json:"go"`
}

func thisBuild() build {
	b := build{Version: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version of update-repo itself", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			b := thisBuild()
			if asJSON {
				return printJSON(c.OutOrStdout(), b)
			}
			fmt.Fprintf(c.OutOrStdout(), "update-repo %s\n", b.Version)
			if b.Revision != "" {
				modified := ""
				if b.Modified {
					modified = ", modified"
				}
				fmt.Fprintf(c.OutOrStdout(), "revision %s%s\n", b.Revision, modified)
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), b.Go)
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
