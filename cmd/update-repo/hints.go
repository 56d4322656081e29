package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

// signingHint says what to do about errors of signed repositories.
func signingHint(c *cobra.Command, err error) string {
	switch {
	case errors.Is(err, repo.ErrStaged):
		return "update-repo sign --export FILE writes it for the other maintainers; update-repo sign --discard gives it up"
	case errors.Is(err, repo.ErrWaiting):
		return "nothing of yours was kept: have the other one signed (update-repo sign), or give it up (update-repo sign --discard), and run this again"
	case errors.Is(err, errKeyNotHere):
		return "name their folder with --keys; if they are lost, replace them with --lost"
	case errors.Is(err, repo.ErrKeys):
		return "name the folder of the private keys with --keys or " + keysVariable
	case errors.Is(err, repo.ErrUnsigned):
		return "update-repo init makes keys and signs it"
	case errors.Is(err, repo.ErrSigned):
		return "its trust root is metadata/1.root.json; embed that file"
	case errors.Is(err, repo.ErrUntrusted):
		return wrongKeys(c) + "find out who wrote the metadata before you publish; a copy from before can be put back"
	case errors.Is(err, repo.ErrBusy):
		return "run it again when the other is done"
	case errors.Is(err, repo.ErrPassphrase), errors.Is(err, errNoPassphrase):
		return "type it, set " + passphraseVariable + ", or name a file with --passphrase-file"
	case errors.Is(err, repo.ErrKeyMode):
		return "chmod 600 the file; if others could read it and it has no passphrase, replace the key with update-repo rotate"
	}
	return ""
}

// wrongKeys asks first whether the trust root beside the keys, where there is one, is that of this repository: the variable may name the
// keys of another product.
func wrongKeys(c *cobra.Command) string {
	keys := c.Flags().Lookup("keys")
	if keys == nil {
		return ""
	}
	pin := filepath.Join(keys.Value.String(), pinName)
	if _, err := os.Lstat(pin); err != nil {
		return ""
	}
	return fmt.Sprintf("is this the repository whose trust root is %s? name others with --repo or --keys; if it is, ", pin)
}
