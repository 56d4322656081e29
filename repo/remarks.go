package repo

import (
	"bytes"
	"debug/buildinfo"
	elffile "debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"strings"
)

// remarks are what makes a delta between two binaries larger than it has to be, and what to do.
func remarks(old, fresh []byte) []string {
	var list []string
	a, aerr := buildinfo.Read(bytes.NewReader(old))
	b, berr := buildinfo.Read(bytes.NewReader(fresh))
	if aerr == nil && berr == nil && a.GoVersion != b.GoVersion {
		list = append(list, fmt.Sprintf("built by %s, the old one by %s: a delta between toolchains is many times larger", b.GoVersion, a.GoVersion))
	}
	if hasDWARF(fresh) {
		list = append(list, "it has DWARF, which makes it and its deltas larger: link with -ldflags -w")
	}
	return list
}

func hasDWARF(data []byte) bool {
	for _, name := range sections(data) {
		for _, prefix := range []string{".debug_info", ".zdebug_info", "__debug_info", "__zdebug_info"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
	}
	return false
}

// sections are the names of an executable's, none for other files.
func sections(data []byte) (names []string) {
	r := bytes.NewReader(data)
	if f, err := elffile.NewFile(r); err == nil {
		for _, s := range f.Sections {
			names = append(names, s.Name)
		}
	} else if f, err := pe.NewFile(r); err == nil {
		for _, s := range f.Sections {
			names = append(names, s.Name)
		}
	} else if f, err := macho.NewFile(r); err == nil {
		for _, s := range f.Sections {
			names = append(names, s.Name)
		}
	}
	return names
}
