package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/stores"
	"github.com/choria-io/go-updater/stores/oci"
)

func publisherHint(c *cobra.Command, err error) string {
	switch {
	case errors.Is(err, repo.ErrExists):
		return "publish it under a new version, or replace it with --force"
	case errors.Is(err, updater.ErrNotExecutable), errors.Is(err, updater.ErrOtherPlatform):
		return "check --os and --arch, or publish it anyway with --force"
	case errors.Is(err, repo.ErrChanged):
		return "publish it again when its build is done"
	case errors.Is(err, repo.ErrFileExists):
		return "choose another name, or replace it with --force"
	case errors.Is(err, repo.ErrOtherBase):
		return "OLD is not the file that the patch was made from: name that one"
	case errors.Is(err, errDamaged):
		return "publish the damaged releases again with --force, or remove them"
	case errors.Is(err, repo.ErrNamed):
		return "take it out of the channel with update-repo channel drop, or remove it all the same with --force"
	case errors.Is(err, repo.ErrNoChannel):
		return "update-repo channel list shows those that are there; update-repo promote makes one"
	case errors.Is(err, stores.ErrReadOnly):
		return "name the bucket or the folder behind the web server with --repo, or the repository that the archive was made from"
	case errors.Is(err, oci.ErrLate):
		return "see what is there with update-repo verify, and publish again what is not; a registry so slow needs settle=10s in the URL of all publishers"
	case errors.Is(err, errKeyExists):
		return "choose another file with --out"
	case errors.Is(err, updater.ErrRejected) && c.Flags().Lookup("repo") != nil: // a publisher's own repository
		return "update-repo verify says what is damaged; publish that again with --force, or remove it"
	}
	return ""
}

// platform are the flags that name a release.
type platform struct{ version, os, arch string }

func (p *platform) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.version, "version", "", "version of the release")
	c.Flags().StringVar(&p.os, "os", "", "operating system, as Go names it (linux, darwin, ...)")
	c.Flags().StringVar(&p.arch, "arch", "", "architecture, as Go names it (amd64, arm64, ...)")
}

func (p *platform) check() error {
	var missing []string
	for _, f := range []struct{ name, value string }{{"--version", p.version}, {"--os", p.os}, {"--arch", p.arch}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return usageError{errors.New(areMissing(missing))}
	}
	return nil
}

// areMissing says that flags, one at least, are missing.
func areMissing(flags []string) string {
	last := len(flags) - 1
	if last == 0 {
		return flags[0] + " is missing"
	}
	return strings.Join(flags[:last], ", ") + " and " + flags[last] + " are missing"
}

func repoFlag(c *cobra.Command, location *string) {
	c.Flags().StringVar(location, "repo", ".", "where the repository is: a folder, s3://, gs://, azblob://, nats:// or oci://")
}

func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

func listCommand() *cobra.Command {
	var folder string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the releases", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := openReadable(c.Context(), folder)
			if err != nil {
				return err
			}
			list, err := repo.Open(s).List(c.Context())
			if err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintf(c.ErrOrStderr(), "note: there is no release in %s\n", s)
			}
			if asJSON {
				if list == nil {
					list = []repo.Release{}
				}
				return printJSON(c.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, r := range list {
				state := r.Err
				if r.Spec != nil {
					state = r.Spec.Sha256Hash
				}
				fmt.Fprintf(w, "%s\t%s/%s\t%s\n", r.Version, r.OS, r.Arch, state)
			}
			return w.Flush()
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	return c
}

func removeCommand() *cobra.Command {
	var folder string
	var p platform
	var k keyFlags
	var asJSON, force bool
	c := &cobra.Command{
		Use: "remove --version V --os OS --arch ARCH", Short: "Remove a release for one platform", Args: noArgs,
		Long: "Remove a release for one platform. One that a channel names stays; take it out with\n" +
			"`update-repo channel drop` first. prune removes all but the newest versions.",
		Example: "  update-repo remove --version 1.2.3 --os linux --arch amd64 --repo /srv/repo",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			r, err := k.openThere(c, folder)
			if err != nil {
				return err
			}
			if force {
				r.IgnoreChannels()
			}
			n, err := r.Remove(c.Context(), p.version, p.os, p.arch)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"version": p.version, "os": p.os, "arch": p.arch, "files": n})
			}
			fmt.Fprintf(c.OutOrStdout(), "removed %d files\n", n)
			return nil
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	p.flags(c)
	k.flags(c)
	c.Flags().BoolVar(&force, "force", false, "though a channel names it")
	return c
}
