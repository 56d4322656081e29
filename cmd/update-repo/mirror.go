package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores"
	"github.com/choria-io/go-updater/stores/tarfile"
)

func mirrorCommand() *cobra.Command {
	var o repo.MirrorOptions
	var root, since string
	var asJSON bool
	c := &cobra.Command{
		Use: "mirror SRC DST", Short: "Copy a repository to another place, as far as it is not there yet",
		Long: "Copy a repository to another place, as far as it is not there yet. SRC is whatever can be read, DST\n" +
			"whatever can be written: a folder, s3://, gs://, azblob://, nats:// or oci://.\n\n" +
			"A signed repository is walked by its metadata, so that SRC may be a web server. All is verified as clients do it\n" +
			"before it gets its name, and what was copied becomes current last, at once. What is older than DST has, or has expired, is\n" +
			"refused. DST's own roots are gone on from; a DST that has none believes SRC about its first, unless --trust-root\n" +
			"names one. A mirror that was interrupted is gone on with by running it again.\n\n" +
			"--platform, --channel and --keep take a part: releases whole, and all metadata, since it is signed so. Verify\n" +
			"such a mirror with update-repo verify --partial. Nothing is deleted without --prune.\n\n" +
			"A location that ends in .tar is one file, to be carried to where no network leads: mirror to it here, and from it there. It is\n" +
			"written anew each time, and appears whole. --since makes a smaller one, for a place that has what that names.",
		Example: "  update-repo mirror https://repo.example.net/updater /srv/mirror --trust-root trust-root.json\n" +
			"  update-repo mirror /srv/repo s3://bucket/repo --channel stable --platform linux/amd64\n" +
			"  update-repo mirror https://repo.example.net/updater repo.tar; update-repo mirror repo.tar /srv/repo",
		Args: needArgs(2, 2, "the source or the destination"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkPart(c, o.Part); err != nil {
				return err
			}
			if root != "" {
				var err error
				if o.Root, err = readTrustRoot(root); err != nil {
					return err
				}
			}
			m, err := runMirror(c, args[0], args[1], since, o)
			if err != nil {
				return err
			}
			return printMirrored(c, m, asJSON)
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&root, "trust-root", "", "the trust root that SRC has to follow from; a file that init wrote")
	c.Flags().StringVar(&since, "since", "", "leave out of the archive DST what the repository at this location, which the receiver has, has already")
	c.Flags().StringArrayVar(&o.Part.Platforms, "platform", nil, "take this platform alone, OS/ARCH, with its variants; may be repeated")
	c.Flags().StringArrayVar(&o.Part.Channels, "channel", nil, "take this channel alone, and the versions that it names; may be repeated")
	c.Flags().IntVar(&o.Part.Keep, "keep", 0, "take the newest versions of each platform, so many, beside those that channels name")
	c.Flags().IntVar(&o.Jobs, "jobs", 4, "files that are copied at once")
	c.Flags().BoolVar(&o.Check, "check", false, "hash every file of DST again; without it those are believed that DST's metadata lists with the size that they have")
	c.Flags().BoolVar(&o.Prune, "prune", false, "remove releases and channels from DST that the part does not take or SRC has no more")
	c.Flags().BoolVar(&o.Dry, "dry-run", false, "only say what would be copied")
	return c
}

func checkPart(c *cobra.Command, p repo.Part) error {
	for _, platform := range p.Platforms {
		if goos, arch, ok := strings.Cut(platform, "/"); !ok || goos == "" || arch == "" || strings.Contains(arch, "/") {
			return usageError{fmt.Errorf("--platform %q is not OS/ARCH", platform)}
		}
	}
	if c.Flags().Changed("keep") && p.Keep < 1 {
		return usageError{errors.New("--keep has to be 1 or more")}
	}
	if jobs, err := c.Flags().GetInt("jobs"); err != nil || jobs < 1 || jobs > 64 {
		return usageError{errors.New("--jobs has to be from 1 to 64")}
	}
	return nil
}

func runMirror(c *cobra.Command, from, to, since string, o repo.MirrorOptions) (*repo.Mirrored, error) {
	src, err := openReader(c.Context(), from)
	if err != nil {
		return nil, err
	}
	bar := newBar(c.ErrOrStderr())
	start := time.Now()
	o.Progress = func(p repo.MirrorProgress) { bar.status(mirrorLine(p, time.Since(start))) }
	defer bar.end()
	if stores.IsArchive(to) {
		return export(c, src, to, since, o)
	}
	if since != "" {
		return nil, usageError{fmt.Errorf("--since is for archives, and %s does not end in %s", to, tarfile.Suffix)}
	}
	if err := checkFolderName(to); err != nil {
		return nil, err
	}
	dst, err := stores.OpenStore(c.Context(), to, stores.Options{})
	if err != nil {
		return nil, err
	}
	return repo.Mirror(c.Context(), src, dst, o)
}

// checkFolderName refuses to make a folder that looks like an archive.
func checkFolderName(to string) error {
	for _, suffix := range []string{".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip"} {
		if _, err := os.Stat(to); strings.HasSuffix(to, suffix) && !strings.Contains(to, "://") && err != nil {
			return usageError{fmt.Errorf("%s is no archive that mirror writes: those end in %s, what they hold is compressed already", to, tarfile.Suffix)}
		}
	}
	return nil
}

// export writes an archive, in the place of the one that is there. What that one has, or the repository that since names, is what the source
// may not be older than.
func export(c *cobra.Command, src store.Reader, to, since string, o repo.MirrorOptions) (*repo.Mirrored, error) {
	if o.Prune {
		return nil, usageError{errors.New("--prune is not for archives, which are written anew")}
	}
	before, err := openBefore(c, to, since)
	if err != nil {
		return nil, err
	}
	w, err := tarfile.Create(to)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	o.Before, o.Since, o.Jobs = before, since != "", 1 // one after the other, as the archive has them
	m, err := repo.Mirror(c.Context(), src, w, o)
	if c, ok := before.(io.Closer); ok {
		c.Close() // Windows replaces no file that is open
	}
	if err != nil || o.Dry {
		return m, err
	}
	return m, w.Commit()
}

func openBefore(c *cobra.Command, to, since string) (store.Reader, error) {
	if since != "" {
		return openReader(c.Context(), since)
	}
	before, err := tarfile.Open(to)
	if errors.Is(err, fs.ErrNotExist) {
		return &store.Mem{}, nil
	}
	return before, err
}

// mirrorLine says how far a mirror is.
func mirrorLine(p repo.MirrorProgress, elapsed time.Duration) string {
	rate := 0.0
	if elapsed > 0 {
		rate = float64(p.BytesCopied) / elapsed.Seconds() / 1e6
	}
	return fmt.Sprintf("%d of %d files, %.1f of %.1f MB, %.1f MB/s", p.Files, p.FilesTotal, float64(p.Bytes)/1e6, float64(p.BytesTotal)/1e6, rate)
}

func printMirrored(c *cobra.Command, m *repo.Mirrored, asJSON bool) error {
	for _, r := range m.Remarks {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s\n", r)
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), m)
	}
	return sayMirrored(c.OutOrStdout(), m)
}

