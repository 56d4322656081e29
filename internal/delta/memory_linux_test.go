package delta

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the process whose memory is measured.
func TestMain(m *testing.M) {
	if old, fresh := os.Getenv("DELTA_MEASURE_OLD"), os.Getenv("DELTA_MEASURE_NEW"); fresh != "" {
		measuredDiff(old, fresh)
		return
	} else if old != "" {
		measured(old, os.Getenv("DELTA_MEASURE_PATCH"))
		return
	}
	os.Exit(m.Run())
}

// measured applies a patch as the client does, old and patch mapped, the new file written to a file. It prints the most
// anonymous memory, and the most of all, in kB, and the error.
func measured(old, patch string) {
	a, b := mapped(old), mapped(patch)
	out, err := os.CreateTemp("", "measured")
	if err != nil {
		panic(err)
	}
	os.Remove(out.Name())
	peak := anonymous(func() { _, err = ApplyAlone(out, a, b, maxFile) })
	fmt.Println(peak, memory("VmHWM:"), kindOf(err), err)
}

// anonymous returns the most anonymous memory, in kB, that the process has while it does something.
func anonymous(do func()) int {
	peak, done := make(chan int), make(chan bool)
	go func() {
		most := 0
		for {
			most = max(most, memory("RssAnon:"))
			select {
			case <-done:
				peak <- max(most, memory("RssAnon:"))
				return
			default:
				time.Sleep(time.Millisecond)
			}
		}
	}()
	do()
	close(done)
	return <-peak
}

func kindOf(err error) string {
	for name, e := range map[string]error{"format": ErrFormat, "limit": ErrLimit, "base": ErrBase} {
		if errors.Is(err, e) {
			return name
		}
	}
	return fmt.Sprint(err)
}

// memory returns a field of the process's status. It leaves no garbage, which would count.
func memory(field string) (n int) {
	f, err := syscall.Open("/proc/self/status", syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	defer syscall.Close(f)
	var status [4096]byte
	k, _ := syscall.Read(f, status[:])
	_, rest, _ := bytes.Cut(status[:max(k, 0)], []byte(field))
	for _, c := range bytes.TrimLeft(rest, " \t") {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func mapped(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return b
}

// measure runs a process that applies a patch. It returns its peak of anonymous memory and of all in MB, and what became of it.
func measure(t *testing.T, old, patch []byte) (anonymous, peak float64, result string) {
	t.Helper()
	return measuredBy(t, map[string][]byte{"DELTA_MEASURE_OLD": old, "DELTA_MEASURE_PATCH": patch})
}

func measuredBy(t *testing.T, files map[string][]byte) (anonymous, peak float64, result string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(self)
	cmd.Env = os.Environ()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+file)
	}
	out, err := cmd.Output()
	var x, y int
	if _, serr := fmt.Sscan(string(out), &x, &y, &result); err != nil || serr != nil {
		t.Fatalf("%v, %q", err, out)
	}
	return float64(x) / 1024, float64(y) / 1024, result
}

// The promise, in MB, beyond what is mapped.
const promised = 64

func TestMemoryOfHonestPatches(t *testing.T) {
	old, fresh := build(t, platforms[0], 0, stripped...), build(t, platforms[0], 1, stripped...)
	patch, _ := diffed(t, old, fresh)
	anonymous, peak, result := measure(t, old, patch)
	t.Logf("%d bytes: %.1f MB anonymous, %.1f MB in all", len(fresh), anonymous, peak)
	if result != "<nil>" || anonymous > promised/2 {
		t.Errorf("%s, %.1f MB", result, anonymous)
	}
}

// What a patch can ask for at the most, all at once and each for itself, on a file of 128 MB that is made for it.
func TestMemoryOfHostilePatches(t *testing.T) {
	const size = 128 << 20
	for _, c := range []struct {
		name   string
		change func(*hostile)
		want   string // "format" is for what decodes, and makes another file than the header says
	}{
		{"all", func(h *hostile) {}, "format"},
		{"all, with modelled insertions", func(h *hostile) { h.plan.repeats = false }, "format"},
		{"data, with all in the old file", func(h *hostile) { h.plan.image, h.plan.generated = nil, nil }, "format"},
		{"one function more than fit", func(h *hostile) { h.plan.image.lay.nfunc = maxFuncs + 1 }, "format"},
		{"more functions", func(h *hostile) { h.plan.image.lay.nfunc = hostileFuncs * 2 }, "format"},
		{"types everywhere", func(h *hostile) { h.plan.image.lay.base[baseTypes], h.plan.image.lay.etypes = 8, size }, "limit"},
		{"another table to hold back", func(h *hostile) { h.plan.generated[0].from += 6 << 20 }, "limit"},
		{"more steps", func(h *hostile) { h.plan.image.moves = steps(maxSteps + 8) }, "limit"},
		{"more lines", func(h *hostile) { h.plan.image.lines.m = steps(maxSteps + 8) }, "limit"},
		{"page hashes of all", func(h *hostile) {
			h.plan.generated = []generated{{kind: generatedHashes, off: h.size, size: h.size / pageSize * 32, from: h.size}}
		}, "format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(size)
			c.change(h)
			anonymous, peak, result := measure(t, h.old, h.patch())
			t.Logf("%.1f MB anonymous, %.1f MB in all, %s", anonymous, peak, result)
			if anonymous > promised || result != c.want {
				t.Errorf("%.1f MB, %s, want %s", anonymous, result, c.want)
			}
		})
	}
}

