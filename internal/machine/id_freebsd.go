package machine

import (
	"strings"

	"golang.org/x/sys/unix"
)

// ID is the host's UUID (kern.hostuuid), empty where there is none.
func ID() string {
	id, err := unix.Sysctl("kern.hostuuid")
	if err != nil || strings.Trim(id, "0-") == "" {
		return ""
	}
	return id
}
