package exe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
)

type arch struct {
	name           string
	elf, pe, machO uint32
	wide, big      bool
}

// archs are Go's architectures: how ELF, PE and Mach-O number them (0: not
// used there) and what their headers say about words.
var archs = []arch{
	{name: "386", elf: 3, pe: 0x14c},
	{name: "amd64", elf: 62, pe: 0x8664, machO: 0x01000007, wide: true},
	{name: "arm", elf: 40, pe: 0x1c4},
	{name: "arm64", elf: 183, pe: 0xaa64, machO: 0x0100000c, wide: true},
	{name: "loong64", elf: 258, wide: true},
	{name: "mips", elf: 8, big: true},
	{name: "mips64", elf: 8, wide: true, big: true},
	{name: "mips64le", elf: 8, wide: true},
	{name: "mipsle", elf: 8},
	{name: "ppc64", elf: 21, wide: true, big: true},
	{name: "ppc64le", elf: 21, wide: true},
	{name: "riscv64", elf: 243, wide: true},
	{name: "s390x", elf: 22, wide: true, big: true},
}

// systems are Go's operating systems that run native executables, with their
// architectures, as `go tool dist list` has them. windows/arm and
// freebsd/riscv64 have left the list; repositories may still hold them.
var systems = []struct{ goos, goarchs string }{
	{"aix", "ppc64"},
	{"android", "386 amd64 arm arm64"},
	{"darwin", "amd64 arm64"},
	{"dragonfly", "amd64"},
	{"freebsd", "386 amd64 arm arm64 riscv64"},
	{"illumos", "amd64"},
	{"ios", "amd64 arm64"},
	{"linux", "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x"},
	{"netbsd", "386 amd64 arm arm64"},
	{"openbsd", "386 amd64 arm arm64 ppc64 riscv64"},
	{"plan9", "386 amd64 arm"},
	{"solaris", "amd64"},
	{"windows", "386 amd64 arm arm64"},
}

// Known returns nil for a platform that Go builds native executables for. The
// error for another names the valid ones.
func Known(goos, goarch string) error {
	var names []string
	for _, s := range systems {
		names = append(names, s.goos)
		if s.goos != goos {
			continue
		}
		valid := strings.Fields(s.goarchs)
		if slices.Contains(valid, goarch) {
			return nil
		}
		return cause.Errorf("unknown architecture %q for %s, valid are %s", goarch, goos, strings.Join(valid, ", "))
	}
	return cause.Errorf("unknown operating system %q, valid are %s", goos, strings.Join(names, ", "))
}

// platform is the header that an executable for goos and goarch has. Not known are,
// beside other names, the systems with formats of their own (aix, plan9).
//
// A variant of an architecture, which follows a dash, is not in headers.
func platform(goos, goarch string) (header, bool) {
	goarch, _, _ = strings.Cut(goarch, "-")
	if goos == "aix" || goos == "plan9" || Known(goos, goarch) != nil {
		return header{}, false
	}
	f := elf
	switch goos {
	case "windows":
		f = pe
	case "darwin", "ios":
		f = machO
	}
	for i := range archs {
		if a := &archs[i]; a.name == goarch {
			return header{format: f, machines: []machine{a.in(f)}}, true
		}
	}
	return header{}, false
}

// in is what a format's headers say about an architecture.
func (a *arch) in(f format) machine {
	m := machine{number: a.elf, wide: a.wide, big: a.big}
	switch f {
	case pe:
		m.number = a.pe
	case machO:
		m.number = a.machO
	}
	return m
}

func archName(f format, m machine) string {
	for i := range archs {
		if a := &archs[i]; a.in(f) == m {
			return a.name
		}
	}
	return fmt.Sprintf("machine %#x", m.number)
}
