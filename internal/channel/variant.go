package channel

import "strings"

// A platform is os/arch, and for some releases there are variants beside it, os/arch-VARIANT: v2, v3, v4 (GOAMD64),
// v6, v7 (GOARM), musl, glibc, or a level and a libc, v3-musl. What stands under os/arch runs on every host.

// levels of instruction sets: a host that can run one can run those before it.
var levels = []string{"", "v2", "v3", "v4", "v6", "v7"}

// libcs that a binary may be linked to.
var libcs = []string{"musl", "glibc"}

// Variant splits an architecture of a platform: "amd64-v3-musl" into amd64, v3 and musl. ok is
// false for variants that this version does not know; no host runs those.
func Variant(arch string) (base, level, libc string, ok bool) {
	base, rest, found := strings.Cut(arch, "-")
	if !found {
		return base, "", "", true
	}
	for _, part := range strings.Split(rest, "-") {
		switch {
		case index(levels, part) > 0 && level == "" && libc == "":
			level = part
		case index(libcs, part) >= 0 && libc == "":
			libc = part
		default:
			return base, "", "", false
		}
	}
	return base, level, libc, true
}

// HasLevel tells whether an architecture has a level beside its baseline.
func HasLevel(arch, level string) bool {
	i := index(levels, level)
	return arch == "amd64" && i > 0 && i <= index(levels, "v4") || arch == "arm" && i > index(levels, "v4")
}

func index(list []string, s string) int {
	for i, v := range list {
		if v == s {
			return i
		}
	}
	return -1
}

// Ability is what a host can run beside the baseline of its platform.
type Ability struct {
	Level string   // the highest, "v3" for example; empty for the baseline alone
	Libcs []string // that are there, the preferred one first
}

// best is the platform of a list that a host should take: of those that it can run the highest
// level, and then one for its libc. It is empty if the host can run none.
func best(platforms []string, goos, arch string, can Ability) string {
	chosen, score := "", -1
	for _, p := range platforms {
		system, a, _ := strings.Cut(p, "/")
		base, level, libc, ok := Variant(a)
		if system != goos || !ok || p != goos+"/"+arch && base != arch {
			continue
		}
		if p == goos+"/"+arch { // named as it is, by whoever configured the host
			level, libc = "", ""
		}
		rank := index(levels, level)
		if rank > max(index(levels, can.Level), 0) || libc != "" && index(can.Libcs, libc) < 0 {
			continue
		}
		n := rank * 8
		if libc != "" {
			n += 7 - min(index(can.Libcs, libc), 6)
		}
		if n > score {
			chosen, score = p, n
		}
	}
	return chosen
}
