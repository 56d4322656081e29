//go:build !linux

package machine

import "golang.org/x/sys/cpu"

// Level is the highest level of amd64 that the processor has, by what golang.org/x/sys/cpu can see. It does not see
// LAHF, F16C, LZCNT and MOVBE; every processor that has the others of their level has them.
func Level() string {
	x := cpu.X86
	has := map[string]bool{
		"cx16": x.HasCX16, "popcnt": x.HasPOPCNT, "pni": x.HasSSE3, "sse4_1": x.HasSSE41, "sse4_2": x.HasSSE42, "ssse3": x.HasSSSE3,
		"lahf_lm": true,
		"avx":     x.HasAVX, "avx2": x.HasAVX2, "bmi1": x.HasBMI1, "bmi2": x.HasBMI2, "fma": x.HasFMA, "xsave": x.HasOSXSAVE,
		"f16c": true, "abm": true, "movbe": true,
		"avx512f": x.HasAVX512F, "avx512bw": x.HasAVX512BW, "avx512cd": x.HasAVX512CD, "avx512dq": x.HasAVX512DQ, "avx512vl": x.HasAVX512VL,
	}
	return amd64Level(has)
}
