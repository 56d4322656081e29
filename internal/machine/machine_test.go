package machine

import (
	"strings"
	"testing"
)

const (
	v2 = "fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
	v3 = v2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
	v4 = v3 + " avx512f avx512bw avx512cd avx512dq avx512vl"
)

func TestLevels(t *testing.T) {
	amd64 := func(flags string) string { return "processor\t: 0\nflags\t\t: " + flags + "\nbugs\t: x\n" }
	arm := func(version, features string) string {
		return "processor\t: 0\nmodel name\t: ARMv7 Processor\nFeatures\t: " + features + "\nCPU architecture: " + version + "\n"
	}
	for _, c := range []struct{ arch, cpuinfo, want string }{
		{"amd64", amd64(v4), "v4"},
		{"amd64", amd64(v3), "v3"},
		{"amd64", amd64(v2), "v2"},
		{"amd64", amd64("fpu"), ""},
		{"amd64", "", ""},
		{"amd64", amd64(strings.Replace(v4, " abm", "", 1)), "v2"},
		{"amd64", amd64(strings.Replace(v4, " avx512vl", "", 1)), "v3"},
		{"amd64", amd64(strings.Replace(v4, " popcnt", "", 1)), ""},
		{"arm", arm("7", "half thumb fastmult vfp edsp neon vfpv3"), "v7"},
		{"arm", arm("8", "half thumb fastmult vfp edsp neon vfpv3"), "v7"},
		{"arm", arm("7", "half thumb fastmult vfp edsp java tls"), "v6"}, // a Raspberry Pi 1
		{"arm", arm("6TEJ", "half thumb vfp"), "v6"},
		{"arm", arm("7", "half thumb"), ""},
		{"arm", arm("5TE", "half thumb vfp"), ""},
		{"arm", "", ""},
		{"arm64", arm("8", "fp asimd"), ""},
	} {
		if got := levelOf(c.arch, c.cpuinfo); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.arch, c.cpuinfo, got, c.want)
		}
	}
}
