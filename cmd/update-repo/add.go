package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
)

func addCommand() *cobra.Command {
	var p platform
	var a repo.Addition
	var k keyFlags
	var folder, keyFile, variant string
	var asJSON bool
	c := &cobra.Command{
		Use:   "add FILE...",
		Short: "Publish binaries",
		Long: "Publish binaries. `update-repo FILE...` is short for it.\n\n" +
			"Where --os or --arch is not given it is read from the file: Go binaries know both,\n" +
			"others at times. Several files are one release, each for its own platform. Nothing\n" +
			"is published before all files are understood.\n\n" +
			"Where the architecture is read from the file, so is its variant: what GOAMD64 or GOARM asks of\n" +
			"the host beyond the baseline. It is published beside the baseline, as amd64-v3 for example;\n" +
			"programs that follow a channel take the highest that their host can run, all others the\n" +
			"baseline. --variant says it instead: v3, musl, v3-musl, or none for the baseline.",
		Example: "  update-repo add choria --version 1.2.3 --os linux --arch amd64 --repo /srv/repo\n" +
			"  update-repo add build/*/choria --version 1.2.3 --repo /srv/repo",
		Args: needArgs(1, anyNumber, "the file to publish"),
		RunE: func(c *cobra.Command, files []string) error {
			if err := checkDeltas(a.Deltas); err != nil {
				return err
			}
			a.Deltas.Note = noteTo(c)
			todo, err := additions(c, files, p, variant, a)
			if err != nil {
				return err
			}
			var key []byte
			if keyFile != "" {
				if key, err = readKey(keyFile); err != nil {
					return err
				}
			}
			r, err := k.open(c, folder)
			if err != nil {
				return err
			}
			progress := newBar(c.ErrOrStderr())
			for i := range todo {
				todo[i].Key, todo[i].Progress = key, progress.show
			}
			done, err := r.AddAll(c.Context(), todo)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), done)
			}
			for _, release := range done {
				printArtifacts(c, release)
			}
			return nil
		},
	}
	p.flags(c)
	k.flags(c)
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	deltasFlag(c, &a.Deltas)
	c.Flags().StringVar(&variant, "variant", "", "variant of the architecture, or none (default: what the file says, unless --arch is given)")
	c.Flags().BoolVar(&a.Force, "force", false, "replace what is there, and accept any file and platform")
	c.Flags().BoolVar(&a.Uncompressed, "uncompressed", false, "additionally store the file uncompressed")
	c.Flags().StringVar(&a.Zst, "zst", "", "use this zstd archive of the binary instead of making one; clients decode windows of at most 8 MiB, as of zstd -19 --zstd=wlog=23")
	c.Flags().StringVar(&keyFile, "sign-key", "", "sign with the private key in this file, see keygen")
	return c
}

func printArtifacts(c *cobra.Command, r *repo.Release) {
	if r.There {
		fmt.Fprintf(c.ErrOrStderr(), "note: %s is there already, with these bytes; nothing has changed\n", r)
	}
	for _, artifact := range r.Spec.Artifacts {
		fmt.Fprintf(c.OutOrStdout(), "%s/%s/%s/%s\t%d bytes\n", r.Version, r.OS, r.Arch, artifact.File, artifact.Size)
	}
	for _, d := range r.Spec.Deltas {
		fmt.Fprintf(c.OutOrStdout(), "%s/%s/%s/%s\t%d bytes, from %s\n", r.Version, r.OS, r.Arch, d.File, d.Size, d.Version)
	}
}

// additions gives each file its platform, and refuses the whole call if one has none.
func additions(c *cobra.Command, files []string, p platform, variant string, common repo.Addition) ([]repo.Addition, error) {
	if p.version == "" {
		return nil, usageError{errors.New("--version is missing")}
	}
	if common.Zst != "" && len(files) > 1 {
		return nil, usageError{errors.New("--zst is for one file")}
	}
	taken := map[string]string{}
	var list []repo.Addition
	for _, file := range files {
		a := common
		a.Path, a.Version = file, p.version
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			return nil, usageError{fmt.Errorf("%s is a folder; name the files in it", file)}
		}
		if err := choosePlatform(&a, p); err != nil {
			return nil, err
		}
		if err := chooseVariant(c, &a, p, variant); err != nil {
			return nil, err
		}
		at := a.OS + "/" + a.Arch
		if first, ok := taken[at]; ok {
			return nil, usageError{fmt.Errorf("%s and %s are both for %s", first, file, at)}
		}
		taken[at] = file
		a.Name = filepath.Base(file)
		if a.OS == "windows" {
			a.Name = strings.TrimSuffix(a.Name, ".exe")
		}
		if err := checkNames(&a); err != nil {
			return nil, err
		}
		if err := a.Check(); err != nil { // Add does too, but after the files before
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// checkNames tells what of an addition was mistyped.
func checkNames(a *repo.Addition) error {
	if _, err := updater.Folder(a.Version, a.OS, a.Arch); err != nil {
		return usageError{err}
	}
	// Without a file all that can be wrong is the platform.
	if err := updater.CheckPlatform(strings.NewReader(""), a.OS, a.Arch); err != nil && !errors.Is(err, updater.ErrNotExecutable) && !a.Force {
		return usageError{err}
	}
	if err := updater.CheckFileName(a.Name); err != nil {
		return advisedError{usageError{err}, "publish it under a name of letters, digits and . _ -, without spaces: rename or copy the file"}
	}
	return nil
}

// chooseVariant adds to the architecture what the file asks of its host.
func chooseVariant(c *cobra.Command, a *repo.Addition, p platform, variant string) error {
	switch {
	case variant == "none", variant == "" && p.arch != "":
		return nil
	case variant == "":
		var err error
		if variant, err = repo.VariantOf(a.Path); err != nil || variant == "" {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "note: %s is built for %s: published as %s/%s-%s, beside the baseline; --variant none publishes it for all hosts\n",
			a.Path, variant, a.OS, a.Arch, variant)
	}
	a.Arch += "-" + variant
	return nil
}

func choosePlatform(a *repo.Addition, p platform) error {
	a.OS, a.Arch = p.os, p.arch
	if p.os != "" && p.arch != "" {
		return nil
	}
	goos, goarch, err := repo.PlatformOf(a.Path)
	if err != nil {
		return err
	}
	var missing []string
	for _, part := range []struct {
		flag, told string
		value      *string
	}{{"--os", goos, &a.OS}, {"--arch", goarch, &a.Arch}} {
		if *part.value == "" {
			*part.value = part.told
		}
		if *part.value == "" {
			missing = append(missing, part.flag)
		}
	}
	if len(missing) > 0 {
		return usageError{fmt.Errorf("%s, and %s does not tell", areMissing(missing), a.Path)}
	}
	return nil
}
