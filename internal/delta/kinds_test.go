package delta

import (
	"archive/zip"
	"bytes"
	"fmt"
	pic "image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A kind is a pair of files that are no executables of Go.
type kind struct {
	name       string
	old, fresh []byte
	zstd       int // bytes that zstd 1.5.4 -19 --patch-from takes, 0 if that depends on the machine
}

// kinds are such pairs as people have, and the smallest there are. Zstd cannot make a patch for an empty file: what it makes of one
// alone is taken.
func kinds(t testing.TB) []kind {
	noise := random(1, 100_000)
	list := []kind{
		{"empty to empty", nil, nil, 13},
		{"empty to one byte", nil, []byte{7}, 14},
		{"one byte to empty", []byte{7}, nil, 13},
		{"one byte to another", []byte{7}, []byte{8}, 14},
		{"equal bytes", []byte{7}, []byte{7}, 14},
		{"a line", []byte("version = 1.2.3\n"), []byte("version = 1.2.4\n"), 22},
		{"equal text", text(300, 0), text(300, 0), 24},
		{"equal noise", noise, noise, 27},
		{"noise to nothing", noise, nil, 13},
		{"nothing to noise", nil, noise, 100016},
		{"other noise", noise, random(2, 90_000), 90016},
		{"noise with one byte changed", noise, changedAt(noise, 5000), 31},
		{"noise moved", noise, append(bytes.Clone(noise[50_000:]), noise[:50_000]...), 32},
		{"zeros", make([]byte, 1<<20), make([]byte, 1<<19), 37},
		{"text", text(3000, 0), text(3000, 100), 232},
		{"short text", text(20, 0), text(21, 7), 65},
		{"a zip", zipped(t, 0), zipped(t, 1), 1299},
		{"a JPEG", photo(t, 0), photo(t, 1), 3951},
		{"packed", pieces(200_000, 0), pieces(200_000, 1), 96658},
	}
	for _, pair := range [][2]string{{"/bin/ls", "/bin/dir"}, {"/bin/gzip", "/bin/ls"}, {"/bin/ls", "/bin/ls"}} {
		old, err1 := os.ReadFile(pair[0])
		fresh, err2 := os.ReadFile(pair[1])
		if err1 == nil && err2 == nil { // Unix
			list = append(list, kind{pair[0] + " to " + pair[1], old, fresh, 0})
		}
	}
	return list
}

func changedAt(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i]++
	return b
}

// zipped is an archive of some texts, of which version says how many are changed.
func zipped(t testing.TB, version int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 8 {
		w, err := z.Create(fmt.Sprintf("folder/%d.txt", i))
		if err != nil {
			t.Fatal(err)
		}
		content := text(100*(i+1), 0)
		if i < version {
			content = text(100*(i+1), 10)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pieces are n bytes or so of what a packer that keeps to bytes makes of a program: literals, which versions share, between offsets
// and bits, which they do not.
func pieces(n int, version uint64) (out []byte) {
	shared, own := rand.New(rand.NewPCG(5, 5)), rand.New(rand.NewPCG(6, version))
	for len(out) < n {
		for range 3 + shared.IntN(6) {
			out = append(out, byte(shared.Uint32()))
		}
		for range 1 + own.IntN(3) {
			out = append(out, byte(own.Uint32()))
		}
	}
	return out
}

// photo is a picture with some grain; another version has a spot.
func photo(t testing.TB, version int) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	m := pic.NewRGBA(pic.Rect(0, 0, 320, 200))
	for y := range 200 {
		for x := range 320 {
			m.Set(x, y, color.RGBA{uint8(x + r.IntN(16)), uint8(y + r.IntN(16)), uint8(x * y / 100), 255})
		}
	}
	for i := range 20 * version {
		m.Set(200+i%10, 100+i/10, color.White)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnyTwoFiles(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			patch, _ := diffed(t, k.old, k.fresh)
			got, err := applied(k.old, patch, len(k.fresh))
			if err != nil || !bytes.Equal(got, k.fresh) {
				t.Fatalf("not reproduced: %v", err)
			}
			if k.zstd > 0 && len(patch)*10 > k.zstd*11 {
				t.Errorf("%d bytes, more than 1.1 times the %d of zstd", len(patch), k.zstd)
			}
			again, _ := diffed(t, k.old, k.fresh)
			if !bytes.Equal(patch, again) {
				t.Error("the same files gave another patch")
			}
		})
	}
}

// A patch does not depend on how many processors there are.
func TestAnyNumberOfProcessors(t *testing.T) {
	for _, k := range []kind{{"text", text(3000, 0), text(3000, 100), 0}, {"packed", pieces(50_000, 0), pieces(50_000, 1), 0}} {
		var patches [2][]byte
		for i, n := range []int{1, 8} {
			before := runtime.GOMAXPROCS(n)
			patches[i], _ = diffed(t, k.old, k.fresh)
			runtime.GOMAXPROCS(before)
		}
		if !bytes.Equal(patches[0], patches[1]) {
			t.Errorf("%s: %d bytes by one processor, and %d others by eight", k.name, len(patches[0]), len(patches[1]))
		}
	}
}

// What is done beside each other stays within the room that there is, uses it, and one thing is always done.
func TestWithin(t *testing.T) {
	var mutex sync.Mutex
	used, most, done := 0, 0, 0
	needs := []int{4, 4, 4, 30, 4, 4}
	within(10, needs, func(i int) {
		mutex.Lock()
		if used += needs[i]; used > 10 && used != needs[i] {
			t.Errorf("%d are used", used)
		}
		most = max(most, used)
		mutex.Unlock()
		time.Sleep(20 * time.Millisecond)
		mutex.Lock()
		used, done = used-needs[i], done+1
		mutex.Unlock()
	})
	if done != len(needs) || most != 30 {
		t.Errorf("%d of %d done, %d used at the most", done, len(needs), most)
	}
	meet := make(chan bool) // two that wait for each other
	within(10, []int{5, 5}, func(i int) {
		if i == 0 {
			meet <- true
		} else {
			<-meet
		}
	})
}

// BenchmarkKinds prints what deltas of such pairs take, and zstd's, where it is installed. `make bench-delta` shows it.
func BenchmarkKinds(b *testing.B) {
	for _, k := range kinds(b) {
		patch, _ := diffed(b, k.old, k.fresh)
		fmt.Printf("%s\t%d\t%s\n", k.name, len(patch), patchFrom(b, k.old, k.fresh))
	}
}

// patchFrom is the size of what zstd -19 --patch-from makes, or why there is none.
func patchFrom(b *testing.B, old, fresh []byte) string {
	dir := b.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, data := range map[string][]byte{"old": old, "new": fresh} {
		if err := os.WriteFile(at(name), data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := exec.Command("zstd", "-q", "-19", "--patch-from="+at("old"), at("new"), "-o", at("patch")).Run(); err != nil {
		return "zstd: " + err.Error()
	}
	patch, err := os.ReadFile(at("patch"))
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprint(len(patch))
}
