//go:build !(linux || windows || darwin || freebsd || openbsd || dragonfly)

package updater

import "time"

var processStart = time.Now()

// sinceBoot knows nothing of the machine's start here. Each process is taken for a start of its
// own: unclean exits are not counted, and only the program itself sees that its time is over.
func sinceBoot() (boot string, up time.Duration) {
	return processStart.Format(time.RFC3339Nano), time.Since(processStart)
}
