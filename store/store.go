// Package store reads and writes the named files of an update repository.
//
// A repository is plain files, so a store needs little: open a file by name,
// possibly from an offset, and, for those who publish, put, delete and list.
// [HTTP] reads from any web server, [Dir] from and to a folder, [Mem] lives in
// memory for tests. [Fetcher] is the one place where retries, mirrors and
// resumption live; a Reader makes exactly one attempt per call.
//
// Names are relative slash separated paths as [io/fs.ValidPath] defines them:
// no empty, "." or ".." elements, no leading or trailing slash, and, beyond
// that rule, no backslash and no NUL. Every store refuses others with an error that wraps
// [ErrInvalidName], before anything is opened or requested.
package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
)

// Reader opens files by name.
//
// Implementations are safe for concurrent use and make one attempt per call:
// they never retry, sleep or fall back. A missing file is an error for which
// errors.Is(err, fs.ErrNotExist) holds.
type Reader interface {
	// Open opens the file name. With a Request.Offset above zero the reader
	// tries to start there; it may always start at zero instead, and says in
	// Object.Offset which of the two it did. It never starts at an offset when it knows
	// that the file is no longer the one that Request.Version named.
	//
	// Canceling ctx ends both the call and later reads from Object.Body.
	Open(ctx context.Context, name string, req Request) (*Object, error)

	// String names the store in messages and logs, without credentials.
	String() string
}

// Request says which part of a file is wanted.
type Request struct {
	// Offset is the number of bytes that the caller already has.
	Offset int64

	// Version is the Object.Version that these bytes came from. When it is
	// empty nothing is known about them and Offset is ignored.
	Version string

	// Unless is the Object.Version of a whole file that the caller has. While the file has
	// that version, Open fails with ErrUnchanged; a store that cannot tell opens the file.
	Unless string

	// NoCache asks caches between here and the store to be bypassed.
	NoCache bool
}

// Object is an opened file. The caller closes Body.
type Object struct {
	_ uncomparable

	Body io.ReadCloser

	// Offset is where Body starts: Request.Offset, or 0.
	Offset int64

	// Size is the size of the whole file in bytes, -1 when unknown. It is
	// what the store says, which nobody has verified.
	Size int64

	// Version is a strong validator: the same Version means the same bytes.
	// It is empty when the store has none, and then a cut download cannot be
	// resumed.
	Version string

	contentType string // helps to explain a rejection
}

// Store is a Reader that can be written.
type Store interface {
	Reader

	// Put writes the file name with all of r, replacing what was there.
	// Readers see the old bytes or the new ones, whole. When Put returns nil
	// the bytes are durable; after an error the old file is still there, or
	// none when there was none. Put may be repeated.
	Put(ctx context.Context, name string, r io.Reader) error

	// Delete removes the file name. Removing what is not there is no error.
	Delete(ctx context.Context, name string) error

	// List returns the files whose names start with prefix, a plain string
	// prefix, sorted by name.
	List(ctx context.Context, prefix string) ([]Entry, error)
}

// Entry is one file of a List.
type Entry struct {
	Name string
	Size int64 // bytes
}

// ErrInvalidName is wrapped by the error for a name that is not a relative,
// clean, slash separated path.
var ErrInvalidName = errors.New("invalid file name")

// CheckName returns nil if name may be used with a store.
func CheckName(name string) error {
	if name == "." || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return cause.Errorf("%w: %q", ErrInvalidName, name)
	}
	return nil
}

// uncomparable, as a field, keeps the compiler from writing a function that compares two of a struct, which comes to half a
// kilobyte in each program.
type uncomparable [0]func()
