package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

// everyone is the value of --groups that offers a release to all groups again.
const everyone = "all"

func promoteCommand() *cobra.Command {
	var f channelFlags
	var p repo.Promotion
	var rollout, from, until string
	c := &cobra.Command{
		Use: "promote VERSION CHANNEL", Short: "Offer a release in a channel",
		Long: "Offer a release in a channel; the channel is made if it is not there. At 0 % it is there, and\n" +
			"offered to nobody. Promoted again, a release takes over platforms that were added since, and\n" +
			"what flags say; all else stays.",
		Example: "  update-repo promote 1.4.0 stable --rollout 1 --repo /srv/repo\n" +
			"  update-repo promote 1.4.0 stable --groups canary --at 2026-12-01T08:00:00Z",
		Args: needArgs(2, 2, "the version or the channel"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			p.Version = args[0]
			if rollout != "" {
				share, err := parsePercent(rollout)
				if err != nil {
					return err
				}
				p.Rollout = &share
			}
			if p.From, err = parseTime("--at", from); err != nil {
				return err
			}
			if p.Until, err = parseTime("--until", until); err != nil {
				return err
			}
			if len(p.Groups) == 1 && p.Groups[0] == everyone {
				p.Groups = []string{}
			}
			return f.change(c, args[1], p)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&rollout, "rollout", "", "percentage of the hosts that it is offered to, with at most two decimals (default 100 for a release that is new to the channel)")
	c.Flags().StringVar(&from, "at", "", "offer it from this time on: 2026-12-01T08:00:00Z, or +2h")
	c.Flags().StringVar(&until, "until", "", "offer it until this time")
	c.Flags().StringSliceVar(&p.Groups, "groups", nil, "offer it to hosts of these groups alone; "+everyone+" for all")
	c.Flags().StringVar(&p.Through, "through", "", "hosts below this release have to run it first; none for no such release")
	c.Flags().BoolVar(&p.Critical, "critical", false, "not to be delayed by hold-off and splay")
	c.Flags().StringVar(&p.Note, "note", "", "what is new, or where that stands")
	c.Flags().BoolVar(&p.Force, "force", false, "offer what was stopped, lower the share, leave out platforms")
	return c
}

func parsePercent(s string) (int, error) {
	share, err := repo.ParsePercent(s)
	if err != nil {
		return 0, usageError{err}
	}
	return share, nil
}

// shareOf is a rollout, for people.
func shareOf(share int) string { return repo.FormatPercent(share) + " %" }

// parseTime reads a time, or one from now on; empty is none.
func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if s[0] == '+' {
		d, err := time.ParseDuration(s[1:])
		if err != nil || d < 0 {
			return time.Time{}, usageError{fmt.Errorf("%s %s: a duration such as +2h30m is needed", flag, s)}
		}
		return time.Now().UTC().Add(d).Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("%s %s: a time such as 2026-12-01T08:00:00Z is needed, or +2h", flag, s)}
	}
	return t.UTC().Truncate(time.Second), nil
}

