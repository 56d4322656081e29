package updater

import (
	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/internal/version"
)

// allowed tells whether the version that was asked for may be installed, as far as that is known
// without asking the repository. A channel's choice has seen to it.
func (c *Config) allowed(target string) error {
	if c.trials != nil {
		if err := c.trials.held(c, target, c.Version, ""); err != nil {
			return err
		}
	}
	return c.checkOrder(target)
}

// checkOrder refuses, with a trust root, a version that is older than the current
// one: an attacker who can choose among signed releases would choose one with a known hole.
func (c *Config) checkOrder(target string) error {
	if c.trustRoot == nil || c.allowDowngrade {
		return nil
	}
	current := c.CurrentVersion
	if current == "" {
		current = c.installedVersion(target)
	}
	if version.Older(c.Version, current) {
		return cause.Errorf("%w: %s, and %s is installed", ErrOlderVersion, c.Version, current)
	}
	return nil
}

// installedVersion is what the state says of the binary that stands at the target's
// path, empty where it knows nothing about it.
func (c *Config) installedVersion(target string) string {
	state, err := swap.ReadState(c.fs, c.stateFolder(target))
	if err != nil || state.Installed.Version == "" {
		return ""
	}
	if sum, err := swap.HashFile(c.fs, target); err != nil || sum != state.Installed.SHA256 {
		return ""
	}
	return state.Installed.Version
}
