package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

func keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Make keys, and give them to roles or take them away"}
	c.AddCommand(keyNewCommand(), keyListCommand(), keyAddCommand(), keyRemoveCommand())
	return c
}

func keyNewCommand() *cobra.Command {
	var k keyFlags
	var role, kind string
	var unencrypted, asJSON bool
	c := &cobra.Command{
		Use: "new NAME", Short: "Make a key pair: NAME.key, which stays with its owner, and NAME.pub, for `key add`",
		Args: needArgs(1, 1, "the name of the key"),
		RunE: func(c *cobra.Command, args []string) error {
			if filepath.Base(args[0]) != args[0] || args[0] == "." || args[0] == ".." {
				return usageError{fmt.Errorf("%q is no plain name", args[0])}
			}
			path := filepath.Join(k.folder, args[0]+repo.KeySuffix)
			if _, err := os.Lstat(path); err == nil {
				return fmt.Errorf("%s exists; choose another name", path)
			}
			file, err := k.makeKey(c, args[0], role, kind, unencrypted)
			if err != nil {
				return err
			}
			public := repo.PublicKeyPath(path)
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]string{"id": file.Public().ID, "private": path, "public": public})
			}
			fmt.Fprintf(c.OutOrStdout(), "key %s\n%s: KEEP SECRET\n%s: give this to whoever runs update-repo key add\n", file.Public().ID, path, public)
			return nil
		},
	}
	k.flags(c)
	c.Flags().StringVar(&role, "role", "", "what the key is for, as a note in the file")
	c.Flags().StringVar(&kind, "kind", repo.Ed25519, "ed25519 or ecdsa")
	c.Flags().BoolVar(&unencrypted, "no-passphrase", false, "leave the private key UNENCRYPTED, for CI with its own secret store")
	jsonFlag(c, &asJSON)
	return c
}

func keyListCommand() *cobra.Command {
	var k keyFlags
	var folder string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "Tell who signs for what, until when that is good, and which keys are here", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := k.openReading(c, folder)
			if err != nil {
				return err
			}
			t, err := r.Trust(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), t)
			}
			files, err := repo.KeyFiles(k.folder)
			if err != nil {
				return err
			}
			return printTrust(c.OutOrStdout(), t, files)
		},
	}
	k.flags(c)
	repoFlag(c, &folder)
	jsonFlag(c, &asJSON)
	return c
}

func printTrust(out io.Writer, t *repo.Trust, files []*repo.KeyFile) error {
	fmt.Fprintf(out, "product %s, root version %d\n", t.Product, t.Root)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for i, role := range t.Roles {
		fmt.Fprintf(w, "%s\t%d of %d sign\tgood until %s\n", role.Role, role.Threshold, len(role.Keys), t.Expires[i].Expires.Format(time.RFC3339))
		for _, id := range role.Keys {
			where := "elsewhere"
			for _, f := range files {
				if f.Public().ID == id {
					where = f.Path
				}
			}
			fmt.Fprintf(w, "\t%s\t%s\n", id, where)
		}
	}
	return w.Flush()
}

func keyAddCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "add ROLE FILE.pub", Short: "Have another key sign for a role", Args: needArgs(2, 2, "the role or the public key file"),
		RunE: func(c *cobra.Command, args []string) error {
			roles, err := roleArg(args[0])
			if err != nil {
				return err
			}
			key, err := readPublicKey(args[1])
			if err != nil {
				return err
			}
			rc := repo.RootChange{Add: map[string][]*repo.PublicKey{}}
			for _, role := range roles {
				rc.Add[role] = []*repo.PublicKey{key}
			}
			return f.change(c, rc)
		},
	}
	f.flags(c)
	return c
}

func keyRemoveCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "remove ROLE ID|FILE.pub", Short: "Have a key not sign for a role any more", Args: needArgs(2, 2, "the role or the key"),
		RunE: func(c *cobra.Command, args []string) error {
			roles, err := roleArg(args[0])
			if err != nil {
				return err
			}
			id := args[1]
			if _, err := os.Lstat(id); err == nil {
				key, err := readPublicKey(id)
				if err != nil {
					return err
				}
				id = key.ID
			}
			if id, err = f.knownKey(c, id); err != nil {
				return err
			}
			rc := repo.RootChange{Remove: map[string][]string{}, Lost: f.lost}
			for _, role := range roles {
				rc.Remove[role] = []string{id}
			}
			return f.change(c, rc)
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&f.lost, "lost", false, "the key cannot sign any more: clients wait until the change is done")
	return c
}

// knownKey completes the start of a key's id.
func (f *rootFlags) knownKey(c *cobra.Command, start string) (string, error) {
	r, err := f.keyFlags.openThere(c, f.repo)
	if err != nil {
		return "", err
	}
	t, err := r.Trust(c.Context())
	if err != nil {
		return "", err
	}
	var found []string
	for _, role := range t.Roles {
		for _, id := range role.Keys {
			if len(start) >= 8 && len(id) >= len(start) && id[:len(start)] == start && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
	}
	if len(found) != 1 {
		return "", usageError{fmt.Errorf("%q is no key of a role, or less than 8 digits of its id; see update-repo key list", start)}
	}
	return found[0], nil
}
