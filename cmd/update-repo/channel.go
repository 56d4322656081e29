package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/choria-io/go-updater/repo"
)

func channelCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "channel", Short: "Show channels: which releases there are, and to whom each is offered",
		Long: "Show channels. promote makes one; promote, rollout, pause, resume, withdraw, recall, floor\n" +
			"and note change it, simulate tells what hosts make of it.",
	}
	c.AddCommand(channelListCommand(), channelShowCommand(), channelDropCommand())
	return c
}

func channelListCommand() *cobra.Command {
	var f channelFlags
	c := &cobra.Command{
		Use: "list", Short: "List the channels", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := f.openReading(c, f.repo)
			if err != nil {
				return err
			}
			list, err := r.Channels(c.Context())
			if err != nil {
				return err
			}
			if f.asJSON {
				return printChannels(c.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, d := range list {
				newest := "nothing"
				if n := len(d.Releases); n > 0 {
					newest = d.Releases[n-1].Version + ", " + offered(&d.Releases[n-1])
				}
				fmt.Fprintf(w, "%s\t%d releases\t%s\n", d.Name, len(d.Releases), newest)
			}
			return w.Flush()
		},
	}
	f.flags(c)
	return c
}

// printChannels prints documents as they are.
func printChannels(w io.Writer, list []*repo.Channel) error {
	all := []json.RawMessage{}
	for _, d := range list {
		data, err := d.Encode()
		if err != nil {
			return err
		}
		all = append(all, data)
	}
	return printJSON(w, all)
}

func channelShowCommand() *cobra.Command {
	var f channelFlags
	c := &cobra.Command{
		Use: "show CHANNEL", Short: "Show a channel, the newest release first", Args: needArgs(1, 1, "the channel"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.openReading(c, f.repo)
			if err != nil {
				return err
			}
			d, err := r.Channel(c.Context(), args[0])
			if err != nil {
				return err
			}
			return f.print(c, d)
		},
	}
	f.flags(c)
	return c
}

func channelDropCommand() *cobra.Command {
	return changeCommand("drop", "Take a release out of a channel, as if it had never been in it", "though it is recalled",
		func(version string, force bool) repo.ChannelChange { return repo.Drop{Version: version, Force: force} })
}

// channelFlags are the flags of the commands for channels.
type channelFlags struct {
	keyFlags
	repo   string
	asJSON bool
}

func (f *channelFlags) flags(c *cobra.Command) {
	f.keyFlags.flags(c)
	repoFlag(c, &f.repo)
	jsonFlag(c, &f.asJSON)
}

// change makes one change of a channel, and says what has become of it.
func (f *channelFlags) change(c *cobra.Command, name string, by repo.ChannelChange) error {
	r, err := f.openThere(c, f.repo)
	if err != nil {
		return err
	}
	done, err := r.ChangeChannel(c.Context(), name, by)
	if err != nil {
		return err
	}
	for _, note := range done.Notes {
		fmt.Fprintf(c.ErrOrStderr(), "note: %s\n", note)
	}
	if _, err := r.Trust(c.Context()); errors.Is(err, repo.ErrUnsigned) {
		fmt.Fprintln(c.ErrOrStderr(), "warning: the repository is not signed: whoever can change its files decides what programs install")
	}
	return f.print(c, done.Channel)
}

func (f *channelFlags) print(c *cobra.Command, d *repo.Channel) error {
	if f.asJSON {
		data, err := d.Encode()
		if err == nil {
			_, err = c.OutOrStdout().Write(data)
		}
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "channel %s, serial %d\n", d.Name, d.Serial)
	if d.Floor != "" {
		fmt.Fprintf(c.OutOrStdout(), "mandatory: nobody stays below %s\n", d.Floor)
	}
	if d.RollbackFloor != "" {
		fmt.Fprintf(c.OutOrStdout(), "nobody goes back below %s\n", d.RollbackFloor)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	for i := len(d.Releases) - 1; i >= 0; i-- {
		r := &d.Releases[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Version, offered(r), strings.Join(r.Platforms, " "))
	}
	return w.Flush()
}

// offered says to whom a release is.
func offered(r *repo.ChannelRelease) string {
	parts := []string{shareOf(r.Rollout)}
	switch r.State {
	case "recalled":
		parts = []string{"recalled to " + r.BackTo}
	case "withdrawn":
		parts = []string{"withdrawn"}
	case "paused":
		parts = append(parts, "paused")
	}
	if len(r.Groups) > 0 {
		parts = append(parts, "of "+strings.Join(r.Groups, ", "))
	}
	if !r.From.IsZero() {
		parts = append(parts, "from "+r.From.Format(time.RFC3339))
	}
	if !r.Until.IsZero() {
		parts = append(parts, "until "+r.Until.Format(time.RFC3339))
	}
	if r.Through != "" {
		parts = append(parts, "through "+r.Through)
	}
	if r.Critical {
		parts = append(parts, "critical")
	}
	if r.Note != "" {
		line, _, _ := strings.Cut(r.Note, "\n")
		parts = append(parts, line)
	}
	return strings.Join(parts, ", ")
}
