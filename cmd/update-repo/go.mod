module github.com/choria-io/go-updater/cmd/update-repo

go 1.25.0

require (
	github.com/choria-io/go-updater v0.0.0
	github.com/choria-io/go-updater/repo v0.0.0
	github.com/spf13/cobra v1.10.2
	golang.org/x/term v0.40.0
)
