package updater

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/swap"
)

// Finding is one thing that [Diagnose] looked at.
type Finding struct {
	OK   bool   `json:"ok"`           // nothing is in the way; Do may say something all the same
	What string `json:"what"`         // what was found
	Do   string `json:"do,omitempty"` // what to do about it
}

// Diagnose looks at all that an update and a probation of a target need on this machine, and says what
// to do next. It changes nothing, and asks no repository.
//
// Errors: ErrTargetMissing, and those of the disk.
func Diagnose(ctx context.Context, opts ...Option) (*Status, []Finding, error) {
	c, target, err := targetConfig(opts)
	if err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s, err := c.status(target)
	if err != nil {
		return nil, nil, err
	}
	found := []Finding{c.findOwner(ctx, target), c.findFolder(target), c.findState(target), findBackup(s)}
	found = append(found, c.findTrial(s)...)
	for _, h := range s.Held {
		found = append(found, Finding{true, fmt.Sprintf("version %s is held since %s: %s", orUnknown(h.Version), day(h.Time), h.Reason),
			"publish a later version; update-repo unhold lets this one be tried again"})
	}
	return s, found, nil
}

func orUnknown(version string) string {
	if version == "" {
		return "(unknown)"
	}
	return version
}

func day(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// findOwner looks through the packages, whatever is remembered of them.
func (c *Config) findOwner(ctx context.Context, target string) Finding {
	found := Finding{OK: true, What: "no package manager and no container image owns the target"}
	claim, _ := c.findClaim(ctx, target)
	for _, owner := range []struct {
		err     error
		allowed bool
	}{{claim, c.allowManaged}, {c.findImage(target), c.allowContainer}} {
		switch {
		case owner.err != nil && !owner.allowed:
			return Finding{false, owner.err.Error(), Hint(owner.err)}
		case owner.err != nil:
			found.What = owner.err.Error() + ", which is allowed"
		}
	}
	return found
}

// findFolder tells whether the target's folder is fit for an update: safe, with room, and writable.
func (c *Config) findFolder(target string) Finding {
	folder := filepath.Dir(target)
	if err := swap.CheckPlace(c.fs, target); err != nil {
		return Finding{false, err.Error(), Hint(err)}
	}
	if free, err := c.fs.Free(folder); err == nil && free < slack {
		return Finding{false, fmt.Sprintf("%s has room for %d bytes", folder, free), Hint(ErrNoRoom)}
	}
	return writable(folder, "the target's folder")
}

func (c *Config) findState(target string) Finding {
	folder := c.stateFolder(target)
	err := swap.CheckFolder(c.fs, folder, filepath.Dir(target))
	if os.IsNotExist(err) {
		return Finding{OK: true, What: "nothing was updated yet: there is no state folder " + folder}
	}
	if err == nil {
		err = c.checkNames(target)
	}
	if err != nil {
		return Finding{false, err.Error(), Hint(err)}
	}
	return writable(folder, "the state folder")
}

func findBackup(s *Status) Finding {
	switch {
	case s.Backup == "":
		return Finding{OK: true, What: "there is no backup: nothing was updated yet"}
	case s.Probation != nil && s.Probation.From.SHA256 != s.BackupSHA256:
		return Finding{false, "the backup is not the version that the target would go back to", "reinstall the program: it cannot go back by itself"}
	}
	return Finding{OK: true, What: fmt.Sprintf("the backup is version %s, %s", orUnknown(s.BackupVersion), s.Backup)}
}

// findTrial tells about the probation, and about how the last one ended.
func (c *Config) findTrial(s *Status) (found []Finding) {
	if t := s.Probation; t != nil {
		what := fmt.Sprintf("version %s is on probation: %d starts, %d of them ended uncleanly of %d allowed, %v left",
			orUnknown(t.To.Version), t.Starts, t.Unclean, t.Attempts, max(0, t.Left(c.clock())).Round(time.Second))
		do := "it is confirmed by the program, or by update-repo confirm; update-repo rollback gives it up"
		if reason := t.Verdict(c.clock()); reason != "" {
			what, do = fmt.Sprintf("version %s has to go: %s", orUnknown(t.To.Version), reason), "start it once more, or call update-repo guard: either goes back"
		}
		found = append(found, Finding{t.Verdict(c.clock()) == "", what, do})
	}
	if n := len(s.History); n > 0 {
		e := s.History[n-1]
		what := fmt.Sprintf("version %s was %s on %s", orUnknown(e.To.Version), e.Outcome, day(e.Ended))
		if e.Reason != "" {
			what += ": " + e.Reason
		}
		found = append(found, Finding{OK: true, What: what})
	}
	return found
}

// writable finds out by mode and owner, so that nothing is written.
func writable(folder, what string) Finding {
	err := access(folder)
	if err == nil {
		return Finding{OK: true, What: what + " can be written: " + folder}
	}
	if os.IsPermission(err) {
		err = cause.Errorf("%w: %w", ErrNotWritable, err)
	}
	return Finding{false, fmt.Sprintf("%s: %v", what, onDisk(&fs.PathError{Op: "access", Path: folder, Err: err})), Hint(onDisk(err))}
}
