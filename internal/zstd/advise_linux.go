package zstd

import "syscall"

// advise asks for huge pages where buf is that large: matches lie anywhere in it. It takes a twentieth off an update's CPU
// time, as the kernel gives four pages instead of two thousand, and the processor finds them sooner. Where there are none nothing is lost.
func advise(buf []byte) {
	if len(buf) >= 4<<20 {
		syscall.Madvise(buf, syscall.MADV_HUGEPAGE)
	}
}
