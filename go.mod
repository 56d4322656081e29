module github.com/choria-io/go-updater

go 1.24.0

require (
	github.com/klauspost/compress v1.19.0
	golang.org/x/sys v0.41.0
)
