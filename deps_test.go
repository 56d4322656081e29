package updater

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/choria-io/go-updater"

// What a package of ours may import of ours, and why so little.
var rules = map[string][]string{
	"":                             {"store", "internal/bzip2", "internal/cause", "internal/channel", "internal/delta", "internal/disk", "internal/exe", "internal/machine", "internal/managed", "internal/probation", "internal/strictjson", "internal/swap", "internal/tuf", "internal/version", "internal/zstd"},
	"/store":                       {"internal/cause", "internal/disk"}, // Put is durable as the swap is
	"/internal/bzip2":              nil,
	"/internal/cause":              nil,
	"/internal/channel":            {"internal/cause", "internal/strictjson", "internal/version"}, // documents are parsed strictly, versions ordered in one way
	"/internal/delta":              nil,
	"/internal/disk":               nil,
	"/internal/disk/disktest":      {"internal/disk"},
	"/internal/exe":                {"internal/cause"},
	"/internal/machine":            nil,
	"/internal/managed":            {"internal/cause"},
	"/internal/probation":          {"internal/cause", "internal/disk"}, // so that tests can fail each operation
	"/internal/strictjson":         nil,
	"/internal/version":            nil,
	"/internal/tuf":                {"internal/cause", "internal/strictjson"}, // what is signed is parsed once, strictly
	"/internal/tuf/conformance":    {"internal/tuf"},
	"/internal/tuf/tuftest":        nil,
	"/internal/swap":               {"internal/cause", "internal/disk"}, // so that tests can fail each operation
	"/internal/zstd":               nil,
	"/internal/zstd/zstdtest":      nil,
	"/store/storetest":             {"store"},
	"/examples/daemon/program":     {""},
	"/examples/quickstart/program": {""},
}

func golist(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportRules(t *testing.T) {
	for _, line := range golist(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		allowed, known := rules[strings.TrimPrefix(fields[0], module)]
		if !known {
			t.Errorf("%s has no rule", fields[0])
		}
		for _, imported := range fields[1:] {
			rest, ours := strings.CutPrefix(imported, module)
			if ours && !slices.Contains(allowed, strings.TrimPrefix(rest, "/")) {
				t.Errorf("%s may not import %s", fields[0], imported)
			}
		}
	}
}

// What one call of costs every program many kilobytes, or each call one, and what does the same for less.
var costly = map[string]string{
	"errors.As(":       "internal/cause",
	"errors.Join(":     "internal/cause",
	"json.NewDecoder(": "json.Unmarshal, of raw messages",
	"JoinPath(":        "slashes",
	"exec.Command":     "syscall.ForkExec, as internal/managed",
	"ReadBuildInfo(":   "the constant made",
	"binary.ByteOrder": "the two orders themselves",
}

func TestNoCostlyCalls(t *testing.T) {
	for _, line := range golist(t, "-deps", "-f", `{{$d := .Dir}}{{.ImportPath}}{{range .GoFiles}} {{$d}}/{{.}}{{end}}`, ".") {
		fields := strings.Fields(line)
		if !strings.HasPrefix(fields[0], module) || fields[0] == module+"/internal/cause" {
			continue
		}
		for _, file := range fields[1:] {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for call, instead := range costly {
				if strings.Contains(string(data), call) {
					t.Errorf("%s: instead of %q use %s", file, call, instead)
				}
			}
		}
	}
}

// The client links nothing that costs every program megabytes or defeats the linker.
func TestClientStaysSmall(t *testing.T) {
	modules := map[string]bool{}
	for _, line := range golist(t, "-deps", "-f", `{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}`, ".") {
		path, mod, _ := strings.Cut(line, " ")
		for _, banned := range []string{"text/template", "html/template", "testing", "github.com/spf13", "google.golang.org", "github.com/aws", "net/http/httptest", "go/ast"} {
			if path == banned || strings.HasPrefix(path, banned+"/") {
				t.Errorf("the client links %s", path)
			}
		}
		if mod != "" {
			modules[mod] = true
		}
	}
	if len(modules) > 2 {
		t.Errorf("the client needs the modules %v", modules)
	}
}
