// Package tuf is the client's side of The Update Framework, specification
// 1.0: it decides which files of a repository the release keys stand behind.
//
// Parties, and what each vouches for:
//
//	root       the keys and thresholds of all roles, itself included
//	timestamp  which snapshot is current        ─► "is there news"
//	snapshot   the version of every targets role ─► "which belong together"
//	targets    length and hashes of files, or    ─► "what may be installed"
//	           other roles that vouch for some paths
//
// [New] starts from a root that the caller trusts already. [Client.Refresh] walks root, timestamp,
// snapshot and targets in this order (section 5 of the specification), and [Client.Target]
// looks a path up, following delegations. Nothing is used or stored before it is verified,
// and each verified file is stored at once, so that a client never goes back to what
// it has seen replaced: not to an old release, and not to a revoked key.
//
// The package touches no network, disk or clock: [Env] is its whole outside
// world. It needs the standard library alone.
//
// Beyond the specification it refuses: duplicate keys in JSON, invalid UTF-8, data after
// the value, numbers that are no integers, a key under an id that is not
// its hash, two ids for one key counted twice, and delegations to the names of top-level roles.
//
// Keys are Ed25519, ECDSA P-256 (in the one usual encoding, PKIX with an uncompressed point) and RSA-PSS of
// at least 2048 bits. Others are kept and do not count. Path patterns have the two wildcards that the
// specification names, * and ?; a bracket, which other clients may take for the
// begin of a class, stands for itself.
package tuf

import (
	"errors"
	"fmt"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// Env is the outside world of a client.
type Env interface {
	// Fetch gets a metadata file from the repository, "timestamp.json" or
	// "7.root.json" for example, and fails if it has more than limit bytes.
	// A missing file is an error for which errors.Is(err, fs.ErrNotExist) holds.
	Fetch(name string, limit int64) ([]byte, error)

	// Load gets a file that Store has kept, under the same name.
	// A missing file is an error for which errors.Is(err, fs.ErrNotExist) holds.
	Load(name string) ([]byte, error)

	// Store keeps a verified file, atomically and durably. Names have no
	// version: "root.json", "timestamp.json", "linux-amd64.json".
	Store(name string, data []byte) error

	// Now is the time by which metadata expires. A clock that was set
	// back must not bring expired metadata to life: see to a floor.
	Now() time.Time

	// Warn is told of stored files that cannot be used.
	Warn(error)
}

// Limits. Sizes are in bytes, and bound what Fetch may return where the
// metadata does not say.
const (
	MaxRoot        = 512 << 10
	MaxTimestamp   = 16 << 10
	MaxSnapshot    = 2 << 20
	MaxTargets     = 5 << 20
	MaxRotations   = 256 // new roots in one Refresh
	MaxDelegations = 32  // roles visited for one Target
	MaxSignatures  = 64  // in one file
	MaxKeys        = 256 // in one root or delegation
	maxVersion     = 1 << 53
	maxLength      = 1 << 40
	maxBits        = 32
	maxName        = 200 // bytes of a role's name
)

var (
	// ErrMalformed: a file is not TUF metadata as the specification has it,
	// or not what the metadata above it says (version, length, hash).
	ErrMalformed = errors.New("malformed metadata")

	// ErrUntrusted: too few of a role's keys have signed a file.
	ErrUntrusted = errors.New("not signed by enough of the trusted keys")

	// ErrRollback: the repository serves something older than what was seen before.
	ErrRollback = errors.New("older than what was seen before")

	// ErrExpired: metadata is too old to be news; it is in each [*ExpiredError].
	ErrExpired = errors.New("expired")

	// ErrNoTarget: nobody who is trusted to vouches for the path.
	ErrNoTarget = errors.New("no trusted role lists the file")
)

// ExpiredError says that metadata is too old to be news.
type ExpiredError struct {
	Role    string
	Expired time.Time
	Now     time.Time // by which it has expired
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("%s metadata expired at %s", e.Role, e.Expired.Format(time.RFC3339))
}

// Is makes the error one of ErrExpired.
func (e *ExpiredError) Is(target error) bool { return target == ErrExpired }

// Target is a file that the repository's keys stand behind.
type Target struct {
	Path   string
	Length int64  // bytes
	SHA256 string // lower case hex
	SHA512 string // lower case hex, empty where the metadata has none
	Custom []byte // what the publisher added: a JSON object, or nil
}

// malformed makes an error about a file. Inlined at its many places it would cost each
// program kilobytes.
//
//go:noinline
func malformed(format string, args ...any) error {
	return cause.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
