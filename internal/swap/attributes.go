package swap

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

const capabilities = "security.capability"

const privileged = fs.ModeSetuid | fs.ModeSetgid

// attributes are what a file has beside its bytes.
type attributes struct {
	mode     fs.FileMode
	uid, gid int
	owned    bool // uid and gid mean something here
	names    []string
	values   map[string][]byte
}

// carryOver gives f all that the target has. Not final, it is a trial on an
// empty file: its result says what would fail, it warns of nothing, and it leaves the file closed
// to others.
func (s *Swap) carryOver(f disk.File, final bool) error {
	from, err := s.attributesOf(s.target)
	if err != nil {
		return err
	}
	warn := s.warn
	if !final {
		warn = func(error) {}
	}
	if err := from.give(f, warn); err != nil {
		return err
	}
	if !final {
		return f.Chmod(0o600)
	}
	return nil
}

func (s *Swap) attributesOf(name string) (*attributes, error) {
	f, err := s.fs.Open(name)
	if errors.Is(err, disk.ErrNotRegular) {
		return nil, cause.Errorf("%w: %w", ErrObstructed, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cause.Errorf("%w: %s", ErrTargetMissing, name)
	}
	if err != nil {
		return nil, cause.Errorf("reading the attributes of %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	a := &attributes{mode: info.Mode() & (fs.ModePerm | privileged | fs.ModeSticky), values: map[string][]byte{}}
	a.uid, a.gid, a.owned = disk.Owner(info)

	if a.names, err = f.Xattrs(); err != nil {
		return nil, err
	}
	for _, name := range a.names {
		if boundToContent(name) {
			continue
		}
		value, err := f.Xattr(name)
		if err != nil {
			return nil, err
		}
		a.values[name] = value
	}
	return a, nil
}

// boundToContent tells which attributes must not be copied: signatures of the
// bytes (ima, evm), and what an overlay file system keeps for itself.
func boundToContent(name string) bool {
	switch name {
	case "security.ima", "security.evm":
		return true
	}
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// give sets the attributes on f. Owner first, since changing it clears the
// privileged bits and the capabilities; capabilities last.
func (a *attributes) give(f disk.File, warn func(error)) error {
	if err := a.giveOwner(f, warn); err != nil {
		return err
	}
	for _, name := range a.names {
		value, ok := a.values[name]
		if !ok || name == capabilities {
			continue
		}
		if err := f.SetXattr(name, value); err != nil {
			if !isRefusal(err) {
				return err
			}
			warn(cause.Errorf("attribute %s is not carried over: %w", name, err))
		}
	}
	if err := f.Chmod(a.mode); err != nil {
		return err
	}
	if value, ok := a.values[capabilities]; ok {
		if err := f.SetXattr(capabilities, value); err != nil {
			return cause.Errorf("%w: capabilities: %w", ErrAttributes, err)
		}
	}
	return nil
}

func (a *attributes) giveOwner(f disk.File, warn func(error)) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	uid, gid, ok := disk.Owner(info)
	if !ok || !a.owned || uid == a.uid && gid == a.gid {
		return nil
	}
	err = f.Chown(a.uid, a.gid)
	switch {
	case err == nil:
		return nil
	case !isRefusal(err):
		return err
	case a.mode&privileged != 0:
		return cause.Errorf("%w: mode %v of user %d, group %d: %w", ErrAttributes, a.mode, a.uid, a.gid, err)
	}
	warn(cause.Errorf("owner %d:%d is not carried over: %w", a.uid, a.gid, err))
	return nil
}

// isRefusal tells an operation that this user or this file system does not
// allow from a disk that fails.
func isRefusal(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}
