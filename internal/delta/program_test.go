package delta

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// The program of the tests has some of all that the transform knows: inlining, interfaces, maps, closures, text.
const program = `package main

import (
	"fmt"
	"net/url"
	"os"
	"sort"
	"strings"
)

type shape interface{ area() float64 }
type square struct{ side float64 }
type circle struct{ radius float64 }

func (s square) area() float64 { return s.side * s.side }
func (c circle) area() float64 { return 3 * c.radius * c.radius }

%s

func main() {
	shapes := map[string]shape{"a": square{2}, "b": circle{3}}
	var names []string
	for name, s := range shapes {
		names = append(names, fmt.Sprintf("%%s %%v", name, s.area()))
	}
	sort.Strings(names)
	u, err := url.Parse(strings.Join(os.Args[1:], "/"))
	fmt.Println(names, u, err, changed(len(names)))
}
`

var changes = [...]string{
	`func changed(n int) string { return "old" }`,
	`type triangle struct{ a, b float64 }

func (t triangle) area() float64 { return t.a * t.b / 2 }

func changed(n int) string {
	var s shape = triangle{1, 2}
	for i := range n {
		if i%3 == 1 {
			return fmt.Sprint("new, ", i, s.area(), strings.ToUpper("x"))
		}
	}
	return "newer"
}`,
}

type platform struct{ os, arch string }

var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

var built struct {
	sync.Mutex
	files map[string][]byte
}

// build returns the program for a platform in its old (0) or new (1) version.
func build(t testing.TB, p platform, version int, flags ...string) []byte {
	t.Helper()
	key := fmt.Sprint(p, version, flags)
	built.Lock()
	defer built.Unlock()
	if b := built.files[key]; b != nil {
		return b
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module program\n\ngo 1.24\n", "main.go": fmt.Sprintf(program, changes[version])} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", "out"}, flags...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if built.files == nil {
		built.files = map[string][]byte{}
	}
	built.files[key] = b
	return b
}

var stripped = []string{"-ldflags=-s -w"}

func TestPrograms(t *testing.T) {
	for _, p := range platforms {
		t.Run(p.os+" "+p.arch, func(t *testing.T) {
			t.Parallel()
			old, fresh := build(t, p, 0, stripped...), build(t, p, 1, stripped...)
			patch, stats := diffed(t, old, fresh)
			if !stats.Transformed {
				t.Error("taken for data")
			}
			got, err := applied(old, patch, len(fresh))
			if err != nil || !bytes.Equal(got, fresh) {
				t.Fatalf("not reproduced: %v", err)
			}
			if len(patch)*100 > len(fresh) { // without the transform it has 3 to 5 %
				t.Errorf("%d bytes, more than 1 %% of the file", len(patch))
			}
			t.Logf("%d bytes, %.2f %% of the file", len(patch), 100*float64(len(patch))/float64(len(fresh)))
		})
	}
}

// Programs with symbols and debugging information, compressed as Go's linker does it.
func TestProgramsWithDebugInformation(t *testing.T) {
	for _, c := range []struct {
		p     platform
		flags []string
	}{
		{platforms[0], nil},
		{platforms[0], []string{"-ldflags=-compressdwarf=false"}},
		{platforms[1], nil},
		{platforms[2], nil},
		{platforms[5], nil},
	} {
		t.Run(fmt.Sprint(c.p.os, " ", c.p.arch, c.flags), func(t *testing.T) {
			t.Parallel()
			old, fresh := build(t, c.p, 0, c.flags...), build(t, c.p, 1, c.flags...)
			patch, _ := diffed(t, old, fresh)
			if got, err := applied(old, patch, len(fresh)); err != nil || !bytes.Equal(got, fresh) {
				t.Fatalf("not reproduced: %v", err)
			}
			if len(patch)*250 > len(fresh) { // a generic delta has 10 to 30 % where sections are compressed
				t.Errorf("%d bytes, more than 0.4 %% of the file", len(patch))
			}
			t.Logf("%d bytes, %.2f %% of the file", len(patch), 100*float64(len(patch))/float64(len(fresh)))
		})
	}
}

// A section that was compressed otherwise is taken as it is, beside others that are unpacked.
func TestOtherCompression(t *testing.T) {
	old, fresh := build(t, platforms[0], 0), build(t, platforms[0], 1)
	g := parseGo(fresh, true)
	if len(g.packed) < 5 {
		t.Fatalf("%d sections unpacked", len(g.packed))
	}
	other := bytes.Clone(fresh)
	other[g.packed[2].off+g.packed[2].size/2] ^= 1
	if n := len(parseGo(other, true).packed); n != len(g.packed)-1 {
		t.Errorf("%d sections unpacked of %d, where one is damaged", n, len(g.packed))
	}
	for _, pair := range [][2][]byte{{old, other}, {other, old}} {
		patch, stats := diffed(t, pair[0], pair[1])
		if got, err := applied(pair[0], patch, len(pair[1])); err != nil || !bytes.Equal(got, pair[1]) || !stats.Transformed {
			t.Errorf("not reproduced, or taken for data: %v", err)
		}
	}
}

