package updater

import "os"

// access tells whether there is such a folder; whether it can be written only writing tells.
func access(folder string) error {
	_, err := os.Stat(folder)
	return err
}
