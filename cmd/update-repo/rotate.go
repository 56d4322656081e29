package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

// rootFlags are those of commands that make the next root.
type rootFlags struct {
	keyFlags
	repo   string
	lost   bool
	asJSON bool
}

func (f *rootFlags) flags(c *cobra.Command) {
	f.keyFlags.flags(c)
	repoFlag(c, &f.repo)
	jsonFlag(c, &f.asJSON)
}

// change makes the next root and says what has become of it.
func (f *rootFlags) change(c *cobra.Command, rc repo.RootChange) error {
	r, err := f.keyFlags.openThere(c, f.repo)
	if err != nil {
		return err
	}
	if err := r.ChangeRoot(c.Context(), rc); err != nil {
		return err
	}
	t, err := r.Trust(c.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), t)
	}
	fmt.Fprintf(c.OutOrStdout(), "root version %d is published; programs find it by themselves\n", t.Root)
	return nil
}

// roleArg reads a role; `release` stands for targets and snapshot.
func roleArg(name string) ([]string, error) {
	if slices.Contains([]string{"root", "release", "targets", "snapshot", "timestamp"}, name) {
		return rolesOf(name), nil
	}
	return nil, usageError{fmt.Errorf("there is no role %q; the roles are root, release (targets and snapshot), targets, snapshot and timestamp", name)}
}

func thresholdCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "threshold ROLE N", Short: "Have a role need N signatures", Args: needArgs(2, 2, "the role or the number"),
		RunE: func(c *cobra.Command, args []string) error {
			roles, err := roleArg(args[0])
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return usageError{fmt.Errorf("%q is no number from 1 on", args[1])}
			}
			rc := repo.RootChange{Thresholds: map[string]int{}}
			for _, role := range roles {
				rc.Thresholds[role] = n
			}
			return f.change(c, rc)
		},
	}
	f.flags(c)
	return c
}

func rotateCommand() *cobra.Command {
	var f rootFlags
	var kind string
	var expires []string
	var renew, unencrypted bool
	c := &cobra.Command{
		Use:   "rotate ROLE",
		Short: "Replace the keys of a role that are here by a new one",
		Long: "rotate makes a new key, and a root in which it stands for the role's keys that are in the keys' folder. What is served\n" +
			"verifies by old and new keys all the while, so that programs notice nothing. The root is signed by the\n" +
			"keys of root, old and new.\n\n" +
			"Without a ROLE, --renew makes a root with a later expiry, and --expires changes for how long metadata is good.",
		Args: needArgs(0, 1, "the role"),
		RunE: func(c *cobra.Command, args []string) error {
			lifetimes, err := parseLifetimes(expires)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if !renew && len(lifetimes) == 0 {
					return usageError{errors.New("the role is missing")}
				}
				return f.change(c, repo.RootChange{Lifetimes: lifetimes})
			}
			if err := f.checkOutside(f.repo); err != nil {
				return err
			}
			rc, retired, err := f.replacement(c, args[0], kind, unencrypted)
			if err != nil {
				return err
			}
			rc.Lifetimes = lifetimes
			if err := f.change(c, *rc); err != nil {
				return err
			}
			for _, path := range retired {
				fmt.Fprintf(c.ErrOrStderr(), "%s signs for %s no more; destroy it unless another role needs it\n", path, args[0])
			}
			return nil
		},
	}
	f.flags(c)
	c.Flags().StringVar(&kind, "kind", repo.Ed25519, "kind of the new key: ed25519 or ecdsa")
	c.Flags().BoolVar(&unencrypted, "no-passphrase", false, "leave the new private key UNENCRYPTED, for CI with its own secret store")
	c.Flags().BoolVar(&f.lost, "lost", false, "the old keys are lost: all of the role's keys are replaced, without their signatures; clients wait until that is done")
	c.Flags().BoolVar(&renew, "renew", false, "without a role: a root with a later expiry")
	expiresFlag(c, &expires)
	return c
}

// replacement makes the key that replaces those of a role: the ones that are here, or all if they are lost.
func (f *rootFlags) replacement(c *cobra.Command, name, kind string, unencrypted bool) (*repo.RootChange, []string, error) {
	roles, err := roleArg(name)
	if err != nil {
		return nil, nil, err
	}
	r, err := f.keyFlags.openThere(c, f.repo)
	if err != nil {
		return nil, nil, err
	}
	used, err := r.UsedKeys(c.Context())
	if err != nil {
		return nil, nil, err
	}
	files, err := repo.KeyFiles(f.folder)
	if err != nil {
		return nil, nil, err
	}
	rc := &repo.RootChange{Add: map[string][]*repo.PublicKey{}, Remove: map[string][]string{}, Lost: f.lost}
	var retired []string
	fresh := ""
	for _, file := range files {
		id := file.Public().ID
		for _, role := range roles {
			if slices.Contains(used.Now[role], id) {
				rc.Remove[role] = append(rc.Remove[role], id)
				if !slices.Contains(retired, file.Path) {
					retired = append(retired, file.Path)
				}
			}
		}
		if file.Role == name && !used.Ever[id] {
			fresh = file.Path // of a rotation that was interrupted
		}
	}
	for _, role := range roles {
		if f.lost {
			rc.Remove[role] = used.Now[role]
		} else if len(rc.Remove[role]) == 0 {
			return nil, nil, fmt.Errorf("none of the keys of %s is in %s: %w", role, f.folder, errKeyNotHere)
		}
	}
	if fresh == "" {
		fresh = filepath.Join(f.folder, fmt.Sprintf("%s-%s%s", name, time.Now().UTC().Format("20060102-150405"), repo.KeySuffix))
	}
	base := filepath.Base(fresh)
	key, err := f.makeKey(c, base[:len(base)-len(repo.KeySuffix)], name, kind, unencrypted)
	if err != nil {
		return nil, nil, err
	}
	for _, role := range roles {
		rc.Add[role] = []*repo.PublicKey{key.Public()}
	}
	return rc, retired, nil
}

var errKeyNotHere = errors.New("nothing to replace")
