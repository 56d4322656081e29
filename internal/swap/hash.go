package swap

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"

	"github.com/choria-io/go-updater/internal/disk"
)

// HashFile is the SHA-256 of a file, in lower case hex.
func HashFile(fsys disk.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return HashOf(f)
}

// HashOf is the SHA-256 of what is left to read, in lower case hex.
func HashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if err := readInto(h, r); err != nil {
		return "", err
	}
	return Hex(h), nil
}

// ChecksumOf is the CRC-32 of what is left to read, in lower case hex.
func ChecksumOf(r io.Reader) (string, error) {
	var c checksum
	if err := readInto(&c, r); err != nil {
		return "", err
	}
	return c.text(), nil
}

//go:noinline
func readInto(sum io.Writer, r io.Reader) error {
	_, err := io.CopyBuffer(sum, r, make([]byte, 256<<10))
	return err
}

// Identify reads a file, and tells all by which it may be remembered.
func Identify(fsys disk.FS, name string) (file Binary, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return file, err
	}
	defer f.Close()
	var c checksum
	if file.SHA256, err = HashOf(io.TeeReader(f, &c)); err == nil {
		file.CRC32 = c.text()
	}
	return file, err
}

// checksum is that of what was written to it. crc32.NewIEEE would cost each program 4 KB, with methods that an interface keeps.
type checksum uint32

func (c *checksum) Write(p []byte) (int, error) {
	*c = checksum(crc32.Update(uint32(*c), crc32.IEEETable, p))
	return len(p), nil
}

func (c *checksum) text() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, uint32(*c)))
}

// Hex is a hash's sum in lower case.
//
//go:noinline
func Hex(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
