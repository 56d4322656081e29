//go:build !linux && !amd64

package machine

// Level is that of this platform's instruction sets; only Linux and amd64 tell.
func Level() string { return "" }
