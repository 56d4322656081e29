package main

import (
	"cmp"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

const smallest = 2000 // bytes of a package in the table

// printPackages tells which packages the code and data of every door are in, beyond those of the plain
// program. What the runtime keeps about functions, about 0.8 bytes for each of code, is not counted in.
func (b *builder) printPackages() error {
	plain, doors := b.symbols("plain", plainProgram), b.symbols("doors", b.everyDoor())
	if b.err != nil {
		return b.err
	}
	for name, size := range plain {
		doors[name] -= size
	}
	packages := map[string]int64{}
	for symbol, size := range doors {
		packages[packageOf(symbol)] += size
	}
	names := slices.SortedFunc(maps.Keys(packages), func(a, b string) int { return cmp.Compare(packages[b], packages[a]) })
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "\nof which code and data\t")
	for _, name := range names {
		if packages[name] >= smallest {
			fmt.Fprintf(out, "%d\t  %s\n", packages[name], name)
		}
	}
	return out.Flush()
}

// symbols are the sizes of a program's symbols that are in its file.
func (b *builder) symbols(name, source string) map[string]int64 {
	file := filepath.Join(b.dir, name+"-symbols")
	b.build(file, source, "-w")
	if b.err != nil {
		return nil
	}
	f, err := elf.Open(file)
	if err != nil {
		b.keep(err)
		return nil
	}
	defer f.Close()
	list, err := f.Symbols()
	b.keep(err)
	sizes := map[string]int64{}
	for _, s := range list {
		if int(s.Section) < len(f.Sections) && f.Sections[s.Section].Type != elf.SHT_NOBITS {
			sizes[s.Name] += int64(s.Size)
		}
	}
	return sizes
}

// packageOf is the package of a symbol, as far as its name tells.
func packageOf(symbol string) string {
	if kind, _, ok := strings.Cut(symbol, ":"); ok && !strings.Contains(kind, "/") {
		return kind + ": of the runtime, for all"
	}
	symbol, _, _ = strings.Cut(symbol, "[")
	slash := strings.LastIndex(symbol, "/") + 1
	name, _, _ := strings.Cut(symbol[slash:], ".")
	return symbol[:slash] + name
}
