//go:build darwin || freebsd || openbsd || dragonfly

package updater

import (
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot names this start of the machine, and tells how long ago it was. The name is the
// time of the start, which changes with the clock on some systems: a start that is taken for
// another one is not counted, rather than counted wrongly.
func sinceBoot() (boot string, up time.Duration) {
	if runtime.GOOS == "darwin" {
		boot, _ = unix.Sysctl("kern.bootsessionuuid")
	}
	if boot == "" {
		if tv, err := unix.SysctlTimeval("kern.boottime"); err == nil {
			boot = strconv.FormatInt(int64(tv.Sec), 10)
		}
	}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		up = time.Duration(ts.Nano())
	}
	return boot, up
}
