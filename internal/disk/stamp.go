package disk

import (
	"io/fs"
	"os"
)

// Stamp tells whether an open file was written to since it was last looked
// at. Equal stamps of one file mean that it most likely was not; what has to be
// certain is hashed again.
type Stamp struct {
	Size     int64
	Modified int64 // nanoseconds
	Changed  int64 // nanoseconds, 0 where unknown
}

// StampOf reads the stamp of a file from what Stat says about it.
func StampOf(info fs.FileInfo) Stamp {
	return Stamp{Size: info.Size(), Modified: info.ModTime().UnixNano(), Changed: changeTime(info)}
}

// SameFile tells whether two descriptions are of one file, whatever its names.
func SameFile(a, b fs.FileInfo) bool { return os.SameFile(a, b) }
