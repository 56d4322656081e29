package updater

import (
	"context"
	"io"
	"io/fs"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/exe"
	"github.com/choria-io/go-updater/internal/swap"
)

// oldBinary is what an update has to know of the file that it replaces.
type oldBinary struct {
	head   []byte      // the first exe.HeaderSize bytes
	binary swap.Binary // without a version
}

// readOld reads the target. A SHA-256 that the plan has already, to find a delta, serves here; a probation needs one. Without either
// a CRC-32 does, by which a rollback knows the backup.
func (s *Staged) readOld(ctx context.Context) error {
	p, old := s.Plan, &s.old
	f, err := p.c.fs.Open(p.Target)
	if err != nil {
		return err
	}
	defer f.Close()
	if old.head, err = readHead(f, exe.HeaderSize); err != nil {
		return err
	}
	if old.binary.SHA256 = p.known(); old.binary.SHA256 != "" {
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	all := readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(b)
	})
	if p.c.trials != nil {
		old.binary.SHA256, err = swap.HashOf(all)
	} else {
		old.binary.CRC32, err = swap.ChecksumOf(all)
	}
	return err
}

// hashed is a file that was hashed, and how it was before.
type hashed struct {
	_ uncomparable

	info fs.FileInfo
	sum  string // SHA-256 in lower case hex; empty: none was hashed
}

// known is the SHA-256 of the target if it was hashed and is still that file, and was not written to since; else it is empty.
func (p *Plan) known() string {
	info, err := p.c.fs.Lstat(p.Target)
	if h := &p.hashed; err == nil && h.sum != "" && disk.SameFile(info, h.info) && disk.StampOf(info) == disk.StampOf(h.info) {
		return h.sum
	}
	return ""
}

// hashTarget is the SHA-256 of the target. It is read once for all who ask, as long as it stays as it is.
func (p *Plan) hashTarget() (sum string, err error) {
	if sum = p.known(); sum != "" {
		return sum, nil
	}
	before, err := p.c.fs.Lstat(p.Target)
	if err != nil {
		return "", err
	}
	sum, err = swap.HashFile(p.c.fs, p.Target)
	p.hashed.info, p.hashed.sum = before, sum
	return sum, err
}

// unreadable says of an error that it was the target's.
func unreadable(err error) error {
	return cause.Errorf("reading the target: %w", onDisk(err))
}
