//go:build !linux

package managed

func onOverlay(string) bool { return false }