// A hostile patch, before it is coded.
type hostile struct {
	old  []byte
	plan *plan
	size uint64 // of the new file
}

const (
	hostileFuncs   = 1 << 17
	hostileObjects = 500
	hostileInsert  = ringSize + 5<<20
)

// newHostile makes the tables of a decoder as large as they may be together: for each function five pc-value tables, for 500 of them
// 4096 stack objects, maps with as many steps as there may be, a part to hold back, and more insertions than are remembered.
func newHostile(size uint64) *hostile {
	h := &hostile{old: make([]byte, size), size: hostileInsert}
	const functab, objects = uint64(0), uint64(16 << 20)
	at := uint32(8*hostileFuncs + 4)
	for i := range uint32(hostileFuncs) {
		put32(h.old[8*i:], 16*i)
		put32(h.old[8*i+4:], at)
		f := h.old[at:]
		put32(f[funcPcsp:], 5*i+1)
		put32(f[funcPcfile:], 5*i+2)
		put32(f[funcPcln:], 5*i+3)
		put32(f[funcNpcdata:], 2)
		f[funcNfuncdat] = 4
		put32(f[funcSize:], 5*i+4)
		put32(f[funcSize+4:], 5*i+5)
		for j := range uint32(4) {
			put32(f[funcSize+8+4*j:], noOffset)
		}
		if i < hostileObjects {
			put32(f[funcSize+8+4*funcdataObjects:], uint32(objects)+i*(16*maxTree+16))
			put64(h.old[uint32(objects)+i*(16*maxTree+16):], maxTree)
		}
		at += funcSize + 24
	}
	im := &image{old: h.old, lay: layout{arch: archAMD64, nfunc: hostileFuncs, hi: size, segments: []segment{{0, 0, size}}}}
	im.lay.base[baseFunctab] = functab
	im.newSegments = im.lay.segments
	im.move(steps(maxSteps-1), steps(maxSteps-1))
	h.plan = &plan{image: im, generated: []generated{{kind: generatedFind, off: 1 << 10, size: 1 << 10, from: 2 << 20, count: 1 << 10}}}
	h.plan.repeats = true
	return h
}

func steps(n int) addressMap {
	m := make(addressMap, n)
	for i := range m {
		m[i] = step{uint64(i) * 64, int64(i % 7)}
	}
	return m
}

// patch codes it as an encoder would that checks nothing: copies from all over the old file, and insertions.
func (h *hostile) patch() []byte {
	c := newEncoder()
	c.room = 1 << 40
	header := newHeader(h.old, nil)
	header.newSize = h.size
	if _, err := codePlan(c, h.old, h.plan, h.size); err == nil {
		h.rounds(c)
	} else {
		for range 256 { // the decoder refuses it too, not for want of bits
			c.bit(1, 1<<15)
		}
	}
	return c.finish(header.bytes())
}

func (h *hostile) rounds(c *coder) {
	free := room(1 << 40)
	if h.plan.image != nil && h.plan.image.prepare(&free) != nil {
		return // as the decoder
	}
	var rounds []op
	for range 2 * cachedBlocks {
		rounds = append(rounds, op{copied: chunk, seek: blockSize})
	}
	fresh := make([]byte, h.plan.size)
	rest := len(fresh) - len(rounds)*chunk
	if !h.plan.repeats { // many, and slow
		rounds = append(rounds, op{inserted: historySize / 2, seek: len(h.old) / 2}, op{copied: rest - historySize/2})
	} else {
		rounds = append(rounds, op{inserted: rest})
	}
	r := newResidual(c, h.plan, h.old)
	r.budget = 1 << 40
	if h.plan.repeats {
		r.repeats.tokens = make([]token, len(fresh)) // literals
	}
	if h.plan.image == nil {
		r.repeats.tokens = r.repeats.tokens[:(rest+1)/2]
		for i := range r.repeats.tokens { // here and there, in the old file
			r.repeats.tokens[i] = token{2, uint32(len(fresh) + i*7919%(len(h.old)/2))}
		}
	}
	if err := r.encode(rounds, fresh); err != nil {
		panic(err)
	}
}
