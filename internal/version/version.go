// Package version orders the versions of releases.
package version

import "strings"

// Older tells whether a is certainly older than b. Versions are compared where
// both are numbers with dots, and with a pre-release as semantic versioning 2.0.0 has it (section
// 11); anything else is opaque, and never older.
func Older(a, b string) bool {
	na, prea, oka := split(a)
	nb, preb, okb := split(b)
	if !oka || !okb {
		return false
	}
	for i := range max(len(na), len(nb)) {
		if order := compareNumbers(at(na, i), at(nb, i)); order != 0 {
			return order < 0
		}
	}
	if prea == "" || preb == "" {
		return prea != "" && preb == ""
	}
	return olderPre(strings.Split(prea, "."), strings.Split(preb, "."))
}

// Ordered tells whether a version can be compared with others.
func Ordered(v string) bool {
	_, _, ok := split(v)
	return ok
}

// split reads numbers with dots, of which a "v" may stand in front and a pre-release and
// build metadata behind.
func split(v string) (numbers []string, pre string, ok bool) {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
	v, pre, _ = strings.Cut(v, "-")
	numbers = strings.Split(v, ".")
	for _, n := range numbers {
		if !isNumber(n) {
			return nil, "", false
		}
	}
	return numbers, pre, true
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// at is a number, zero where a version has fewer.
func at(numbers []string, i int) string {
	if i < len(numbers) {
		return numbers[i]
	}
	return "0"
}

// compareNumbers compares numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func olderPre(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		na, nb := isNumber(a[i]), isNumber(b[i])
		order := 0
		switch {
		case na && nb:
			order = compareNumbers(a[i], b[i])
		case na != nb:
			return na // numbers come first
		default:
			order = strings.Compare(a[i], b[i])
		}
		if order != 0 {
			return order < 0
		}
	}
	return len(a) < len(b)
}
