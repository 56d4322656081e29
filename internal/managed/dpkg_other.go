//go:build !unix

package managed

// eachList finds none: dpkg is Unix's.
func eachList(string, func(string, []byte) bool) error { return nil }
