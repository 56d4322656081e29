package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
)

// followFlags say which release is wanted: a version, or what a channel offers.
type followFlags struct {
	channel, unsigned, machine string
	groups                     []string
}

func (f *followFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.channel, "channel", "", "take what this channel offers, in the place of --version; needs --trust-root")
	c.Flags().StringVar(&f.unsigned, "unsigned-channel", "", "the same without signatures: whoever can change the repository decides")
	c.Flags().StringSliceVar(&f.groups, "group", nil, "a group that this machine belongs to")
	c.Flags().StringVar(&f.machine, "machine-id", "", "what the channel tells this machine apart by (default: the operating system's)")
}

// options are those for a channel, or for the version that is named.
func (f *followFlags) options(p *platform, trust *trustFlags) ([]updater.Option, error) {
	switch {
	case f.channel != "" && f.unsigned != "" || p.version != "" && f.channel+f.unsigned != "":
		return nil, usageError{errors.New("only one of --version, --channel and --unsigned-channel can be given")}
	case f.channel != "" && trust.root == "":
		return nil, usageError{errors.New("--channel needs --trust-root FILE, or --unsigned-channel in its place if anyone may decide")}
	case f.unsigned != "" && trust.root != "":
		return nil, usageError{errors.New("with --trust-root the channel is signed, too: --channel takes the place of --unsigned-channel")}
	}
	if f.channel+f.unsigned == "" {
		if err := p.check(); err != nil {
			return nil, err
		}
		return []updater.Option{updater.Version(p.version)}, nil
	}
	opts := []updater.Option{updater.Groups(f.groups...)}
	if f.machine != "" {
		opts = append(opts, updater.MachineID(f.machine))
	}
	if f.unsigned != "" {
		return append(opts, updater.UnsignedChannel(f.unsigned)), nil
	}
	return append(opts, updater.Channel(f.channel)), nil
}

// offerOf is what a channel said, for JSON.
func offerOf(p *updater.Plan) map[string]any {
	if p.Offer == nil {
		return nil
	}
	o := map[string]any{"change": p.Offer.Change, "version": p.Offer.Version, "reason": p.Offer.Reason, "lines": p.Offer.Lines}
	if !p.Offer.Due.IsZero() {
		o["due"] = p.Offer.Due
	}
	return o
}

// adviseCurrent tells how a channel gets to know what is installed.
func adviseCurrent(c *cobra.Command, p *updater.Plan) {
	if p.Offer != nil && p.Offer.Reason == updater.ReasonUnordered && p.From == "" {
		fmt.Fprintln(c.ErrOrStderr(), "hint: name the installed version with update-repo apply --current VERSION; after the first update it is known")
	}
}

// stays is why there is nothing to do, in two words.
func stays(p *updater.Plan) string {
	if p.Offer != nil && p.Offer.Reason != updater.ReasonUpToDate {
		return "nothing now, " + string(p.Offer.Reason)
	}
	return "up to date"
}
