package main

import (
	"os"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
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
		root, err := os.ReadFile(t.root)
		if err != nil {
			return nil, err
		}
		opts = append(opts, updater.TrustRoot(root))
	}
	return opts, nil
}
