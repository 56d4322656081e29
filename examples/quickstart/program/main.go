//go:build unix

// Command program updates itself to the version that it is told.
package main

import (
	_ "embed"
	"fmt"
	"log"
	"os"
	"syscall"

	updater "github.com/choria-io/go-updater"
)

var version = "0.0.0" // set when it is built

// trustRoot is what `update-repo init` wrote. The file that stands here is a
// placeholder, which no repository is trusted with.
//
//go:embed trust-root.json
var trustRoot []byte

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
		updater.TrustRoot(trustRoot),
	)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(syscall.Exec(os.Args[0], os.Args, os.Environ()))
}
