package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

const plainProgram = `package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	r, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	data, _ := io.ReadAll(r.Body)
	var v map[string]any
	json.Unmarshal(data, &v)
	fmt.Printf("%x\n", sha256.Sum256(data))
}
`

// unpacking is plainProgram with the client's zstd decoder and, if asked for, its decoder of deltas.
func unpacking(deltas bool) string {
	imports, more := `"github.com/choria-io/go-updater/internal/zstd"`, ""
	if deltas {
		imports += "\n\t\"github.com/choria-io/go-updater/internal/delta\""
		more = "\n\tfmt.Println(delta.Apply(os.Stdout, data, data, delta.NewFiles(os.Args[1], os.Args[2], 1)))"
	}
	s := strings.Replace(plainProgram, "import (", "import (\n\t"+imports, 1)
	return strings.Replace(s, "\n}\n", "\n\tfmt.Println(zstd.NewReader(r.Body, 1<<23).Next())"+more+"\n}\n", 1)
}

// quickstart is the quickstart's program, with the lines of its trust root or without. What it embeds
// is a placeholder of another place, so an empty root stands in.
func (b *builder) quickstart(trusting bool) string {
	data, err := os.ReadFile("examples/quickstart/program/main.go")
	b.keep(err)
	var lines []string
	for line := range strings.Lines(string(data)) {
		switch {
		case strings.Contains(line, "go:embed"), strings.Contains(line, `_ "embed"`):
		case !trusting && strings.Contains(line, "TrustRoot("), !trusting && strings.HasPrefix(line, "var trustRoot"):
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// everyDoor is a program that has to link all that package updater exports: functions and methods, later
// ones too.
func (b *builder) everyDoor() string {
	files, err := filepath.Glob("*.go")
	b.keep(err)
	linux := build.Default
	linux.GOOS, linux.GOARCH, linux.CgoEnabled = "linux", "amd64", false
	var vars, uses strings.Builder
	for _, file := range files {
		if match, err := linux.MatchFile(".", file); err != nil || !match || strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			b.keep(err)
			continue
		}
		for _, d := range parsed.Decls {
			if name := door(d); name != "" {
				v := fmt.Sprintf("door%d", vars.Len())
				fmt.Fprintf(&vars, "var %s = %s\n", v, name)
				fmt.Fprintf(&uses, "println(%s == nil)\n", v)
			}
		}
	}
	return fmt.Sprintf("package main\n\nimport updater %q\n\n%s\nfunc main() {\n%s}\n", "github.com/choria-io/go-updater", &vars, &uses)
}

// door is the expression for an exported function or method, empty for all else.
func door(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok || !f.Name.IsExported() {
		return ""
	}
	if f.Recv == nil {
		return "updater." + f.Name.Name
	}
	format := "updater.%s.%s"
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of, format = star.X, "(*updater.%s).%s"
	}
	if name, ok := of.(*ast.Ident); ok && name.IsExported() {
		return fmt.Sprintf(format, name.Name, f.Name.Name)
	}
	return ""
}