func rolloutCommand() *cobra.Command {
	var f channelFlags
	var o repo.Rollout
	c := &cobra.Command{
		Use: "rollout VERSION CHANNEL PERCENT", Short: "Change the share of hosts that a release is offered to",
		Example: "  update-repo rollout 1.4.0 stable 10 --repo /srv/repo",
		Args:    needArgs(3, 3, "the version, the channel or the percentage"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			o.Version = args[0]
			if o.Share, err = parsePercent(args[2]); err != nil {
				return err
			}
			return f.change(c, args[1], o)
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&o.Force, "force", false, "lower it, for those who do not have it yet")
	return c
}

// changeCommand is a command that changes what a channel says of one version; by makes the change. Where force says
// what for, there is a flag --force.
func changeCommand(verb, short, force string, by func(version string, force bool) repo.ChannelChange) *cobra.Command {
	var f channelFlags
	forced := false
	c := &cobra.Command{
		Use: verb + " VERSION CHANNEL", Short: short,
		Args: needArgs(2, 2, "the version or the channel"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.change(c, args[1], by(args[0], forced))
		},
	}
	f.flags(c)
	if force != "" {
		c.Flags().BoolVar(&forced, "force", false, force)
	}
	return c
}

func pauseCommand() *cobra.Command {
	return changeCommand("pause", "Offer a release to nobody new; who has it keeps it", "though others rest on it",
		func(version string, force bool) repo.ChannelChange { return repo.Pause{Version: version, Force: force} })
}

func resumeCommand() *cobra.Command {
	return changeCommand("resume", "Offer a release again that was paused", "",
		func(version string, _ bool) repo.ChannelChange { return repo.Resume{Version: version} })
}

func withdrawCommand() *cobra.Command {
	return changeCommand("withdraw", "Offer a release to nobody; who has it keeps it until there is a newer one", "though others rest on it",
		func(version string, force bool) repo.ChannelChange {
			return repo.Withdrawal{Version: version, Force: force}
		})
}

func recallCommand() *cobra.Command {
	var f channelFlags
	var r repo.Recall
	c := &cobra.Command{
		Use: "recall VERSION CHANNEL --to VERSION", Short: "Have those who run a release go back to another",
		Long: "Have those who run a release go back to another, at their next check. Nobody is offered it\n" +
			"any more. Going back waits for no window, no hold-off and no splay.",
		Example: "  update-repo recall 1.4.0 stable --to 1.3.2 --repo /srv/repo",
		Args:    needArgs(2, 2, "the version or the channel"),
		RunE: func(c *cobra.Command, args []string) error {
			if r.To == "" {
				return usageError{errors.New("--to is missing: the version to go back to")}
			}
			r.Version = args[0]
			return f.change(c, args[1], r)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&r.To, "to", "", "the version to go back to")
	c.Flags().BoolVar(&r.Force, "force", false, "though that is not there for all of its platforms")
	return c
}

func floorCommand() *cobra.Command {
	var f channelFlags
	var floor repo.Floor
	c := &cobra.Command{
		Use: "floor CHANNEL", Short: "Set what nobody stays below, and what nobody goes back below",
		Long: "--mandatory VERSION: hosts below it get it, or a newer one that they are offered, whatever\n" +
			"share, groups and times say. --rollback VERSION: no recall and no downgrade leads below it.\n" +
			"--of VERSION --through VERSION: hosts have to run the second before the first. `none` takes\n" +
			"each away.",
		Example: "  update-repo floor stable --mandatory 1.2.0 --rollback 1.1.0 --repo /srv/repo",
		Args:    needArgs(1, 1, "the channel"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case (floor.Version == "") != (floor.Through == ""):
				return usageError{errors.New("--of and --through belong together")}
			case floor == (repo.Floor{}):
				return usageError{errors.New("one of --mandatory, --rollback and --of is needed")}
			}
			return f.change(c, args[0], floor)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&floor.Mandatory, "mandatory", "", "the release that nobody stays below, or none")
	c.Flags().StringVar(&floor.Rollback, "rollback", "", "the version that nobody goes back below, or none")
	c.Flags().StringVar(&floor.Version, "of", "", "the release that has to be reached through another")
	c.Flags().StringVar(&floor.Through, "through", "", "that other one, or none")
	return c
}

func noteCommand() *cobra.Command {
	var f channelFlags
	var file string
	var critical bool
	c := &cobra.Command{
		Use: "note VERSION CHANNEL [TEXT]", Short: "Say what is new in a release, and whether it is critical",
		Example: "  update-repo note 1.4.0 stable https://example.net/notes/1.4.0 --critical\n" +
			"  update-repo note 1.4.0 stable --file NOTES.md",
		Args: needArgs(2, 3, "the version or the channel"),
		RunE: func(c *cobra.Command, args []string) error {
			n := repo.Note{Version: args[0]}
			if len(args) == 3 {
				n.Text = &args[2]
			}
			if file != "" {
				data, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				text := string(data)
				n.Text = &text
			}
			if c.Flags().Changed("critical") {
				n.Critical = &critical
			}
			if n.Text == nil && n.Critical == nil || file != "" && len(args) == 3 {
				return usageError{errors.New("one text is needed, or --critical")}
			}
			return f.change(c, args[1], n)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&file, "file", "", "take the text from this file")
	c.Flags().BoolVar(&critical, "critical", false, "not to be delayed by hold-off and splay; --critical=false undoes it")
	return c
}
