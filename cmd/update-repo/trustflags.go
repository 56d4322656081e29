package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
)

// trustFlags are the flags of the commands that install: what is to be trusted.
type trustFlags struct {
	key, root, product string
	downgrade          bool
}

func (t *trustFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.root, "trust-root", "", "install only what the keys of this trust root stand behind; a file that init wrote")
	c.Flags().StringVar(&t.product, "product", "", "the product, where it is not the one that the trust root names")
	c.Flags().BoolVar(&t.downgrade, "allow-downgrade", false, "install a version that is older than the current one, which is refused with --trust-root")
	c.Flags().StringVar(&t.key, "public-key", "", "install only what this key of keygen signed, in hex")
}

// readTrustRoot reads what --trust-root names.
func readTrustRoot(name string) ([]byte, error) {
	root, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := repo.CheckTrustRoot(root); err != nil {
		return nil, misuse("name the trust-root.json that update-repo init wrote", "--trust-root: %s is no trust root: %w", name, err)
	}
	return root, nil
}

// warning warns, when something is about to be installed, if nobody signed it.
func (t *trustFlags) warning(c *cobra.Command, tell func(updater.Event)) func(updater.Event) {
	return func(e updater.Event) {
		if e.Step == updater.StepSwap && t.root+t.key == "" {
			fmt.Fprintln(c.ErrOrStderr(), "warning: the release is checked by checksum alone; --trust-root FILE has signatures checked")
		}
		tell(e)
	}
}

func (t *trustFlags) options() ([]updater.Option, error) {
	public, err := parsePublicKey(t.key)
	if err != nil {
		return nil, err
	}
	opts := []updater.Option{updater.PublicKey(public), updater.Product(t.product)}
	if t.downgrade {
		opts = append(opts, updater.AllowDowngrade())
	}
	if t.root != "" {
		root, err := readTrustRoot(t.root)
		if err != nil {
			return nil, err
		}
		opts = append(opts, updater.TrustRoot(root))
	}
	return opts, nil
}
