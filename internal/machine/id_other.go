//go:build !linux && !windows && !darwin && !freebsd

package machine

// ID is empty: this system is not known to have an identifier.
func ID() string { return "" }
