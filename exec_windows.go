package updater

import (
	"os"
	"path/filepath"
)

func absolute(path string) (string, error) { return filepath.Abs(path) }

// reexec runs path with the same arguments and ends as it does. Windows cannot replace the program
// of a process, and whoever started this one waits for it.
func reexec(path string) error {
	p, err := os.StartProcess(path, os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return err
	}
	state, err := p.Wait()
	if err != nil {
		return err
	}
	os.Exit(state.ExitCode())
	return nil
}
