package delta

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
)

func random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// text is words, so that it compresses, with every n-th line changed.
func text(n, every int) []byte {
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(7, 7))
	words := []string{"update", "release", "target", "signed", "the", "of", "a", "stage", "swap", "commit"}
	for i := range n {
		for range 12 {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		if every > 0 && i%every == 0 {
			b.WriteString("changed")
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func diffed(t testing.TB, old, fresh []byte) ([]byte, *Stats) {
	t.Helper()
	patch, stats, err := Diff(old, fresh, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return patch, stats
}

func applied(old, patch []byte, limit int) ([]byte, error) {
	var out bytes.Buffer
	err := Apply(&out, old, patch, int64(limit))
	return out.Bytes(), err
}

func TestAnyTwoFiles(t *testing.T) {
	ls, err := os.ReadFile("/bin/ls")
	if err != nil {
		ls = random(3, 1<<17)
	}
	noise := random(1, 100_000)
	for _, c := range []struct {
		name       string
		old, fresh []byte
		most       int // bytes of the patch
	}{
		{"empty to empty", nil, nil, 200},
		{"empty to one byte", nil, []byte{7}, 200},
		{"one byte to empty", []byte{7}, nil, 200},
		{"something to empty", noise, nil, 200},
		{"empty to something", nil, noise, 101_000},
		{"equal", noise, noise, 200},
		{"one byte changed", noise, append(append(bytes.Clone(noise[:5000]), noise[5000]+1), noise[5001:]...), 210},
		{"moved", noise, append(bytes.Clone(noise[50_000:]), noise[:50_000]...), 220},
		{"unrelated", noise, random(2, 90_000), 91_000},
		{"text", text(3000, 0), text(3000, 100), 500},
		{"shorter", noise, noise[1000:3000], 220},
		{"a program to a longer one", ls, append(bytes.Clone(ls), "more"...), 220},
		{"a program cut off", ls, ls[:len(ls)/2], 220},
		{"zeros", make([]byte, 1<<20), make([]byte, 1<<19), 220},
	} {
		t.Run(c.name, func(t *testing.T) {
			patch, _ := diffed(t, c.old, c.fresh)
			got, err := applied(c.old, patch, len(c.fresh))
			if err != nil || !bytes.Equal(got, c.fresh) {
				t.Fatalf("not reproduced: %v", err)
			}
			if len(patch) > c.most {
				t.Errorf("the patch has %d bytes, more than %d", len(patch), c.most)
			}
			again, _ := diffed(t, c.old, c.fresh)
			if !bytes.Equal(patch, again) {
				t.Error("the same files gave another patch")
			}
		})
	}
}

func TestStoredInsertions(t *testing.T) {
	old := random(1, 1000)
	fresh := append(text(16_000, 0), old...)
	fresh = append(fresh, text(1000, 1)...)
	patch, stats := diffed(t, old, fresh)
	if stats.Stored == 0 {
		t.Fatalf("%d bytes inserted, none as a zstd stream", stats.Inserted)
	}
	if got, err := applied(old, patch, len(fresh)); err != nil || !bytes.Equal(got, fresh) {
		t.Fatalf("not reproduced: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	old, fresh := text(500, 0), text(500, 10)
	patch, _ := diffed(t, old, fresh)
	other := bytes.Clone(old)
	other[100]++
	newer := bytes.Clone(patch)
	newer[len(Magic)-1]++
	large := bytes.Clone(patch)
	large[len(Magic)+15] = 0x7f
	for _, c := range []struct {
		name       string
		old, patch []byte
		limit      int
		want       error
	}{
		{"another base", other, patch, len(fresh), ErrBase},
		{"a shorter base", old[1:], patch, len(fresh), ErrBase},
		{"no base", nil, patch, len(fresh), ErrBase},
		{"a limit one too low", old, patch, len(fresh) - 1, ErrLimit},
		{"a negative limit", old, patch, -1, ErrLimit},
		{"a size beyond all", old, large, 1 << 30, ErrLimit},
		{"a newer version", old, newer, len(fresh), ErrFormat},
		{"nothing", old, nil, len(fresh), ErrFormat},
		{"a header alone", old, patch[:headerSize], len(fresh), ErrFormat},
		{"one byte too few", old, patch[:len(patch)-1], len(fresh), ErrFormat},
		{"one byte too many", old, append(bytes.Clone(patch), 0), len(fresh), ErrFormat},
	} {
		out, err := applied(c.old, c.patch, c.limit)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if len(out) > max(c.limit, 0) {
			t.Errorf("%s: %d bytes written, beyond the limit", c.name, len(out))
		}
	}
}

type failing struct{ after int }

var errDisk = errors.New("disk full")

func (f *failing) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

func TestErrorOfTheWriterIsHandedOn(t *testing.T) {
	old, fresh := random(1, 200_000), random(2, 200_000)
	patch, _ := diffed(t, old, fresh)
	if err := Apply(&failing{after: 50_000}, old, patch, 1<<20); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

func TestBase(t *testing.T) {
	old, fresh := text(10, 0), text(11, 0)
	patch, _ := diffed(t, old, fresh)
	h, err := ReadHeader(patch)
	if err != nil || h.OldSize != int64(len(old)) || h.NewSize != int64(len(fresh)) {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := ReadHeader(patch[:20]); !errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}
