// Package disk is the one way by which an update touches a disk.
//
// Everything that stages, swaps, rolls back or remembers goes through an [FS],
// so that a test can record each operation, fail it, or end the process at it
// (see disktest). It is the only internal package that other leaves import.
//
// No method follows a symbolic link in the last element of a path, and none
// blocks on a FIFO or device.
package disk

import (
	"io"
	"io/fs"
)

// FS is a file system. [OS] is the real one.
type FS interface {
	// Open opens a file for reading. It fails with ErrNotRegular for
	// anything but a regular file, symbolic links included.
	Open(name string) (File, error)

	// OpenLock opens or creates a file for locking, for reading and
	// writing with mode 0600. The same rule as for Open holds.
	OpenLock(name string) (File, error)

	// Create creates a file for reading and writing with mode 0600. It
	// fails with fs.ErrExist if anything has that name already.
	Create(name string) (File, error)

	// OpenAppend opens an existing regular file for reading and writing,
	// positioned at its end.
	OpenAppend(name string) (File, error)

	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)

	// Mkdir creates a folder with mode 0700.
	Mkdir(name string) error

	// Link makes newname another name of the file oldname.
	Link(oldname, newname string) error

	// Rename gives the file oldname the name newname, atomically replacing
	// what is there.
	Rename(oldname, newname string) error

	// Remove removes a file or an empty folder.
	Remove(name string) error

	// SyncDir makes the names in a folder durable. Where the platform has
	// no such operation (Windows) it does nothing.
	SyncDir(name string) error

	// Free is the room, in bytes, that this process may use in the file
	// system of the folder name.
	Free(name string) (uint64, error)
}

// File is an open regular file.
type File interface {
	io.ReadWriteSeeker
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error

	// Map is the file's content, size bytes of it, to be read only. It takes
	// no memory of this process that the system cannot take back. Reading fails as a memory
	// fault if the file becomes shorter. The caller calls unmap when done.
	Map(size int64) (data []byte, unmap func() error, err error)

	// Reserve asks for room for a file of size bytes, which stays as long
	// as it is. It fails as a write would (no space, quota), and with
	// errors.ErrUnsupported where the file system cannot say.
	Reserve(size int64) error

	// Chmod sets the permission, setuid, setgid and sticky bits.
	Chmod(mode fs.FileMode) error

	// Chown sets owner and group. It fails with errors.ErrUnsupported
	// where files have no numeric owner.
	Chown(uid, gid int) error

	// Xattrs lists the names of the extended attributes; none where the
	// platform or the file system has none.
	Xattrs() ([]string, error)
	Xattr(name string) ([]byte, error)
	SetXattr(name string, value []byte) error

	// TryLock takes an exclusive lock on the file. It returns false when
	// another open file has it.
	TryLock() (bool, error)

	// Unlock gives the lock back. Close alone does so only once the last
	// copy of the descriptor is closed, and a process that is being started by another
	// goroutine holds one for a moment.
	Unlock() error
}
