package updater

import (
	"errors"
	"io/fs"
	"net"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/exe"
	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/internal/tuf"
	"github.com/choria-io/go-updater/store"
)

// What can go wrong that a caller or an operator can do something about.
// Errors wrap these; find them with [errors.Is], and get advice from [Hint].
var (
	// ErrBusy: another update of the same target is running. Try later.
	ErrBusy = swap.ErrBusy

	// ErrTargetMissing: there is no file at the target's path.
	ErrTargetMissing = swap.ErrTargetMissing

	// ErrNotWritable: this user may not create files in the target's folder,
	// or in the state folder.
	ErrNotWritable = errors.New("not writable for this user")

	// ErrReadOnly: the target lies on a file system that is mounted read-only.
	ErrReadOnly = errors.New("the file system is read-only")

	// ErrNoRoom: the disk, or the user's quota, has no room for the new
	// binary and what is needed to get there.
	ErrNoRoom = errors.New("not enough room")

	// ErrManaged: a package manager installed the target.
	ErrManaged = errors.New("the target belongs to a package manager")

	// ErrContainer: the target is part of a container's image.
	ErrContainer = errors.New("the target is part of a container image")

	// ErrUnsafeFolder: others may exchange files in the target's folder or
	// in the state folder.
	ErrUnsafeFolder = swap.ErrUnsafeFolder

	// ErrObstructed: something that is not ours has a name that is needed.
	ErrObstructed = swap.ErrObstructed

	// ErrAttributes: capabilities or setuid and setgid bits of the target
	// cannot be carried over by this user.
	ErrAttributes = swap.ErrAttributes

	// ErrTampered: the staged file was changed by someone else.
	ErrTampered = swap.ErrTampered

	// ErrNotDurable: the new binary is in place, but a power loss may still
	// bring the old one back. The update is done.
	ErrNotDurable = swap.ErrNotDurable

	// ErrNoBackup: there is nothing to roll back to.
	ErrNoBackup = swap.ErrNoBackup

	// ErrRejected: what the repository serves is not what its metadata says,
	// or is malformed.
	ErrRejected = store.ErrRejected

	// ErrSignature: a public key is set, and the release is not signed by it.
	ErrSignature = errors.New("the release is not signed by the configured key")

	// ErrUntrusted: with a trust root set, what the repository serves is not
	// signed by enough of its keys.
	ErrUntrusted = tuf.ErrUntrusted

	// ErrOlderMetadata: the repository serves metadata older than what this
	// machine has seen. It is restored from a backup, a mirror that lags, or an attack.
	ErrOlderMetadata = tuf.ErrRollback

	// ErrExpired: the repository's metadata has expired, so there is no news
	// that can be believed. The program goes on as it is.
	ErrExpired = tuf.ErrExpired

	// ErrMetadata: the repository's metadata is malformed, or its parts do
	// not belong together.
	ErrMetadata = tuf.ErrMalformed

	// ErrOtherProduct: what is signed is another product, version or platform.
	ErrOtherProduct = errors.New("signed as something else")

	// ErrOlderVersion: the version is older than the current one; see [AllowDowngrade].
	ErrOlderVersion = errors.New("the version is older than the current one")

	// ErrHeld: this version was tried and went back, or was refused before the swap. It
	// is not installed again unless [AllowHeld] says so, or [Unhold] gives it free.
	ErrHeld = errors.New("the version is held")

	// ErrSelfTest: the new version does not start here, or does not say that it works; see
	// [SelfTest]. It is held.
	ErrSelfTest = errors.New("the new version does not work here")

	// ErrNoExec: nothing may be executed in the target's folder, so that the new version cannot
	// be tried.
	ErrNoExec = errors.New("programs cannot be executed here")

	// ErrHash: the binary has another checksum than its release says, or the backup another than it had.
	ErrHash = swap.ErrHash

	// ErrNotExecutable and ErrOtherPlatform: the release's binary cannot run
	// here.
	ErrNotExecutable = exe.ErrNotExecutable
	ErrOtherPlatform = exe.ErrOtherPlatform
)

// What is missing in a repository; other files that are missing are this machine's.
var (
	errNoRelease = errors.New("not found")
	errNoChannel = errors.New("there is no such channel")
	errNoFile    = errors.New("the repository lacks a file")
)

// missing says what an error means that came of a file that the repository has not; other errors it leaves as they are. A repository
// without metadata lacks more than that.
func missing(err, what error) error {
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrUntrusted) {
		return cause.Errorf("%w: %w", what, err)
	}
	return err
}

