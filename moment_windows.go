package updater

import (
	"strconv"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// bootCount is where Windows counts its own starts.
const bootCount = `SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters`

// sinceBoot names this start of the machine, and tells how long ago it was, sleep included.
func sinceBoot() (boot string, up time.Duration) {
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, bootCount, registry.QUERY_VALUE); err == nil {
		if n, _, err := k.GetIntegerValue("BootId"); err == nil {
			boot = strconv.FormatUint(n, 10)
		}
		k.Close()
	}
	return boot, windows.DurationSinceBoot()
}
