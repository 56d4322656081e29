package swap

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// Binary is what is remembered about an executable. What an update replaces has a SHA-256 only where that was known already or
// is needed for more than to find the backup unchanged: else its CRC-32 tells, which costs a twentieth. Whoever could make
// another file of the same CRC-32 the backup could change state.json, or the target itself, as well.
type Binary struct {
	Version string `json:"version"`         // empty where unknown
	SHA256  string `json:"sha256"`          // lower case hex, empty where unknown
	CRC32   string `json:"crc32,omitempty"` // of IEEE 802.3, lower case hex; for want of a SHA256
}

// Known tells whether there is anything by which the binary can be told from others.
func (b Binary) Known() bool { return b.SHA256 != "" || b.CRC32 != "" }

// Is tells whether a file is this binary, as far as is remembered. A binary that is not known is none.
func (b Binary) Is(file Binary) bool {
	if b.SHA256 != "" {
		return b.SHA256 == file.SHA256
	}
	return b.CRC32 != "" && b.CRC32 == file.CRC32
}

// State is what state.json remembers: the last swap. It is written before the
// swap's point of no return, so it says which binary the target should have become
// and which it was; which of the two it is, the target's hash tells.
type State struct {
	_ uncomparable

	Format    int       `json:"format"`
	Installed Binary    `json:"installed"`
	Previous  Binary    `json:"previous"`
	Time      time.Time `json:"time"`
	Unclaimed *Mark     `json:"unclaimed,omitempty"` // of the file that Installed became, if no package manager owned its path
}

// A Mark tells a file from any other that is put at its path later.
type Mark struct {
	_ uncomparable

	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Fits tells whether what stands at path is the file that the mark was made of.
func (m *Mark) Fits(path string, info fs.FileInfo) bool {
	return m != nil && m.Path == path && m.Size == info.Size() && m.Modified.Equal(info.ModTime())
}

// VersionOf is the version of a file at the target's or the backup's path, empty where that is unknown.
func (s *State) VersionOf(file Binary) string {
	switch {
	case s.Installed.Is(file):
		return s.Installed.Version
	case s.Previous.Is(file):
		return s.Previous.Version
	}
	return ""
}

const (
	stateFormat = 1
	stateLimit  = 64 << 10
)

// State is what was remembered when the Swap was opened, or by its last Commit.
func (s *Swap) State() State { return s.state }

// VersionOf is the version of the target, whose hash or CRC-32 is in file; empty where that is unknown. An update knows the target by
// its CRC-32 alone, and what it became by the hash alone; if these cannot be compared the mark can.
//
//go:noinline
func (s *Swap) VersionOf(file Binary) string {
	version := s.state.VersionOf(file)
	if version == "" && file.SHA256 == "" && s.stillUnclaimed() && s.state.Unclaimed.Fits(s.target, s.unclaimed) {
		version = s.state.Installed.Version
	}
	return version
}

func (s *Swap) statePath() string { return filepath.Join(s.stateDir, "state.json") }

// readState reads state.json. An update must not fail for it: what cannot be
// read is reported, and what makes no sense, or a later version wrote, is put aside.
func (s *Swap) readState() {
	state, err := ReadState(s.fs, s.stateDir)
	s.state = *state
	if err == nil {
		return
	}
	path := s.statePath()
	if !errors.Is(err, errState) {
		s.warn(cause.Errorf("going on without %s: %w", path, err))
		return
	}
	s.warn(cause.Errorf("going on without %s, kept as %s: %w", path, path+".unreadable", err))
	if err := s.fs.Rename(path, path+".unreadable"); err != nil {
		s.warn(cause.Errorf("putting %s aside: %w", path, err))
	}
}

// ReadState reads what a state folder remembers, without a lock. There may be none: that is a zero State, as is what is returned with
// an error.
func ReadState(fsys disk.FS, stateDir string) (*State, error) {
	state := &State{}
	f, err := fsys.Open(filepath.Join(stateDir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, stateLimit+1))
	if err == nil {
		err = state.parse(data)
	}
	return state, err
}

// errState: the state was read, and is none that this program knows.
var errState = errors.New("invalid state")

// parse leaves the state as it is if data is none.
func (s *State) parse(data []byte) error {
	if len(data) > stateLimit {
		return cause.Errorf("%w: more than %d bytes", errState, stateLimit)
	}
	var read State
	if err := json.Unmarshal(data, &read); err != nil {
		return cause.Errorf("%w: %w", errState, err)
	}
	if read.Format != stateFormat {
		return cause.Errorf("%w: format %d, this program knows %d", errState, read.Format, stateFormat)
	}
	*s = read
	return nil
}

func (s *Swap) writeState(state State) error {
	state.Format = stateFormat
	data, err := json.Marshal(state)
	if err != nil {
		return cause.Errorf("writing state: %w", err)
	}
	if err := disk.WriteFile(s.fs, s.statePath(), append(data, '\n')); err != nil {
		return cause.Errorf("writing state: %w", err)
	}
	s.state = state
	return nil
}
