package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

// signFlags are what sign is told.
type signFlags struct {
	keyFlags
	repo           string
	export, bring  string
	key            []string
	renew, discard bool
	asJSON         bool
}

func signCommand() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use:   "sign [FILE]",
		Short: "Sign a change that several maintainers have to sign",
		Long: "A change that needs more signatures than there are keys at hand is staged in the repository.\n\n" +
			"  update-repo sign --export FILE     write it to a file, to be carried to other maintainers\n" +
			"  update-repo sign FILE --key K      show what it is and sign it there; needs no repository and no network\n" +
			"  update-repo sign --import FILE     bring it back; published once all signatures are there\n" +
			"  update-repo sign                   sign it with the keys at hand\n" +
			"  update-repo sign --discard         give it up\n" +
			"  update-repo sign --renew           sign all of targets and snapshot anew, with a new expiry",
		Args: needArgs(0, 1, ""),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return f.offline(c, args[0])
			}
			return f.online(c)
		},
	}
	f.flags(c)
	repoFlag(c, &f.repo)
	jsonFlag(c, &f.asJSON)
	c.Flags().StringVar(&f.export, "export", "", "write the staged change to this file")
	c.Flags().StringVar(&f.bring, "import", "", "take over the signatures in this file")
	c.Flags().StringArrayVar(&f.key, "key", nil, "private key file to sign FILE with (default: those in --keys)")
	c.Flags().BoolVar(&f.renew, "renew", false, "sign everything anew that the release keys sign")
	c.Flags().BoolVar(&f.discard, "discard", false, "give the staged change up")
	return c
}

// online works on the repository.
func (f *signFlags) online(c *cobra.Command) error {
	r, err := f.keyFlags.openThere(c, f.repo)
	if err != nil {
		return err
	}
	switch {
	case f.discard:
		return f.giveUp(c, r)
	case f.renew:
		err = r.Renew(c.Context())
	case f.export != "":
		return f.write(c, r)
	default:
		var p *repo.Proposal
		if f.bring != "" {
			if p, err = readProposal(f.bring); err == nil {
				err = f.summarize(c, p)
			}
			if err != nil {
				return err
			}
		} else if p, err = f.show(c, r); err != nil {
			return err
		}
		err = r.Import(c.Context(), p)
	}
	if err != nil {
		return err
	}
	if err := f.pinFirst(c, r); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), map[string]bool{"published": true})
	}
	fmt.Fprintln(c.OutOrStdout(), "signed and published")
	return nil
}

// giveUp discards what is staged, also where that cannot be read.
func (f *signFlags) giveUp(c *cobra.Command, r *repo.Repo) error {
	p, err := r.Staged(c.Context())
	waited := p != nil || err != nil
	if err := r.Discard(c.Context()); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), map[string]bool{"discarded": waited})
	}
	if !waited {
		_, err = fmt.Fprintln(c.OutOrStdout(), "no change waits for signatures")
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), "the staged change is given up")
	return err
}

// pinFirst keeps the root where there is none yet: when the first one needed several maintainers, init could not.
func (f *signFlags) pinFirst(c *cobra.Command, r *repo.Repo) error {
	if _, err := os.Lstat(f.pin()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	root, err := r.CurrentRoot(c.Context())
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.pin(), root, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s is the trust root; programs embed it\n", f.pin())
	return nil
}

// show tells what is about to be signed with the keys at hand, and returns it: what the store says then has to be the same.
func (f *signFlags) show(c *cobra.Command, r *repo.Repo) (*repo.Proposal, error) {
	p, err := r.Staged(c.Context())
	if err != nil || p == nil {
		return nil, err // Import says that there is none
	}
	return p, f.summarize(c, p)
}

func (f *signFlags) summarize(c *cobra.Command, p *repo.Proposal) error {
	pin, err := os.ReadFile(f.pin())
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(c.ErrOrStderr(), "warning: there is no %s to compare the change with: make sure that you know whom you have it from\n", f.pin())
		pin, err = nil, nil
	}
	if err == nil {
		err = p.Verify(pin)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.ErrOrStderr(), "You are signing:")
	for _, line := range p.Summary() {
		fmt.Fprintln(c.ErrOrStderr(), "  "+line)
	}
	return nil
}

func (f *signFlags) write(c *cobra.Command, r *repo.Repo) error {
	p, err := r.Staged(c.Context())
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("no change waits for signatures")
	}
	data, err := p.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.export, data, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: to be signed with update-repo sign %s, and brought back with update-repo sign --import %s\n", f.export, f.export, f.export)
	return nil
}

// offline signs an exported change.
func (f *signFlags) offline(c *cobra.Command, name string) error {
	p, err := readProposal(name)
	if err != nil {
		return err
	}
	signers, err := f.signers(c)
	if err != nil {
		return err
	}
	if err := f.summarize(c, p); err != nil {
		return err
	}
	made, complete, err := p.Sign(signers...)
	if err != nil {
		return err
	}
	if made == 0 {
		return fmt.Errorf("%w: none of them has to sign this, or all have", repo.ErrKeys)
	}
	data, err := p.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), map[string]any{"signatures": made, "complete": complete})
	}
	fmt.Fprintf(c.OutOrStdout(), "%d signatures added to %s\n", made, name)
	if waiting := p.Waiting(); waiting != nil {
		fmt.Fprintln(c.OutOrStdout(), waiting)
	}
	return nil
}

func (f *signFlags) signers(c *cobra.Command) ([]repo.Signer, error) {
	var files []*repo.KeyFile
	for _, name := range f.key {
		file, err := repo.OpenKeyFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(f.key) == 0 {
		var err error
		if files, err = repo.KeyFiles(f.folder); err != nil {
			return nil, err
		}
	}
	var signers []repo.Signer
	for _, file := range files {
		file.Ask = f.asker(c)
		signers = append(signers, file)
	}
	return signers, nil
}

func readProposal(name string) (*repo.Proposal, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p, err := repo.ParseProposal(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}
