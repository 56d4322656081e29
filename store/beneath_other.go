//go:build !linux

package store

import (
	"os"
	"path/filepath"
)

// openBeneath opens a file below a folder for reading. Links are followed as long as they stay in the folder.
func openBeneath(folder, name string) (*os.File, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Opened as disk does it: a FIFO in the folder must not hang the client.
	return root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|nonBlocking, 0)
}
