package updater

import (
	"fmt"
	"strings"

	"github.com/choria-io/go-updater/internal/swap"
)

// checkOrder refuses, with a trust root, a version that is older than the current
// one: an attacker who can choose among signed releases would choose one with a known hole.
func (c *Config) checkOrder(target string) error {
	if c.trustRoot == nil || c.allowDowngrade {
		return nil
	}
	current := c.CurrentVersion
	if current == "" {
		current = c.installedVersion(target)
	}
	if older(c.Version, current) {
		return fmt.Errorf("%w: %s, and %s is installed", ErrOlderVersion, c.Version, current)
	}
	return nil
}

// installedVersion is what the state says of the binary that stands at the target's
// path, empty where it knows nothing about it.
func (c *Config) installedVersion(target string) string {
	state, err := swap.ReadState(c.fs, c.stateFolder(target))
	if err != nil || state.Installed.Version == "" {
		return ""
	}
	if sum, err := swap.HashFile(c.fs, target); err != nil || sum != state.Installed.SHA256 {
		return ""
	}
	return state.Installed.Version
}

// older tells whether a is certainly older than b. Versions are compared where
// both are numbers with dots, and with a pre-release as semantic versioning 2.0.0 has it (section
// 11); anything else is opaque, and never older.
func older(a, b string) bool {
	na, prea, oka := splitVersion(a)
	nb, preb, okb := splitVersion(b)
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

// splitVersion reads numbers with dots, of which a "v" may stand in front and a pre-release and
// build metadata behind.
func splitVersion(v string) (numbers []string, pre string, ok bool) {
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
