package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
)

var errDamaged = errors.New("the repository is damaged")

// verification is what verify prints as JSON.
type verification struct {
	Releases []repo.Release `json:"releases"` // with an error where one is damaged
	Unnamed  []string       `json:"unnamed"`  // files that no release.json names
	Baseless []string       `json:"baseless"` // deltas whose base no release has any more
	Trust    *repo.Audit    `json:"trust,omitempty"`
	Channels []string       `json:"channels"` // what is wrong with channels
}

func verifyCommand() *cobra.Command {
	var folder, key string
	var asJSON, partial bool
	var k keyFlags
	c := &cobra.Command{
		Use: "verify", Short: "Fetch, hash and decode every artifact, as clients do", Args: noArgs,
		Long: "Fetch, hash and decode every artifact, as clients do. A file that is missing or\n" +
			"other than release.json says is damage (exit code 4). A file in a release's folder that\n" +
			"release.json does not name is a warning: no client fetches it. Each delta is applied to its base;\n" +
			"where no release has that any more, it is a warning, too.\n\n" +
			"A signed repository is walked as programs do that start from any of its roots, and\n" +
			"each release is fetched with its trust root. With --partial it may be a mirror of a part: releases and channels that\n" +
			"the metadata names may be missing, each as a whole.",
		RunE: func(c *cobra.Command, _ []string) error {
			public, err := parsePublicKey(key)
			if err != nil {
				return err
			}
			s, err := openReadable(c.Context(), folder)
			if err != nil {
				return err
			}
			r, err := k.pinned(c, s)
			if err != nil {
				return err
			}
			if partial {
				r.Partial()
			}
			v, opts, err := survey(c, r)
			if err != nil {
				return err
			}
			if len(v.Releases)+len(v.Unnamed) == 0 {
				return fmt.Errorf("there is no release in %s", folder)
			}
			if partial && v.Trust == nil {
				return usageError{errors.New("--partial is for signed repositories: of another, what is missing is not known")}
			}
			if partial {
				v.Baseless = []string{} // bases may be among what is left out
			}
			fetch := func(release repo.Release) error { return repo.Verify(c.Context(), s, release, public, opts...) }
			if err := v.fetchAll(c, fetch, asJSON); err != nil {
				return err
			}
			perr := v.print(c, asJSON)
			if err := v.damage(c); err != nil {
				return err
			}
			return perr
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	k.flags(c)
	c.Flags().BoolVar(&partial, "partial", false, "it is a mirror of a part: what the metadata names may be left out, by whole releases and channels")
	c.Flags().StringVar(&key, "public-key", "", "also check signatures with this key, in hex")
	return c
}

// survey reads all but the releases' files. The options are for fetching those with each trust root.
func survey(c *cobra.Command, r *repo.Repo) (v verification, opts []updater.Option, err error) {
	if v.Releases, err = r.List(c.Context()); err != nil {
		return v, nil, err
	}
	if v.Unnamed, err = r.Unnamed(c.Context()); err != nil {
		return v, nil, err
	}
	if v.Baseless, err = r.Baseless(c.Context()); err != nil {
		return v, nil, err
	}
	if v.Trust, opts, err = audit(c, r); err != nil {
		return v, nil, err
	}
	v.Channels, err = checkChannels(c, r, v.Trust)
	return v, opts, err
}

// fetchAll fetches every release and says of each how it is; the error is that of being interrupted.
func (v *verification) fetchAll(c *cobra.Command, fetch func(repo.Release) error, asJSON bool) error {
	for i, release := range v.Releases {
		state := "good"
		if v.unsigned(release) {
			state = "not signed, and so not seen by clients with a trust root"
		} else if err := fetch(release); err != nil {
			if c.Context().Err() != nil {
				return err
			}
			state = err.Error()
			v.Releases[i].Err = state
		}
		if asJSON {
			continue
		}
		for _, line := range strings.Split(state, "\n") {
			fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", release, line)
		}
	}
	return nil
}

// unsigned tells whether a release is there that nobody signed: what an interrupted publish or mirror left, or what a mirror keeps that
// its source has removed. That is a warning of the audit's, and no damage.
func (v *verification) unsigned(r repo.Release) bool {
	return v.Trust != nil && slices.Contains(v.Trust.Unsigned, r.Version+"/"+r.OS+"/"+r.Arch+"/release.json")
}

// print prints all that fetchAll has not.
func (v *verification) print(c *cobra.Command, asJSON bool) error {
	for _, file := range v.Unnamed {
		fmt.Fprintf(c.ErrOrStderr(), "warning: no release.json names %s\n", file)
	}
	for _, file := range v.Baseless {
		fmt.Fprintf(c.ErrOrStderr(), "warning: no release has the base of %s; update-repo deltas drops it\n", file)
	}
	if asJSON {
		v.noNull()
		return printJSON(c.OutOrStdout(), v)
	}
	if v.Trust != nil {
		v.printAudit(c)
	}
	for _, p := range v.Channels {
		fmt.Fprintf(c.OutOrStdout(), "damaged: %s\n", p)
	}
	return nil
}

// noNull has empty lists printed as such.
func (v *verification) noNull() {
	lists := []*[]string{&v.Unnamed, &v.Baseless, &v.Channels}
	if a := v.Trust; a != nil {
		lists = append(lists, &a.Unsigned, &a.Problems, &a.Warnings)
		a.Roles, a.Expires = append([]repo.RoleKeys{}, a.Roles...), append([]repo.Expiry{}, a.Expires...)
	}
	for _, list := range lists {
		if *list == nil {
			*list = []string{}
		}
	}
	if v.Releases == nil {
		v.Releases = []repo.Release{}
	}
}

// told tells whether a problem of the audit is that of a file that a release's line is about.
func (v *verification) told(problem string) bool {
	path, _, _ := strings.Cut(problem, ": ")
	for _, r := range v.Releases {
		if file, ok := strings.CutPrefix(path, r.Version+"/"+r.OS+"/"+r.Arch+"/"); ok {
			return strings.Contains("\n"+r.Err, "\n"+file+": ") || strings.Contains(r.Err, " "+path+" ")
		}
	}
	return false
}

// untold are the problems of the audit that no release's line is about.
func (v *verification) untold() []string {
	if v.Trust == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(v.Trust.Problems), v.told)
}

// damage is the error for what is wrong, the metadata first.
func (v *verification) damage(c *cobra.Command) error {
	bad := 0
	for _, release := range v.Releases {
		if release.Err != "" {
			bad++
		}
	}
	untold := len(v.untold())
	switch {
	case untold > 0 && v.Trust.Root == 0:
		return advisedError{fmt.Errorf("%w: its metadata is not to be believed", errDamaged), signingHint(c, repo.ErrUntrusted)}
	case untold > 0:
		return advisedError{fmt.Errorf("%w: the signed metadata has %d problems", errDamaged, untold),
			"renew what has expired, as its line says; publish releases whose files are wrong again with --force, or remove them"}
	case len(v.Channels) > 0:
		return advisedError{fmt.Errorf("%w: channels have %d problems", errDamaged, len(v.Channels)),
			"publish what they name again, or take it out of them with update-repo channel drop"}
	case bad > 0:
		return fmt.Errorf("%w: %d of %d releases", errDamaged, bad, len(v.Releases))
	}
	return nil
}

// checkChannels returns what is wrong with channels, and warns of what may be. Where the metadata is not
// to be believed they cannot be read.
func checkChannels(c *cobra.Command, r *repo.Repo, a *repo.Audit) ([]string, error) {
	if a != nil && a.Root == 0 {
		return []string{}, nil
	}
	problems, warnings, err := r.CheckChannels(c.Context())
	for _, w := range warnings {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s\n", w)
	}
	if problems == nil {
		problems = []string{}
	}
	return problems, err
}

// audit walks the signed metadata, and returns the options with which the client trusts it; nil where there is none.
func audit(c *cobra.Command, r *repo.Repo) (*repo.Audit, []updater.Option, error) {
	bar := newBar(c.ErrOrStderr())
	a, err := r.Audit(c.Context(), func(_ string, done, total int) { bar.show("signed files", int64(done), int64(total)) })
	if errors.Is(err, repo.ErrUnsigned) {
		return nil, nil, nil
	}
	if err != nil || len(a.Problems) > 0 && a.Root == 0 {
		return a, nil, err
	}
	root, err := r.CurrentRoot(c.Context())
	if err != nil {
		return nil, nil, err
	}
	return a, []updater.Option{updater.TrustRoot(root)}, nil
}

func (v *verification) printAudit(c *cobra.Command) {
	a := v.Trust
	if a.Root > 0 {
		fmt.Fprintf(c.OutOrStdout(), "signed: product %s, root version %d, %d roles, %d files\n", a.Product, a.Root, a.RolesSeen, a.Files)
	}
	if a.Left > 0 {
		fmt.Fprintf(c.OutOrStdout(), "partial: %d more files are signed and left out\n", a.Left)
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s\n", w)
	}
	for _, p := range v.untold() {
		fmt.Fprintf(c.OutOrStdout(), "damaged: %s\n", p)
	}
}
