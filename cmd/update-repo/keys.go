package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores"
)

const (
	keysVariable       = "UPDATE_REPO_KEYS"
	passphraseVariable = "UPDATE_REPO_PASSPHRASE"

	// pinName is the root, in the folder of the keys, from which a publisher verifies a repository.
	pinName = "trust-root.json"
)

// keyFlags are the flags of commands that sign.
type keyFlags struct {
	folder         string
	passphraseFile string
	passphrase     string // the last one that was right
	warned         bool   // of --no-passphrase
}

func (k *keyFlags) flags(c *cobra.Command) {
	folder := os.Getenv(keysVariable)
	if folder == "" {
		folder = "keys"
	}
	c.Flags().StringVar(&k.folder, "keys", folder, "folder of the private keys (default from "+keysVariable+")")
	c.Flags().StringVar(&k.passphraseFile, "passphrase-file", "", "file with the passphrase of the keys; "+passphraseVariable+" holds one, too")
}

// open opens the repository at a location for publishing, with the keys that are at hand.
func (k *keyFlags) open(c *cobra.Command, location string) (*repo.Repo, error) {
	s, err := stores.OpenStore(c.Context(), location, stores.Options{})
	if err != nil {
		return nil, err
	}
	return k.pinned(c, s)
}

// openThere is open for a folder that has to be there.
func (k *keyFlags) openThere(c *cobra.Command, location string) (*repo.Repo, error) {
	if err := checkThere(location); err != nil {
		return nil, err
	}
	return k.open(c, location)
}

// openReading is openThere for what changes nothing.
func (k *keyFlags) openReading(c *cobra.Command, location string) (*repo.Repo, error) {
	s, err := openReadable(c.Context(), location)
	if err != nil {
		return nil, err
	}
	return k.pinned(c, s)
}

// pinned is the repository in a store, which has to follow from the trust root beside the keys if there is one.
func (k *keyFlags) pinned(c *cobra.Command, s store.Store) (*repo.Repo, error) {
	r, err := k.unpinned(c, s)
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(k.pin())
	if err == nil {
		r.TrustRoot(root)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r, nil
}

// unpinned believes the repository about its first root.
func (k *keyFlags) unpinned(c *cobra.Command, s store.Store) (*repo.Repo, error) {
	r := repo.Open(s)
	files, err := repo.KeyFiles(k.folder)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		file.Ask = k.asker(c)
		r.SignWith(file)
	}
	return r, nil
}

func (k *keyFlags) pin() string { return filepath.Join(k.folder, pinName) }

// asker gets the passphrase of a key: the one that opened another key, that of the file or the variable, or
// the one that is typed.
func (k *keyFlags) asker(c *cobra.Command) func(*repo.KeyFile) (string, error) {
	return func(file *repo.KeyFile) (string, error) {
		if k.passphrase != "" && file.Unlock(k.passphrase) == nil {
			return k.passphrase, nil
		}
		p, given, err := k.given()
		if err == nil && !given {
			p, err = prompt(c, fmt.Sprintf("Passphrase of %s: ", file.Path))
		}
		if err == nil {
			err = file.Unlock(p)
		}
		if err != nil {
			return "", err
		}
		k.passphrase = p
		return p, nil
	}
}

// given is the passphrase of the flag or the environment.
func (k *keyFlags) given() (string, bool, error) {
	if k.passphraseFile != "" {
		data, err := os.ReadFile(k.passphraseFile)
		if err != nil {
			return "", false, err
		}
		p := strings.TrimRight(string(data), "\r\n")
		if p == "" {
			return "", false, fmt.Errorf("%s is empty", k.passphraseFile)
		}
		return p, true, nil
	}
	p := os.Getenv(passphraseVariable)
	return p, p != "", nil
}

var errNoPassphrase = errors.New("a passphrase is needed")

// prompt reads a passphrase from the terminal without showing it.
func prompt(c *cobra.Command, text string) (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", fmt.Errorf("%w, and standard input is no terminal (%s)", errNoPassphrase, strings.TrimSuffix(text, ": "))
	}
	fmt.Fprint(c.ErrOrStderr(), text)
	p, err := term.ReadPassword(fd)
	fmt.Fprintln(c.ErrOrStderr())
	return string(p), err
}

// choose asks for the passphrase of a new key, twice.
func (k *keyFlags) choose(c *cobra.Command, none bool) (string, error) {
	if none {
		if k.warned {
			return "", nil
		}
		k.warned = true
		fmt.Fprintln(c.ErrOrStderr(), "warning: --no-passphrase: whoever reads the key file can sign with it")
		return "", nil
	}
	if k.passphrase != "" {
		return k.passphrase, nil
	}
	p, given, err := k.given()
	if err != nil || given {
		k.passphrase = p
		return p, err
	}
	if p, err = prompt(c, "Passphrase for the new keys: "); err != nil {
		return "", err
	}
	again, err := prompt(c, "Again: ")
	switch {
	case err != nil:
		return "", err
	case p == "":
		return "", usageError{errors.New("the passphrase is empty; --no-passphrase leaves keys unencrypted")}
	case p != again:
		return "", usageError{errors.New("the passphrases differ")}
	}
	k.passphrase = p
	return p, nil
}

// checkOutside refuses to keep keys where a web server would hand them out.
func (k *keyFlags) checkOutside(location string) error {
	folder, ok := folderOf(location)
	if !ok {
		return nil // keys are in folders
	}
	keys, err := filepath.Abs(k.folder)
	if err != nil {
		return err
	}
	root, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(root, keys); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return usageError{fmt.Errorf("the keys' folder %s lies inside the repository %s, which is served; name others with --keys or --repo", k.folder, folder)}
	}
	return nil
}

// makeKey makes a key in the keys' folder, or takes the one that is there already.
func (k *keyFlags) makeKey(c *cobra.Command, name, role, kind string, unencrypted bool) (*repo.KeyFile, error) {
	path := filepath.Join(k.folder, name+repo.KeySuffix)
	file, err := repo.OpenKeyFile(path)
	if err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "using %s, which is there already\n", path)
		file.Ask = k.asker(c)
		return file, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := checkNotServed(path); err != nil {
		return nil, err
	}
	key, err := repo.NewKey(kind)
	if err != nil {
		return nil, usageError{err}
	}
	passphrase, err := k.choose(c, unencrypted)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(k.folder, 0o700); err != nil {
		return nil, err
	}
	if err := repo.WriteKey(path, key, role, passphrase); err != nil {
		return nil, err
	}
	file, err = repo.OpenKeyFile(path)
	if err == nil {
		file.Ask = k.asker(c)
	}
	return file, err
}
