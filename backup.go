package updater

import (
	"errors"
	"io"
	"io/fs"

	"github.com/choria-io/go-updater/internal/swap"
)

// fromBackup takes the new binary from the backup, if that is it: who goes back to the version before has
// nothing to fetch. Its bytes are held to the release as those of a download are.
func (s *Staged) fromBackup() (bool, error) {
	p, name := s.Plan, swap.Backup(s.Plan.Target)
	info, err := p.c.fs.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != p.Size {
		return false, nil
	}
	sum, err := swap.HashFile(p.c.fs, name)
	if err != nil || sum != p.Spec.Sha256Hash {
		return false, nil
	}
	f, err := p.c.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, onDisk(err)
	}
	defer f.Close()
	p.c.event(StepVerify, "verifying "+name)
	if _, err := io.CopyBuffer(struct{ io.Writer }{s.file}, io.LimitReader(f, p.Size+1), make([]byte, copyBuffer)); err != nil {
		return false, onDisk(err)
	}
	if s.check() != nil { // someone changed it meanwhile
		return false, s.file.Reset()
	}
	return true, nil
}
