package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
)

func publisherHint(err error) string {
	switch {
	case errors.Is(err, repo.ErrExists):
		return "publish it under a new version, or replace it with --force"
	case errors.Is(err, updater.ErrNotExecutable), errors.Is(err, updater.ErrOtherPlatform):
		return "check --os and --arch, or publish it anyway with --force"
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
	for _, f := range []struct{ name, value string }{{"version", p.version}, {"os", p.os}, {"arch", p.arch}} {
		if f.value == "" {
			return usageError{fmt.Errorf("--%s is missing", f.name)}
		}
	}
	return nil
}

func repoFlag(c *cobra.Command, folder *string) {
	c.Flags().StringVar(folder, "repo", ".", "folder of the repository")
}

func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

func addCommand() *cobra.Command {
	var p platform
	var a repo.Addition
	var folder, keyFile string
	var asJSON bool
	c := &cobra.Command{
		Use:     "add FILE...",
		Short:   "Publish binaries",
		Example: "  update-repo add choria --version 1.2.3 --os linux --arch amd64 --repo /srv/repo",
		Args:    needArgs(1, "the file to publish"),
		RunE: func(c *cobra.Command, files []string) error {
			if err := p.check(); err != nil {
				return err
			}
			if a.Zst != "" && len(files) > 1 {
				return usageError{errors.New("--zst is for one file")}
			}
			a.Version, a.OS, a.Arch = p.version, p.os, p.arch
			if keyFile != "" {
				key, err := readKey(keyFile)
				if err != nil {
					return err
				}
				a.Key = key
			}
			if len(files) > 1 {
				return usageError{errors.New("a release has one binary for a platform; add the others with other versions or platforms")}
			}
			a.Path, a.Name = files[0], filepath.Base(files[0])
			if a.OS == "windows" {
				a.Name = strings.TrimSuffix(a.Name, ".exe")
			}
			release, err := repo.Open(store.NewDir(folder)).Add(c.Context(), a)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), release)
			}
			for _, artifact := range release.Spec.Artifacts {
				fmt.Fprintf(c.OutOrStdout(), "%s/%s/%s/%s\t%d bytes\n", a.Version, a.OS, a.Arch, artifact.File, artifact.Size)
			}
			return nil
		},
	}
	p.flags(c)
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&a.Force, "force", false, "replace what is there, and accept any file and platform")
	c.Flags().BoolVar(&a.Uncompressed, "uncompressed", false, "additionally store the file uncompressed")
	c.Flags().StringVar(&a.Zst, "zst", "", "use this zstd archive of the binary instead of making one")
	c.Flags().StringVar(&keyFile, "sign-key", "", "sign with the private key in this file, see keygen")
	return c
}

func listCommand() *cobra.Command {
	var folder string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the releases", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := repo.Open(store.NewDir(folder)).List(c.Context())
			if err != nil {
				return err
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

func verifyCommand() *cobra.Command {
	var folder, key string
	var asJSON bool
	c := &cobra.Command{
		Use: "verify", Short: "Fetch, hash and decode every artifact, as clients do", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			public, err := parsePublicKey(key)
			if err != nil {
				return err
			}
			list, err := repo.Open(store.NewDir(folder)).List(c.Context())
			if err != nil {
				return err
			}
			bad := 0
			for i, r := range list {
				list[i].Err = ""
				if err := repo.Verify(c.Context(), folder, r, public); err != nil {
					bad++
					list[i].Err = err.Error()
				}
				if !asJSON && list[i].Err == "" {
					fmt.Fprintf(c.OutOrStdout(), "%s: good\n", r)
				}
				if !asJSON && list[i].Err != "" {
					fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", r, list[i].Err)
				}
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), list)
			}
			if bad > 0 {
				return fmt.Errorf("%w: %d of %d releases", errDamaged, bad, len(list))
			}
			return err
		},
	}
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&key, "public-key", "", "also check signatures with this key, in hex")
	return c
}

func removeCommand() *cobra.Command {
	var folder string
	var p platform
	c := &cobra.Command{
		Use: "remove", Short: "Remove a release", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			n, err := repo.Open(store.NewDir(folder)).Remove(c.Context(), p.version, p.os, p.arch)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "removed %d files\n", n)
			return nil
		},
	}
	repoFlag(c, &folder)
	p.flags(c)
	return c
}

func keygenCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "keygen", Short: "Make a key to sign releases with, and print its public half", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			public, private, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f, hex.EncodeToString(private.Seed()))
			if cerr := f.Close(); err == nil {
				err = cerr
			}
			fmt.Fprintln(c.OutOrStdout(), hex.EncodeToString(public))
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "update-repo.key", "file for the private key; it must not exist")
	return c
}

func readKey(name string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s holds no private key of keygen", name)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func parsePublicKey(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	key, err := hex.DecodeString(s)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, usageError{errors.New("--public-key is no Ed25519 key of 64 hex digits")}
	}
	return key, nil
}
