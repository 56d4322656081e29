package stores

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/choria-io/go-updater/"

// A store knows what a named file is, and nothing of what repositories are; only this package knows all stores.
func TestImportRules(t *testing.T) {
	rules := map[string][]string{
		"stores":                {"store", "stores/azure", "stores/gcs", "stores/nats", "stores/oci", "stores/s3", "stores/tarfile"},
		"stores/s3":             {"store", "stores/internal/rest"},
		"stores/azure":          {"store", "stores/internal/rest"},
		"stores/gcs":            {"store", "stores/internal/rest"},
		"stores/nats":           {"store", "stores/internal/retry"},
		"stores/oci":            {"store", "stores/internal/rest"},
		"stores/tarfile":        {"store"},
		"stores/internal/rest":  {"store", "stores/internal/retry"},
		"stores/internal/retry": nil,
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(line)
		allowed, known := rules[strings.TrimPrefix(fields[0], module)]
		if !known {
			t.Errorf("%s has no rule", fields[0])
		}
		for _, imported := range fields[1:] {
			name, ours := strings.CutPrefix(imported, module)
			if (ours || imported+"/" == module) && !slices.Contains(allowed, name) {
				t.Errorf("%s may not import %s", fields[0], imported)
			}
		}
	}
}