type advice struct {
	err  error
	hint string
}

// hints are made when they are asked for, so that programs that never ask do not link them.
func hints() []advice {
	return []advice{
		{ErrBusy, "wait until the other update has ended, then try again"},
		{ErrTargetMissing, "check the target's path; if a backup is beside it, roll back"},
		{ErrNotWritable, "run as the user who owns the folder, or as root"},
		{ErrReadOnly, "remount the file system for writing, or update its image"},
		{ErrNoRoom, "free some room, and try again; nothing was changed"},
		{ErrManaged, "upgrade it with the package manager, or allow managed targets"},
		{ErrContainer, "build and start a new image, or allow targets in containers"},
		{ErrUnsafeFolder, "take the right to write from other users (chmod o-w), or move the program elsewhere"},
		{ErrObstructed, "look at what is in the way, and move it"},
		{ErrAttributes, "run as root, who may set owners and capabilities"},
		{ErrTampered, "find out who writes in the target's folder"},
		{ErrNotDurable, "the update is done; check the disk"},
		{ErrSelfTest, "read what it said; install a later version, and tell the publisher"},
		{ErrNoExec, "remount the file system without noexec, or update without a self-test"},
		{ErrHeld, "install a later version; update-repo status says what happened, update-repo unhold lets it be tried again"},
		{ErrNoBackup, "a backup is made by the first update"},
		{ErrExpired, "the program goes on as it is; the publisher renews with update-repo timestamp; if the date is wrong here, set this machine's clock"},
		{ErrUntrusted, "the repository is not the one that this program trusts, very old, or under attack: install nothing from it, tell its publisher"},
		{ErrOlderMetadata, "a mirror that lags catches up by itself; if it stays so, the server or someone in between is under attack: tell the publisher"},
		{ErrMetadata, "try again later, a publish may be under way; if it stays so, tell the publisher"},
		{ErrOtherProduct, "check the product, the version and the repository; if they are right, tell the publisher"},
		{ErrOlderVersion, "name a newer version, or allow the downgrade"},
		{ErrSignature, "check that the key belongs to this repository; if it does, do not install this release"},
		{ErrOtherPlatform, "the release was published under the wrong os or arch; tell its publisher"},
		{ErrNotExecutable, "the release does not hold a program for this platform; tell its publisher"},
		{swap.ErrBackup, "leave this backup; install the version that is wanted instead"},
		{ErrHash, "try again later; if it stays so, tell the publisher"},
		{ErrRejected, "try again later; if it stays so, tell the publisher"},
		{store.ErrDowngrade, "use the https address that is meant"},
		{errNoRelease, "check the repository, the version, the os and the arch"},
		{errNoChannel, "check the channel's name and the repository"},
		{errNoFile, "try again later; if it stays so, tell the publisher"},
		{fs.ErrNotExist, "check the path; a relative one begins in the current folder"},
	}
}

// Hint is one line on what to do about an error, empty if there is nothing to say.
func Hint(err error) string {
	for _, h := range hints() {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	if cause.Any(err, isUnreachable) {
		return "the server cannot be reached: check the address, and that it runs"
	}
	return ""
}

// isUnreachable tells whether a connection was never made, for want of an address, a way or somebody who listens.
func isUnreachable(err error) bool {
	op, ok := err.(*net.OpError)
	return ok && op.Op == "dial"
}

// RollbackError returns the error of a rollback that failed after an update
// had failed: there is no program at the target's path. For other errors, and nil, it returns nil.
//
// On Unix an update has nothing to roll back and this is always nil. On Windows it
// is not when a swap failed between its two steps and could not be undone; the next
// update, or `update-repo rollback`, mends it.
func RollbackError(err error) error {
	if undo, ok := cause.Find[*swap.UndoError](err); ok {
		return undo.Undo
	}
	return nil
}

// onDisk says what an error of the target's disk means.
func onDisk(err error) error {
	kind := error(nil)
	switch {
	case err == nil, errors.Is(err, ErrAttributes), errors.Is(err, ErrNotDurable):
	case isNoRoom(err):
		kind = ErrNoRoom
	case isReadOnly(err):
		kind = ErrReadOnly
	case errors.Is(err, fs.ErrPermission):
		kind = ErrNotWritable
	}
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return cause.Errorf("%w: %w", kind, err)
}

// uncomparable, as a field, keeps the compiler from writing a function that compares two of a struct, which comes to half a
// kilobyte in each program.
type uncomparable [0]func()
