//go:build unix

// Command self updates itself without naming a target, through a variable and with logrus, as
// programs written for v0.1.0 do.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/sirupsen/logrus"

	updater "github.com/choria-io/go-updater"
)

var version = "0.6.0" // set when it is built

var apply func(...updater.Option) error = updater.Apply

func main() {
	fmt.Println("self", version, os.Args[1:])
	if version == os.Getenv("WANTED") {
		return
	}
	log := logrus.New()
	log.SetOutput(os.Stdout)
	err := apply(
		updater.Logger(log.WithField("component", "updater")),
		updater.SourceRepo(os.Getenv("REPO")),
		updater.Version(os.Getenv("WANTED")),
		updater.CurrentVersion(version),
	)
	if err != nil {
		fmt.Println("failed:", err, "rollback:", updater.RollbackError(err))
		os.Exit(1)
	}
	// A shell leaves the bare name in os.Args[0] when it finds a program in PATH.
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		err = syscall.Exec(path, os.Args, os.Environ())
	}
	fmt.Println(err)
	os.Exit(1)
}