// Damaged patches give a typed error or, where the damage says nothing, the new file; they do not
// panic, and write no more than they may.
func TestCorruptions(t *testing.T) {
	times := map[string]int{"data": 7500, "packed": 500, "repeats": 500, "arm64": 500, "windows": 500, "dwarf": 500} // ten thousand
	arm := platforms[1]
	windows := platforms[2]
	for name, pair := range map[string][2][]byte{
		"data":    {text(200, 0), text(210, 20)},
		"repeats": {random(1, 4000), append(text(16_000, 0), sprinkled(random(1, 4000))...)},
		"packed":  {pieces(20_000, 0), pieces(20_000, 1)},
		"arm64":   {build(t, arm, 0, stripped...), build(t, arm, 1, stripped...)},
		"dwarf":   {build(t, platforms[0], 0), build(t, platforms[0], 1)},
		"windows": {build(t, windows, 0, stripped...), build(t, windows, 1, stripped...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := pair[0], pair[1]
			patch, _ := diffed(t, old, fresh)
			r := rand.New(rand.NewPCG(42, uint64(len(name))))
			for i := range times[name] {
				bad := corrupt(r, patch)
				out := &counter{want: fresh}
				_, err := apply(out, old, bad, alone(int64(len(fresh))))
				if err == nil && (out.differs || out.n != len(fresh)) {
					t.Fatalf("corruption %d: another file, and no error", i)
				}
				if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrBase) && !errors.Is(err, ErrLimit) {
					t.Fatalf("corruption %d: an error of no type: %v", i, err)
				}
				if out.n > len(fresh) {
					t.Fatalf("corruption %d: %d bytes written", i, out.n)
				}
			}
		})
	}
}

// sprinkled changes a byte in 50.
func sprinkled(b []byte) []byte {
	for i := 0; i < len(b); i += 50 {
		b[i]++
	}
	return b
}

// A counter counts what is written, and compares it.
type counter struct {
	n       int
	want    []byte
	differs bool
}

func (c *counter) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(c.want[min(c.n, len(c.want)):], b) {
		c.differs = true
	}
	c.n += len(b)
	return len(b), nil
}

// corrupt damages what is after the hashes, mostly near the beginning, where the plan is.
func corrupt(r *rand.Rand, patch []byte) []byte {
	b := bytes.Clone(patch)
	from := headerSize(patch)
	span := len(b) - from
	if r.IntN(2) == 0 {
		span = min(span, 300)
	}
	switch at := from + r.IntN(span); r.IntN(5) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = byte(r.Uint32())
	case 2:
		b = b[:at]
	case 3:
		b = append(b[:at], b[at+1:]...)
	case 4:
		for i := at; i < min(at+8, len(b)); i++ {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// Applying takes no more than 64 MB beyond the files themselves.
func TestMemory(t *testing.T) {
	checkMemory(t, build(t, platforms[0], 0, stripped...), build(t, platforms[0], 1, stripped...))
	checkMemory(t, build(t, platforms[0], 0), build(t, platforms[0], 1))
}

func checkMemory(t *testing.T, old, fresh []byte) {
	patch, _ := diffed(t, old, fresh)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ApplyAlone(&counter{}, old, patch, int64(len(fresh))); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d MB allocated", n>>20)
	}
}

// A program that applies links none of what makes deltas.
func TestDecoderIsAllThatIsLinked(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(root, "linked")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	source := `package main

import (
	"os"

	"github.com/choria-io/go-updater/internal/delta"
)

func main() { _ = delta.Apply(os.Stdout, nil, nil, delta.Files{}) }
`
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "linked")
	if out, err := exec.Command("go", "build", "-o", exe, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	symbols, err := exec.Command("go", "tool", "nm", exe).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(symbols), "internal/delta.apply") {
		t.Fatal("the decoder is not linked either")
	}
	for _, name := range []string{"internal/delta.parseELF", "internal/delta.newMatcher", "internal/delta.drawMap", "internal/delta.Diff", "zstd.NewWriter", "debug/elf", "debug/dwarf"} {
		if strings.Contains(string(symbols), name) {
			t.Errorf("%s is linked", name)
		}
	}
}
