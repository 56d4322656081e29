package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

var errKeyExists = errors.New("a key is never written over a file")

func keygenCommand() *cobra.Command {
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use: "keygen", Short: "Make a key to sign releases with, and print its public half", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkNotServed(out); err != nil {
				return err
			}
			public, private, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			if err := writeKey(out, private); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"public_key": hex.EncodeToString(public), "file": out})
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), hex.EncodeToString(public))
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "update-repo.key", "file for the private key, outside the repository; it must not exist")
	jsonFlag(c, &asJSON)
	return c
}

// writeKey is done when the key is durable: the public half is about to be compiled into programs.
func writeKey(name string, private ed25519.PrivateKey) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: %w", name, errKeyExists)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(private.Seed()))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(name)
		return fmt.Errorf("writing the key: %w", err)
	}
	return nil
}

func readKey(name string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s holds no private key of keygen", name)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func parsePublicKey(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	key, err := hex.DecodeString(s)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, usageError{errors.New("--public-key is no Ed25519 key of 64 hex digits")}
	}
	return key, nil
}
