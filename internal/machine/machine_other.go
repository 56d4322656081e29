//go:build !linux

package machine

// Libcs are the C libraries that programs may be linked to; only Linux has a choice.
func Libcs() []string { return nil }
