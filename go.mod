module github.com/choria-io/go-updater

go 1.25

require (
	github.com/klauspost/compress v1.20.3
	golang.org/x/sys v0.41.0
)
