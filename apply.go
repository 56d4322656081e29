package updater

import (
	"context"
	"errors"
	"sync"

	"github.com/choria-io/go-updater/internal/cause"
)

// applying makes calls of Apply in one process wait for each other, as they
// did in v0.1.0. Processes do not wait: the second gets ErrBusy.
var applying sync.Mutex

// FetchSpec fetches what the repository says about the configured release.
//
// Errors, beside those of the network: an invalid configuration, ErrRejected, ErrSignature, those of a [TrustRoot];
// fs.ErrNotExist where there is no such release.
func FetchSpec(opts ...Option) (*Spec, error) {
	c, err := legacyConfig(opts)
	if err != nil {
		return nil, cause.Errorf("invalid updater configuration: %w", err)
	}
	spec, err := c.askForSpec(context.Background())
	if err == nil {
		err = spec.verify(c)
	}
	if err != nil {
		return nil, cause.Errorf("release %s: %w", c.Version, missing(err, errNoRelease))
	}
	return spec, nil
}

// Apply updates the target to the configured version; see [ApplyContext]. A target that a
// package manager installed, or that is part of a container's image, is replaced
// with a warning, and so is a disk that does not say whether the update is durable.
//
// After an error the target is as it was, unless [RollbackError] says otherwise.
func Apply(opts ...Option) error {
	applying.Lock()
	defer applying.Unlock()

	c, err := legacyConfig(opts)
	if err != nil {
		return cause.Errorf("invalid updater configuration: %w", err)
	}
	c.Log.Printf("Starting update process to %s from %s", c.Version, c.repository())
	result, err := c.apply(context.Background())
	switch {
	case errors.Is(err, ErrNotDurable):
		c.warn(err)
	case err != nil:
		return err
	}
	if result.Applied {
		c.Log.Printf("Updated %s to %s, the previous binary is %s", result.Target, c.Version, result.Backup)
	} else {
		c.Log.Printf("Nothing to do: %s", result.Why)
	}
	return nil
}
