package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
)

// simulateFlags are those of simulate: one host, or a fleet.
type simulateFlags struct {
	channelFlags
	host          repo.HostQuestion
	at            string
	fleet         repo.Fleet
	from, members string
}

func simulateCommand() *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use: "simulate CHANNEL", Short: "Tell what a host, or a whole fleet, makes of a channel",
		Long: "Tell what a host would do, and why, line by line; with --hosts, the share of a fleet on each\n" +
			"version over time. The code that decides is the one that programs have.\n\n" +
			"--fleet names a file of CSV lines `share,version,platform,groups`, or a JSON list of\n" +
			"objects with these fields. Without it all hosts run --version on --platform.",
		Example: "  update-repo simulate stable --version 1.3.0 --platform linux/amd64 --machine-id $(cat /etc/machine-id)\n" +
			"  update-repo simulate stable --version 1.3.0 --hosts 10000 --for 48h --interval 1h",
		Args: needArgs(1, 1, "the channel"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.openReading(c, f.repo)
			if err != nil {
				return err
			}
			d, err := r.Channel(c.Context(), args[0])
			if err != nil {
				return err
			}
			if f.fleet.Hosts > 0 {
				return f.simulate(c, d)
			}
			return f.ask(c, d)
		},
	}
	f.channelFlags.flags(c)
	h := &f.host
	c.Flags().StringVar(&h.Version, "version", "", "that the host runs")
	c.Flags().StringVar(&h.Platform, "platform", "linux/amd64", "of the host")
	c.Flags().StringSliceVar(&h.Variants, "variant", nil, "what it can run beside the baseline: v3, musl")
	c.Flags().StringSliceVar(&h.Groups, "group", nil, "a group that it belongs to")
	c.Flags().StringVar(&h.MachineID, "machine-id", "", "its machine id")
	c.Flags().Float64Var(&h.Place, "cohort", 0, "its place in every rollout, above 0 to 100, instead of a machine id")
	c.Flags().StringVar(&f.at, "time", "", "when it asks: 2026-12-01T08:00:00Z, or +2h (default now)")
	c.Flags().StringSliceVar(&h.Held, "held", nil, "a version that it stays away from")
	c.Flags().DurationVar(&h.HoldOff, "hold-off", 0, "its hold-off")
	c.Flags().DurationVar(&h.Splay, "splay", 0, "its splay")
	c.Flags().IntVar(&f.fleet.Hosts, "hosts", 0, "simulate a fleet of so many hosts")
	c.Flags().StringVar(&f.members, "fleet", "", "file that says what the fleet consists of")
	c.Flags().StringVar(&f.from, "from", "", "when the simulation begins (default now)")
	c.Flags().DurationVar(&f.fleet.For, "for", 24*time.Hour, "how long it is")
	c.Flags().DurationVar(&f.fleet.Interval, "interval", time.Hour, "between two checks of a host")
	return c
}

// timeOr is a time that a flag names, or now.
func timeOr(flag, s string) (time.Time, error) {
	t, err := parseTime(flag, s)
	if err == nil && t.IsZero() {
		t = time.Now().UTC().Truncate(time.Second)
	}
	return t, err
}

func (f *simulateFlags) ask(c *cobra.Command, d *repo.Channel) (err error) {
	if f.host.MachineID == "" && f.host.Place == 0 {
		return usageError{errors.New("--machine-id or --cohort is needed, or --hosts for a fleet")}
	}
	if f.host.Place < 0 || f.host.Place > 100 || f.host.Place > 0 && f.host.Place < 0.01 {
		return usageError{fmt.Errorf("--cohort %v: a place from 0.01 to 100 is needed", f.host.Place)}
	}
	f.host.Place = math.Round(f.host.Place*100) / 100
	if f.host.Time, err = timeOr("--time", f.at); err != nil {
		return err
	}
	decision, err := repo.Ask(d, f.host)
	if err != nil {
		return usageError{err}
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), decisionJSON(decision))
	}
	if decision.Reason == updater.ReasonUnordered && f.host.Version == "" {
		adviseVersion(c)
	}
	for _, line := range decision.Lines {
		fmt.Fprintln(c.OutOrStdout(), line)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), verdict(decision))
	return err
}

func adviseVersion(c *cobra.Command) {
	fmt.Fprintln(c.ErrOrStderr(), "hint: nobody can tell what is newer than an unknown version; name the one that runs with --version")
}

func verdict(d repo.HostDecision) string {
	switch {
	case d.Change:
		return fmt.Sprintf("=> %s, as %s (%s)", d.Version, d.Platform, d.Reason)
	case d.Cause != "":
		return fmt.Sprintf("=> waits (%s): %s at %s (%s)", d.Reason, d.Version, d.Due.Format(time.RFC3339), d.Cause)
	}
	return fmt.Sprintf("=> stays (%s)", d.Reason)
}

func decisionJSON(d repo.HostDecision) map[string]any {
	j := map[string]any{
		"change": d.Change, "version": d.Version, "platform": d.Platform, "reason": d.Reason, "cause": d.Cause,
		"mandatory": d.Mandatory, "critical": d.Critical, "note": d.Note, "lines": d.Lines,
	}
	if !d.Due.IsZero() {
		j["due"] = d.Due
	}
	return j
}

func (f *simulateFlags) simulate(c *cobra.Command, d *repo.Channel) (err error) {
	f.fleet.Parts = []repo.FleetPart{{Share: 1, Version: f.host.Version, Platform: f.host.Platform, Groups: f.host.Groups}}
	if f.members != "" {
		data, err := os.ReadFile(f.members)
		if err != nil {
			return err
		}
		if f.fleet.Parts, err = repo.ParseFleet(data); err != nil {
			return err
		}
	}
	if f.members == "" && f.host.Version == "" {
		adviseVersion(c)
	}
	f.fleet.HoldOff, f.fleet.Splay = f.host.HoldOff, f.host.Splay
	f.fleet.Channel = func(time.Time) *repo.Channel { return d }
	if f.fleet.From, err = timeOr("--from", f.from); err != nil {
		return err
	}
	times, err := f.fleet.Simulate(c.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), times)
	}
	return printShares(c.OutOrStdout(), times, f.fleet.Hosts)
}

// printShares prints the share of each version at the end of each interval; lines like the one before are left out.
func printShares(out io.Writer, times []repo.FleetTime, hosts int) error {
	all := map[string]bool{}
	for _, t := range times {
		for v := range t.Versions {
			all[v] = true
		}
	}
	versions := slices.Sorted(maps.Keys(all))
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "begins\t")
	for _, v := range versions {
		if v == "" {
			v = "unknown"
		}
		fmt.Fprintf(w, "%s\t", v)
	}
	fmt.Fprintln(w, "updates\t")
	for i, t := range times {
		if i > 0 && i < len(times)-1 && maps.Equal(t.Versions, times[i-1].Versions) {
			continue
		}
		fmt.Fprintf(w, "%s\t", t.Time.Format(time.RFC3339))
		for _, v := range versions {
			fmt.Fprintf(w, "%.2f %%\t", 100*float64(t.Versions[v])/float64(hosts))
		}
		fmt.Fprintf(w, "%d\t\n", t.Updates)
	}
	return w.Flush()
}
