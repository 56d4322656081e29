// Package machine tells which machine this is, and what it can run beside the baseline of its platform.
package machine

import (
	"strconv"
	"strings"
)

// amd64Levels are the processor flags, as Linux names them, that GOAMD64's levels ask for beside those of the level before
// (the psABI's microarchitecture levels; abm is LZCNT, pni SSE3).
var amd64Levels = []struct{ name, flags string }{
	{"v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"},
	{"v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"},
	{"v4", "avx512f avx512bw avx512cd avx512dq avx512vl"},
}

// levelOf is the highest level that a processor can run, by the text of /proc/cpuinfo; empty for
// the baseline.
func levelOf(arch, cpuinfo string) string {
	switch arch {
	case "amd64":
		return amd64Level(flagsOf(cpuinfo, "flags"))
	case "arm":
		return armLevel(cpuinfo)
	}
	return ""
}

func amd64Level(has map[string]bool) string {
	level := ""
	for _, l := range amd64Levels {
		for _, flag := range strings.Fields(l.flags) {
			if !has[flag] {
				return level
			}
		}
		level = l.name
	}
	return level
}

// armLevel is GOARM's: 7 needs VFPv3, 6 VFP. Kernels call some processors of version 6 version 7, so the
// floating point unit decides.
func armLevel(cpuinfo string) string {
	has := flagsOf(cpuinfo, "Features")
	digits := strings.TrimSpace(fieldOf(cpuinfo, "CPU architecture"))
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	version, err := strconv.Atoi(digits)
	switch {
	case err != nil || version < 6:
		return ""
	case version >= 7 && (has["vfpv3"] || has["vfpv3d16"] || has["vfpv4"] || has["neon"]):
		return "v7"
	case has["vfp"]:
		return "v6"
	}
	return ""
}

func flagsOf(cpuinfo, key string) map[string]bool {
	has := map[string]bool{}
	for _, flag := range strings.Fields(fieldOf(cpuinfo, key)) {
		has[flag] = true
	}
	return has
}

// fieldOf is the first value of a key in lines of "key : value".
func fieldOf(text, key string) string {
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return value
		}
	}
	return ""
}
