package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
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
	_, err := ApplyAlone(&out, old, patch, int64(limit))
	return out.Bytes(), err
}

// Thousands of short copies and insertions do not make as many writes.
func TestWritesAreFew(t *testing.T) {
	old := random(3, 400_000)
	var fresh []byte
	for i := 0; i < len(old); i += 100 {
		fresh = append(append(fresh, old[i:i+100]...), byte(i), byte(i>>8), 1)
	}
	patch, stats := diffed(t, old, fresh)
	var w writes
	if _, err := ApplyAlone(&w, old, patch, int64(len(fresh))); err != nil || !bytes.Equal(w.made, fresh) {
		t.Fatal(err)
	}
	if most := len(fresh)/outputSize + 1; stats.Ops < 1000 || w.n > most {
		t.Errorf("%d writes for %d rounds, more than %d", w.n, stats.Ops, most)
	}
}

type writes struct {
	made []byte
	n    int
}

func (w *writes) Write(b []byte) (int, error) {
	w.made, w.n = append(w.made, b...), w.n+1
	return len(b), nil
}

func TestManyInsertions(t *testing.T) {
	old := random(1, 1000)
	fresh := append(text(16_000, 0), old...)
	fresh = append(fresh, text(1000, 1)...)
	patch, stats := diffed(t, old, fresh)
	if !stats.Repeats {
		t.Fatalf("%d bytes inserted, and modelled", stats.Inserted)
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
	large := append(binary.AppendUvarint([]byte(Magic), maxFile+1), patch[headerSize(patch)-2*checkSize:]...)
	longer := append([]byte(Magic), patch[len(Magic)]|0x80, patch[len(Magic)+1]|0x80, 0)
	longer = append(longer, patch[len(Magic)+2:]...)
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
		{"a number with a zero before it", old, longer, len(fresh), ErrFormat},
		{"nothing", old, nil, len(fresh), ErrFormat},
		{"a header alone", old, patch[:headerSize(patch)], len(fresh), ErrFormat},
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
	if _, err := ApplyAlone(&failing{after: 50_000}, old, patch, 1<<20); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

// A signed release says which files they are: what else a patch makes is refused, though its own checks hold.
func TestFiles(t *testing.T) {
	old, fresh := text(10, 0), text(11, 0)
	patch, _ := diffed(t, old, fresh)
	files := Files{sha256.Sum256(old), sha256.Sum256(fresh), int64(len(fresh))}
	if err := Apply(io.Discard, old, patch, files); err != nil || files.Fits(patch) != nil {
		t.Fatalf("%v, %v", err, files.Fits(patch))
	}
	if made, err := ApplyAlone(io.Discard, old, patch, 1<<20); err != nil || made != files {
		t.Errorf("%+v, %v", made, err)
	}
	if named := NewFiles(hex.EncodeToString(files.Old[:]), hex.EncodeToString(files.New[:]), files.Size); named != files {
		t.Errorf("%+v", named)
	}
	for name, c := range map[string]struct {
		change func(f *Files)
		want   error
		fits   bool
	}{
		"another base":                      {func(f *Files) { f.Old[0]++ }, ErrBase, false},
		"another base that begins the same": {func(f *Files) { f.Old[31]++ }, ErrBase, true},
		"another file":                      {func(f *Files) { f.New[0]++ }, ErrFormat, false},
		"another file that begins the same": {func(f *Files) { f.New[31]++ }, ErrFormat, true},
		"another size":                      {func(f *Files) { f.Size++ }, ErrFormat, false},
		"a negative size":                   {func(f *Files) { f.Size = -1 }, ErrFormat, false},
		"nothing":                           {func(f *Files) { *f = Files{} }, ErrBase, false},
	} {
		f := files
		c.change(&f)
		if err := Apply(io.Discard, old, patch, f); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err := f.Fits(patch); (err == nil) != c.fits {
			t.Errorf("%s: it fits: %v", name, err)
		}
	}
	if err := files.Fits(patch[:5]); !errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}

func headerSize(patch []byte) int {
	_, n := binary.Uvarint(patch[len(Magic):])
	return len(Magic) + n + 2*checkSize
}

// Where the smallest patch does not make the new file, the next one is made again, which was forgotten for its size.
func TestForgottenTries(t *testing.T) {
	d := &differ{old: text(20, 0), fresh: text(21, 7)}
	inserted := d.data(way{})
	want, _, err := inserted()
	if err != nil {
		t.Fatal(err)
	}
	d.try(0, inserted)
	d.try(1, func() ([]byte, *Stats, error) { return want[:len(want)-1], &Stats{}, nil })
	if len(d.tries) != 2 || d.tries[0].order != 1 || d.tries[1].patch != nil {
		t.Fatalf("%d tries, or the larger one is kept", len(d.tries))
	}
	if got, stats, err := d.best(); err != nil || !bytes.Equal(got, want) || stats.Inserted != int64(len(d.fresh)) {
		t.Errorf("another patch, or %v", err)
	}
}
