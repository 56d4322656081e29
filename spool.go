package updater

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/swap"
)

// spool keeps the archive of one artifact while it arrives, and beside it, in
// path+".json", what it is the start of. Neither is made durable: whatever a
// crash leaves is hashed again before it is used for anything.
type spool struct {
	_ uncomparable

	fs   disk.FS
	path string
	key  string // which release; bytes of another are of no use

	file   disk.File
	hash   hash.Hash
	size   int64
	meta   spoolMeta
	failed error // of the disk, while decoding
}

type spoolMeta struct {
	Key     string `json:"key"`
	File    string `json:"file"`
	Source  string `json:"source"`
	Version string `json:"version"`
}

// openSpool opens what an earlier process left, or an empty spool. Without a
// key it is always empty.
func openSpool(fsys disk.FS, path, key string) (*spool, error) {
	s := &spool{fs: fsys, path: path, key: key, hash: sha256.New()}
	if key != "" && s.readMeta() && s.resume() {
		return s, nil
	}
	s.meta = spoolMeta{}
	var err error
	s.file, err = disk.CreateFresh(fsys, path)
	return s, err
}

func (s *spool) metaPath() string { return s.path + ".json" }

func (s *spool) readMeta() bool {
	f, err := s.fs.Open(s.metaPath())
	if err != nil {
		return false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, spoolMetaLimit))
	if err != nil {
		return false
	}
	meta, ok := parseSpoolMeta(data)
	if ok && meta.Key == s.key {
		s.meta = meta
	}
	return ok && meta.Key == s.key
}

const spoolMetaLimit = 16 << 10

// parseSpoolMeta reads what writeMeta wrote. After a crash it may be anything; then the
// download starts from zero. The version goes into a request, so that it has to be printable.
func parseSpoolMeta(data []byte) (spoolMeta, bool) {
	var meta spoolMeta
	if json.Unmarshal(data, &meta) != nil {
		return spoolMeta{}, false
	}
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if meta.Key == "" || meta.File == "" || strings.ContainsFunc(meta.Version, unprintable) {
		return spoolMeta{}, false
	}
	return meta, true
}

// resume takes over the bytes that are there.
func (s *spool) resume() bool {
	f, err := s.fs.OpenAppend(s.path)
	if err != nil {
		return false
	}
	if _, err = f.Seek(0, io.SeekStart); err == nil {
		s.size, err = io.CopyBuffer(s.hash, struct{ io.Reader }{f}, make([]byte, copyBuffer))
	}
	if err != nil {
		f.Close()
		s.size = 0
		s.hash.Reset()
		return false
	}
	s.file = f
	return true
}

// expect prepares for an artifact: the bytes of another one are forgotten.
func (s *spool) expect(a *Artifact) error {
	if s.meta.File == a.File {
		return nil
	}
	s.meta = spoolMeta{Key: s.key, File: a.File}
	if err := s.empty(); err != nil {
		return onDisk(err)
	}
	err := s.file.Reserve(a.Size)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return onDisk(err)
}

// Have implements [store.Spool].
func (s *spool) Have() (source, version string, size int64) {
	return s.meta.Source, s.meta.Version, s.size
}

// Begin implements [store.Spool].
func (s *spool) Begin(source, version string) error {
	if err := s.empty(); err != nil {
		return onDisk(err)
	}
	s.meta.Source, s.meta.Version = source, version
	if s.key == "" || version == "" {
		return nil // never to be resumed by another process
	}
	return onDisk(s.writeMeta())
}

// empty forgets what was written: first what it was, then the bytes.
func (s *spool) empty() error {
	if err := s.fs.Remove(s.metaPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.size > 0 {
		if err := s.file.Truncate(0); err != nil {
			return err
		}
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.hash.Reset()
	s.size = 0
	return nil
}

func (s *spool) writeMeta() error {
	data, err := json.Marshal(s.meta)
	if err != nil {
		return err
	}
	f, err := disk.CreateFresh(s.fs, s.metaPath())
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *spool) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return n, onDisk(err)
}

// check compares what arrived with what the release says about the archive.
func (s *spool) check(a *Artifact) error {
	if a.Size > 0 && s.size != a.Size {
		return cause.Errorf("%s is %w: it has %d bytes, not %d", a.File, ErrRejected, s.size, a.Size)
	}
	if sum := swap.Hex(s.hash); a.SHA256 != "" && sum != a.SHA256 {
		return cause.Errorf("%s is %w: its sha256 is %s, not %s", a.File, ErrRejected, sum, a.SHA256)
	}
	return nil
}

// reader reads the archive from its start. What a decoder makes of an error of
// the disk, failed keeps.
func (s *spool) reader() (io.Reader, error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, onDisk(err)
	}
	s.failed = nil
	return readerFunc(func(p []byte) (int, error) {
		n, err := s.file.Read(p)
		if err != nil && err != io.EOF {
			s.failed = err
		}
		return n, err
	}), nil
}

// mapped is what is there, in memory that belongs to the file. It is to be unmapped before more is written.
func (s *spool) mapped() (data []byte, unmap func() error, err error) {
	data, unmap, err = s.file.Map(s.size)
	return data, unmap, onDisk(err)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// close keeps the bytes for a later process.
func (s *spool) close() error { return s.file.Close() }

// remove closes the spool and forgets the bytes.
func (s *spool) remove() error {
	s.file.Close()
	err := s.fs.Remove(s.metaPath())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if rerr := s.fs.Remove(s.path); err == nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = rerr
	}
	return err
}