func sayMirrored(w io.Writer, m *repo.Mirrored) error {
	copied, removed := "copied", "removed"
	if m.Dry {
		copied, removed = "would copy", "would remove"
	}
	if m.Product != "" {
		fmt.Fprintf(w, "signed: product %s, root version %d, timestamp version %d\n", m.Product, m.Root, m.Timestamp)
	}
	for _, name := range m.Removed {
		fmt.Fprintf(w, "%s %s\n", removed, name)
	}
	_, err := fmt.Fprintf(w, "%s %d files, %d bytes; %d were there already; %d are left out\n", copied, m.Copied, m.Bytes, m.Present, m.Left)
	return err
}

// mirrorHint says what to do about errors of a mirror, which are not those of a client or a publisher.
func mirrorHint(err error) string {
	switch {
	case errors.Is(err, updater.ErrExpired):
		return "a mirror of it would be no news to clients: have the source signed anew (update-repo timestamp, or sign --renew)"
	case errors.Is(err, updater.ErrOlderMetadata):
		return "find out whether the source was restored from a backup, lags behind, or is attacked; DST stays as it is"
	case errors.Is(err, repo.ErrDiverged):
		return "publish to one of them alone; mirror that to an empty place"
	case errors.Is(err, updater.ErrUntrusted), errors.Is(err, repo.ErrUntrusted), errors.Is(err, updater.ErrMetadata):
		return "the source does not follow from the roots of DST or from --trust-root: compare it with the trust root that your programs embed"
	case errors.Is(err, updater.ErrRejected):
		return "update-repo verify says what is damaged in the source, if it can be listed; what was copied before is kept"
	case errors.Is(err, tarfile.ErrInvalid):
		return "copy the file again, or remove it where it is to be written; update-repo mirror SRC FILE.tar makes one"
	case errors.Is(err, stores.ErrReadOnly):
		return "name the bucket or the folder behind the web server"
	}
	return ""
}
