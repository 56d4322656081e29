//go:build unix

//lint:file-ignore ST1005 the text is v0.1.0's

// Command seed is the program of v0.1.0's README, with its repository from the environment.
package main

import (
	"fmt"
	"log"
	"os"
	"syscall"

	updater "github.com/choria-io/go-updater"
)

var version = "0.6.0" // set when it is built

func main() {
	fmt.Println("seed", version, os.Args[1:])
	if version == "0.7.0" {
		return
	}
	opts := []updater.Option{
		updater.Logger(log.New(os.Stdout, "go-updater ", 0)),
		updater.SourceRepo(os.Getenv("REPO")),
		updater.Version("0.7.0"),
		updater.TargetFile(os.Args[0]),
	}
	err := updater.Apply(opts...)
	if err != nil {
		if err := updater.RollbackError(err); err != nil {
			panic(fmt.Errorf("Update failed and rollback also failed, system in broken state: %s", err))
		}
		panic(fmt.Errorf("Update failed: %s", err))
	}
	err = syscall.Exec(os.Args[0], os.Args, os.Environ())
	if err != nil {
		panic(err)
	}
}
