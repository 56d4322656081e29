package updater

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot names this start of the machine, and tells how long ago it was, sleep included.
func sinceBoot() (boot string, up time.Duration) {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		boot = strings.TrimSpace(string(id))
	}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		up = time.Duration(ts.Nano())
	}
	return boot, up
}
