module github.com/choria-io/go-updater/repo

go 1.24.0

require (
	github.com/choria-io/go-updater v0.0.0
	github.com/dsnet/compress v0.0.1
	github.com/klauspost/compress v1.19.0
)

require golang.org/x/sys v0.41.0 // indirect
