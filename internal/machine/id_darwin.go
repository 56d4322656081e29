package machine

import (
	"encoding/hex"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ID is the hardware's UUID (IOPlatformUUID), as gethostuuid(2) has it, empty where that fails.
func ID() string {
	var uuid [16]byte
	wait := unix.Timespec{Sec: 1}
	_, _, errno := unix.Syscall(unix.SYS_GETHOSTUUID, uintptr(unsafe.Pointer(&uuid)), uintptr(unsafe.Pointer(&wait)), 0)
	if errno != 0 || uuid == ([16]byte{}) {
		return ""
	}
	return hex.EncodeToString(uuid[:])
}
