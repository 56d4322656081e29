// Package exe tells from a file's first bytes which platform it runs on.
//
// It reads just enough of ELF, PE and Mach-O headers to refuse what certainly
// cannot run: another format, another machine, another word size or byte order. The packages
// debug/elf, debug/pe and debug/macho would do, and cost each program that
// embeds this one a tenth of a megabyte for it.
package exe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
)

// HeaderSize is how many of a file's first bytes are enough.
const HeaderSize = 4096

var (
	// ErrNotExecutable: the file is in no known format for executables.
	ErrNotExecutable = errors.New("not an executable")

	// ErrOtherPlatform: the file is an executable for another platform.
	ErrOtherPlatform = errors.New("an executable for another platform")
)

// machine is what a header says about the processor.
type machine struct {
	number uint32 // in the format's own numbering
	wide   bool   // 64 bit
	big    bool   // big endian
}

type format string

const (
	elf   format = "ELF"
	pe    format = "PE"
	machO format = "Mach-O"
)

// header is what Identify finds. A universal Mach-O has several machines.
type header struct {
	format   format
	machines []machine
	osabi    byte // ELF
}

// IsExecutable tells whether head begins an ELF, PE or Mach-O file. Scripts are text.
func IsExecutable(head []byte) bool {
	_, ok := identify(head)
	return ok
}

// Check returns nil if head begins an executable that may run on goos and goarch.
// A format that cannot be told apart further (Linux and Solaris write the same ELF headers) passes,
// and so does everything for an os or arch that is not in Go's list.
//
// Errors: ErrNotExecutable, ErrOtherPlatform.
func Check(head []byte, goos, goarch string) error {
	want, known := platform(goos, goarch)
	if !known {
		return nil
	}
	got, ok := identify(head)
	if !ok {
		return cause.Errorf("%w: %s", ErrNotExecutable, describeOther(head))
	}
	if got.format != want.format || !got.runs(want.machines[0]) || !got.abiFits(goos) {
		return cause.Errorf("%w: %s, not for %s/%s", ErrOtherPlatform, got, goos, goarch)
	}
	return nil
}

// Guess tells what head says about the platform that an executable is for.
// Either result is empty where it says nothing, or several things. Mach-O is
// taken for darwin: programs on iOS do not replace themselves.
func Guess(head []byte) (goos, goarch string) {
	h, ok := identify(head)
	if !ok {
		return "", ""
	}
	switch h.format {
	case pe:
		goos = "windows"
	case machO:
		goos = "darwin"
	case elf:
		for _, abi := range osabis {
			if abi.value == h.osabi {
				goos = abi.goos
			}
		}
	}
	for _, a := range archs {
		if len(h.machines) == 1 && archName(h.format, h.machines[0]) == a.name {
			goarch = a.name
		}
	}
	return goos, goarch
}

func (h header) runs(m machine) bool {
	for _, have := range h.machines {
		if have == m {
			return true
		}
	}
	return false
}

// Values of EI_OSABI that name one system. 0 is used by all of them.
var osabis = []struct {
	value byte
	goos  string
}{{2, "netbsd"}, {3, "linux"}, {6, "solaris"}, {9, "freebsd"}, {12, "openbsd"}}

func (h header) abiFits(goos string) bool {
	if h.format != elf || h.osabi == 0 {
		return true
	}
	if goos == "android" {
		goos = "linux"
	}
	if goos == "illumos" {
		goos = "solaris"
	}
	if goos == "dragonfly" {
		goos = "freebsd" // shares its loader's numbers
	}
	for _, abi := range osabis {
		if abi.value == h.osabi {
			return abi.goos == goos
		}
	}
	return true
}

func (h header) String() string {
	var archs []string
	for _, m := range h.machines {
		archs = append(archs, archName(h.format, m))
	}
	system := ""
	for _, abi := range osabis {
		if h.format == elf && abi.value == h.osabi {
			system = abi.goos + "/"
		}
	}
	return fmt.Sprintf("%s for %s%s", h.format, system, strings.Join(archs, "+"))
}

func describeOther(head []byte) string {
	switch {
	case len(head) == 0:
		return "it is empty"
	case bytes.HasPrefix(head, []byte("#!")):
		return "it is a script"
	case bytes.HasPrefix(head, []byte("BZh")):
		return "it is compressed with bzip2"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "it is compressed with zstd"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "it is compressed with gzip"
	}
	return fmt.Sprintf("it begins with %q", head[:min(8, len(head))])
}

func identify(head []byte) (header, bool) {
	head = head[:min(len(head), HeaderSize)]
	if len(head) < 20 {
		return header{}, false
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return identifyELF(head)
	case bytes.HasPrefix(head, []byte("MZ")):
		return identifyPE(head)
	}
	return identifyMachO(head)
}

// uint16Of reads two bytes. (The interface ByteOrder of encoding/binary would add both orders' every method to each program.)
func uint16Of(b []byte, big bool) uint16 {
	if big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

// identifyELF reads e_ident, e_type and e_machine (System V ABI, chapter 4).
func identifyELF(head []byte) (header, bool) {
	class, data := head[4], head[5]
	if class != 1 && class != 2 || data != 1 && data != 2 {
		return header{}, false
	}
	m := machine{wide: class == 2, big: data == 2}
	if t := uint16Of(head[16:], m.big); t != 2 && t != 3 { // ET_EXEC, ET_DYN
		return header{}, false
	}
	m.number = uint32(uint16Of(head[18:], m.big))
	return header{format: elf, machines: []machine{m}, osabi: head[7]}, true
}

// identifyPE reads the COFF header that e_lfanew points to (PE format, "MS-DOS stub").
func identifyPE(head []byte) (header, bool) {
	if len(head) < 0x40 {
		return header{}, false
	}
	at := int64(binary.LittleEndian.Uint32(head[0x3c:]))
	if at+24 > int64(len(head)) || !bytes.HasPrefix(head[at:], []byte("PE\x00\x00")) {
		return header{}, false
	}
	coff := head[at+4:]
	const executable, library = 0x0002, 0x2000
	flags := binary.LittleEndian.Uint16(coff[18:])
	if flags&executable == 0 || flags&library != 0 {
		return header{}, false
	}
	number := uint32(binary.LittleEndian.Uint16(coff))
	wide := number == 0x8664 || number == 0xaa64
	return header{format: pe, machines: []machine{{number: number, wide: wide}}}, true
}

// identifyMachO reads mach_header, or fat_header and its fat_archs (mach-o/loader.h, mach-o/fat.h).
func identifyMachO(head []byte) (header, bool) {
	switch binary.BigEndian.Uint32(head) {
	case 0xcefaedfe, 0xcffaedfe:
		m := machine{number: binary.LittleEndian.Uint32(head[4:]), wide: head[0] == 0xcf}
		return header{format: machO, machines: []machine{m}}, binary.LittleEndian.Uint32(head[12:]) == 2 // MH_EXECUTE
	case 0xcafebabe, 0xcafebabf:
		return identifyFat(head)
	}
	return header{}, false
}

// identifyFat bounds the number of machines: Java's class files begin with the
// same four bytes, and a version of at least 45 follows.
func identifyFat(head []byte) (header, bool) {
	size := 20
	if head[3] == 0xbf {
		size = 32
	}
	n := int(binary.BigEndian.Uint32(head[4:]))
	if n < 1 || n > 32 || 8+n*size > len(head) {
		return header{}, false
	}
	h := header{format: machO}
	for i := range n {
		number := binary.BigEndian.Uint32(head[8+i*size:])
		h.machines = append(h.machines, machine{number: number, wide: number&0x01000000 != 0})
	}
	return h, true
}
