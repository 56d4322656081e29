package swap

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
)

// Staged is a file beside the target that is to become it. It is an
// [io.Writer] until it is sealed. Close removes it unless it was committed.
type Staged struct {
	_ uncomparable

	s     *Swap
	file  disk.File
	hash  hash.Hash
	size  int64
	links bool // the folder's file system has hard links

	sealedSum string
	stamp     disk.Stamp
	sealed    bool
}

// Create creates the staged file. It shows at once, before anything is
// downloaded, whether the folder can be written and whether what the target has can be
// carried over: it gives the empty file all of it.
func (s *Swap) Create() (*Staged, error) {
	f, err := disk.CreateFresh(s.fs, s.tempName())
	if errors.Is(err, fs.ErrExist) {
		return nil, cause.Errorf("%w: %w", ErrObstructed, err)
	}
	if err != nil {
		return nil, cause.Errorf("creating a file beside the target: %w", err)
	}
	st := &Staged{s: s, file: f, hash: sha256.New()}
	if st.links, err = s.probeLink(); err == nil {
		err = s.carryOver(f, false)
	}
	if err != nil {
		st.Close()
		return nil, err
	}
	return st, nil
}

// probeLink tells whether the target can get a second name. Without, its backup is a copy, which takes room.
func (s *Swap) probeLink() (bool, error) {
	if s.renameAway {
		return true, nil // the target itself becomes the backup
	}
	if err := s.fs.Link(s.target, s.backupTempName()); err != nil {
		return false, nil
	}
	if err := s.fs.Remove(s.backupTempName()); err != nil {
		return false, cause.Errorf("removing a file beside the target: %w", err)
	}
	return true, nil
}

// BackupNeedsRoom tells whether the backup will be a copy.
func (st *Staged) BackupNeedsRoom() bool { return !st.links }

// Reserve makes sure that size bytes can be written, where the file system can tell.
func (st *Staged) Reserve(size int64) error {
	err := st.file.Reserve(size)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Write appends to the staged file. After an error the file is of no use but to be closed or reset.
func (st *Staged) Write(p []byte) (int, error) {
	if st.sealed {
		return 0, errors.New("writing to the staged file: it is sealed")
	}
	st.hash.Write(p)
	n, err := st.file.Write(p)
	st.size += int64(n)
	return n, err
}

// Reset forgets all that was written.
func (st *Staged) Reset() error {
	if st.sealed {
		return errors.New("emptying the staged file: it is sealed")
	}
	if err := st.file.Truncate(0); err != nil {
		return err
	}
	if _, err := st.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	st.hash.Reset()
	st.size = 0
	return nil
}

// Size is the number of bytes written.
func (st *Staged) Size() int64 { return st.size }

// Sum is the SHA-256 of what was written, in lower case hex.
func (st *Staged) Sum() string { return Hex(st.hash) }

// Head returns up to n of the first bytes that were written.
func (st *Staged) Head(n int) ([]byte, error) {
	if _, err := st.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	head := make([]byte, min(int64(n), st.size))
	if _, err := io.ReadFull(st.file, head); err != nil {
		return nil, cause.Errorf("reading the staged file: %w", err)
	}
	_, err := st.file.Seek(0, io.SeekEnd)
	return head, err
}

// Path is where the staged file lies.
func (st *Staged) Path() string { return st.s.tempName() }

// Seal ends the writing: it checks that the bytes have the hash sum, gives the file all
// that the target has, capabilities last, and makes it durable.
// Capabilities come last because every write and every change of owner clears them.
//
// Errors: ErrHash, ErrAttributes, or that of the file system.
func (st *Staged) Seal(sum string) error {
	if got := st.Sum(); got != sum {
		return cause.Errorf("%w: sha256 is %s, not %s", ErrHash, got, sum)
	}
	// Gives back what was reserved and not written.
	if err := st.file.Truncate(st.size); err != nil {
		return err
	}
	if err := st.s.carryOver(st.file, true); err != nil {
		return err
	}
	if err := st.file.Sync(); err != nil {
		return cause.Errorf("syncing the staged file: %w", err)
	}
	info, err := st.file.Stat()
	if err != nil {
		return err
	}
	st.sealedSum, st.stamp, st.sealed = sum, disk.StampOf(info), true
	return nil
}

// ReadOnly has the sealed file no longer open for writing, so that it can be executed.
func (st *Staged) ReadOnly() error {
	f, err := st.s.fs.Open(st.Path())
	if err != nil {
		return cause.Errorf("opening the staged file: %w", err)
	}
	written, err := st.file.Stat()
	if err != nil {
		f.Close()
		return err
	}
	opened, err := f.Stat()
	if err == nil && !disk.SameFile(written, opened) {
		err = cause.Errorf("%w: %s", ErrTampered, st.Path())
	}
	if err != nil {
		f.Close()
		return err
	}
	err = st.file.Close()
	st.file = f
	return err
}

// verify makes sure that what was sealed is still what stands at the staged
// file's path. The bytes are read again if anything hints at a change, or if rehash
// says that enough time has passed to be certain.
func (st *Staged) verify(rehash bool) error {
	held, err := st.file.Stat()
	if err != nil {
		return err
	}
	named, err := st.s.fs.Lstat(st.Path())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !disk.SameFile(held, named) {
		return cause.Errorf("%w: %s", ErrTampered, st.Path())
	}
	if err != nil {
		return err
	}
	if !rehash && disk.StampOf(held) == st.stamp {
		return nil
	}
	if _, err := st.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum, err := HashOf(st.file)
	if err != nil {
		return err
	}
	if sum != st.sealedSum {
		return cause.Errorf("%w: %s", ErrTampered, st.Path())
	}
	return nil
}

// Close removes the staged file unless it was committed. It may be called twice.
func (st *Staged) Close() error {
	if st.file == nil {
		return nil
	}
	st.file.Close()
	st.file = nil
	err := st.s.fs.Remove(st.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
