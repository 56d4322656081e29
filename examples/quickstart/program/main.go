//go:build unix

// Command program updates itself to the version that it is told.
package main

import (
	"fmt"
	"log"
	"os"
	"syscall"

	updater "github.com/choria-io/go-updater"
)

var version = "0.0.0" // set when it is built

func main() {
	fmt.Println("this is version", version)
	if len(os.Args) != 3 || os.Args[2] == version {
		return
	}
	err := updater.Apply(
		updater.Logger(log.New(os.Stdout, "program: ", 0)),
		updater.SourceRepo(os.Args[1]),
		updater.Version(os.Args[2]),
		updater.CurrentVersion(version),
	)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(syscall.Exec(os.Args[0], os.Args, os.Environ()))
}
