package zstd

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// room is memory of size bytes. Large ones begin where a huge page does and ask for such pages: matches lie anywhere in the window. Together
// that takes some 6 % off an update's CPU time, as the kernel gives four pages instead of two thousand, and the processor finds them sooner. What
// is skipped before is never touched, and so costs addresses alone. Where there are no huge pages nothing is lost.
func room(size int) []byte {
	if size < 2*hugePage {
		return make([]byte, size)
	}
	buf := make([]byte, size+hugePage)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % hugePage
	buf = buf[skip:][:size:size]
	syscall.Madvise(buf, syscall.MADV_HUGEPAGE)
	return buf
}
