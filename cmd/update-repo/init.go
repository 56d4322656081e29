package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/stores"
)

// initFlags are what init is told.
type initFlags struct {
	keyFlags
	product, repo, out, kind string
	thresholds, publics      []string
	expires                  []string
	unencrypted, asJSON      bool
}

func initCommand() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init --product NAME",
		Short: "Make keys, and sign the repository and all releases in it",
		Long: "init makes three keys: root (keep it offline), release (signs what is published) and timestamp (renews\n" +
			"the repository's proof of freshness, for cron or CI), and with them the first metadata. Releases that are there\n" +
			"already are signed in place; clients that check no signatures go on working.\n\n" +
			"The keys' folder (--keys, ./keys unless told) has to be outside the repository (--repo, the folder where you are unless told),\n" +
			"which is served: name one of them.",
		Example: "  update-repo init --product choria --repo /srv/repo --keys ~/choria-keys",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.flags(c)
	repoFlag(c, &f.repo)
	jsonFlag(c, &f.asJSON)
	c.Flags().StringVar(&f.product, "product", "", "name of the product that is published here")
	c.Flags().StringVar(&f.out, "out", "trust-root.json", "file for the trust root, which programs embed")
	c.Flags().StringVar(&f.kind, "kind", repo.Ed25519, "kind of the keys: ed25519 or ecdsa")
	c.Flags().StringArrayVar(&f.thresholds, "threshold", nil, "ROLE=N: signatures that a role needs")
	c.Flags().StringArrayVar(&f.publics, "key", nil, "ROLE=FILE.pub: another maintainer's key for a role")
	expiresFlag(c, &f.expires)
	c.Flags().BoolVar(&f.unencrypted, "no-passphrase", false, "leave the private keys UNENCRYPTED, for CI with its own secret store")
	return c
}

func expiresFlag(c *cobra.Command, list *[]string) {
	c.Flags().StringArrayVar(list, "expires", nil,
		"ROLE=DURATION: for how long metadata is good (root=17520h, targets=8760h, snapshot=8760h, timestamp=720h)")
}

func (f *initFlags) run(c *cobra.Command) error {
	if f.product == "" {
		return usageError{fmt.Errorf("--product is missing")}
	}
	if err := f.checkOutside(f.repo); err != nil {
		return err
	}
	init := repo.Init{Product: f.product, Keys: map[string][]*repo.PublicKey{}, Thresholds: map[string]int{}}
	if err := f.parse(&init); err != nil {
		return err
	}
	// All that can be refused is, before there are keys for nothing.
	s, err := stores.OpenStore(c.Context(), f.repo, stores.Options{})
	if err != nil {
		return err
	}
	if t, err := repo.Open(s).Trust(c.Context()); err == nil {
		return fmt.Errorf("%w, for %q", repo.ErrSigned, t.Product)
	} else if !errors.Is(err, repo.ErrUnsigned) {
		return err
	}
	if _, err := os.Lstat(f.out); err == nil {
		return fmt.Errorf("%s exists; name another file with --out", f.out)
	}
	made, err := f.makeKeys(c, &init)
	if err != nil {
		return err
	}
	r, err := f.unpinned(c, s)
	if err != nil {
		return err
	}
	signed := 0
	init.Progress = func(done, total int, release repo.Release) {
		signed = done
		signProgress(c.ErrOrStderr(), done, total, release)
	}
	root, err := r.Sign(c.Context(), init)
	if err != nil {
		return err
	}
	for _, name := range []string{f.pin(), f.out} {
		if err := os.WriteFile(name, root, 0o644); err != nil {
			return err
		}
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), map[string]any{"trustRoot": f.out, "keys": made, "releases": signed})
	}
	f.explain(c.OutOrStdout(), made, signed)
	return nil
}

// parse reads --threshold, --key and --expires. `release` stands for targets and snapshot.
func (f *initFlags) parse(init *repo.Init) error {
	for _, s := range f.thresholds {
		role, value, _ := strings.Cut(s, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return usageError{fmt.Errorf("--threshold %s is not ROLE=N", s)}
		}
		roles, err := roleArg(role)
		if err != nil {
			return err
		}
		for _, role := range roles {
			init.Thresholds[role] = n
		}
	}
	for _, s := range f.publics {
		role, file, ok := strings.Cut(s, "=")
		if !ok {
			return usageError{fmt.Errorf("--key %s is not ROLE=FILE.pub", s)}
		}
		roles, err := roleArg(role)
		if err != nil {
			return err
		}
		key, err := readPublicKey(file)
		if err != nil {
			return err
		}
		for _, role := range roles {
			init.Keys[role] = append(init.Keys[role], key)
		}
	}
	for role, n := range init.Thresholds {
		if keys := 1 + len(init.Keys[role]); n > keys {
			return misuse("name other maintainers' keys with --key "+role+"=FILE.pub", "%s has %d keys, so its threshold cannot be %d", role, keys, n)
		}
	}
	var err error
	init.Lifetimes, err = parseLifetimes(f.expires)
	return err
}

func rolesOf(name string) []string {
	if name == "release" {
		return []string{"targets", "snapshot"}
	}
	return []string{name}
}

func parseLifetimes(list []string) (repo.Lifetimes, error) {
	l := repo.Lifetimes{}
	for _, s := range list {
		role, value, _ := strings.Cut(s, "=")
		d, err := time.ParseDuration(value)
		if err != nil {
			return nil, usageError{fmt.Errorf("--expires %s is not ROLE=DURATION, as in timestamp=48h", s)}
		}
		for _, role := range rolesOf(role) {
			l[role] = d
		}
	}
	if err := l.Check(); err != nil {
		return nil, usageError{err}
	}
	return l, nil
}

func readPublicKey(name string) (*repo.PublicKey, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	key, err := repo.ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// makeKeys makes the three keys of a single maintainer.
func (f *initFlags) makeKeys(c *cobra.Command, init *repo.Init) (map[string]string, error) {
	made := map[string]string{}
	for _, name := range []string{"root", "release", "timestamp"} {
		file, err := f.makeKey(c, name, name, f.kind, f.unencrypted)
		if err != nil {
			return nil, err
		}
		made[name] = file.Path
		for _, role := range rolesOf(name) {
			init.Keys[role] = append(init.Keys[role], file.Public())
		}
	}
	return made, nil
}

// signProgress draws a line on a terminal.
func signProgress(w io.Writer, done, total int, release repo.Release) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	fmt.Fprintf(w, "\r\x1b[Ksigning %d of %d: %s", done, total, release)
	if done == total {
		fmt.Fprintln(w)
	}
}

func (f *initFlags) explain(w io.Writer, made map[string]string, signed int) {
	if signed > 0 {
		fmt.Fprintf(w, "%d releases that were there are signed.\n\n", signed)
	}
	fmt.Fprintf(w, `Put %s beside your program's source, and paste:

	import _ "embed"

	//go:embed %s
	var trustRoot []byte

and give updater.TrustRoot(trustRoot) to updater.Apply.

Keys:
	%s	keep it OFFLINE, with a copy elsewhere; it alone replaces the other keys
	%s	signs releases: where you publish
	%s	renews the timestamp, from cron or CI: update-repo timestamp

`, f.out, filepath.Base(f.out), made["root"], made["release"], made["timestamp"])
}
