package zstd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
)

const testWindow = 8 << 20

// sample is what the frames in testdata hold.
func sample(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/sample")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// frames are those in testdata.
func frames(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.zst")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no frames, %v", err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		if all[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// decoded decodes without the recover of Next, so that a panic is seen.
func decoded(src io.Reader) (out []byte, err error) {
	r := NewReader(src, testWindow)
	for {
		piece, err := r.next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, piece...)
	}
}

func typed(err error) bool { return errors.Is(err, ErrFormat) || errors.Is(err, ErrUnsupported) }

func TestFrames(t *testing.T) {
	want := sample(t)
	for name, data := range frames(t) {
		for how, src := range map[string]io.Reader{
			"whole": bytes.NewReader(data), "by bytes": iotest.OneByteReader(bytes.NewReader(data)), "end with data": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			if got, err := decoded(src); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes of %d, %v", name, how, len(got), len(want), err)
			}
		}
		if err := iotest.TestReader(NewReader(bytes.NewReader(data), testWindow), want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLongWindowsAreRefused(t *testing.T) {
	data, err := os.ReadFile("testdata/long.refused")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decoded(bytes.NewReader(data)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a window of 128 MiB: %v", err)
	}
	eight := append(aFrame(13<<3), rle(true, 1, 'a')...)
	if _, err := io.ReadAll(NewReader(bytes.NewReader(eight), 8<<20)); err != nil {
		t.Errorf("a window of 8 MiB: %v", err)
	}
	if _, err := io.ReadAll(NewReader(bytes.NewReader(eight), 8<<20-1)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a window of one byte more than is allowed: %v", err)
	}
}

// Frames with a small window are quick to decode, again and again.
var quick = []string{"blocks.zst", "blocks-3.zst", "single.zst"}

// Every byte of a frame is needed.
func TestTruncated(t *testing.T) {
	want := sample(t)
	for name, data := range frames(t) {
		step := 97
		if slices.Contains(quick, name) {
			step = 1
		}
		for n := 1; n < len(data); n += step {
			got, err := decoded(bytes.NewReader(data[:n]))
			if !errors.Is(err, ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s: the first %d bytes: %v", name, n, err)
			}
			if !bytes.HasPrefix(want, got) {
				t.Fatalf("%s: the first %d bytes decode to others", name, n)
			}
		}
	}
}

// Any byte may be any other: the error is one of ours, or other bytes come out.
func TestDamaged(t *testing.T) {
	all := frames(t)
	for _, name := range quick {
		data := all[name]
		for i := range data {
			for _, change := range []byte{1, 0x80, 0xff, byte(i) | 2} {
				data[i] ^= change
				out, err := decoded(bytes.NewReader(data))
				data[i] ^= change
				if err != nil && !typed(err) {
					t.Fatalf("%s, byte %d: %v", name, i, err)
				}
				if len(out) > 1<<20 {
					t.Fatalf("%s, byte %d: %d bytes", name, i, len(out))
				}
			}
		}
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, data := range frames(t) {
		for _, n := range []int{0, 3, 5, len(data) / 2, len(data)} {
			_, err := decoded(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)))
			if err != broken {
				t.Errorf("%s: broken after %d bytes: %v", name, n, err)
			}
		}
	}
}

// An error stays, and comes after all bytes that could be decoded.
func TestErrorsStay(t *testing.T) {
	r := NewReader(bytes.NewReader(append(aFrame(0, raw(false, "abc")...), 7, 0, 0)), testWindow)
	if piece, err := r.Next(); string(piece) != "abc" || err != nil {
		t.Fatalf("%q, %v", piece, err)
	}
	for range 3 {
		if piece, err := r.Next(); piece != nil || !errors.Is(err, ErrFormat) {
			t.Fatalf("%q, %v", piece, err)
		}
	}
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("a fault") }

// Should there be a fault in the decoder after all, the program that it is in goes on.
func TestPanicsAreErrors(t *testing.T) {
	r := NewReader(panics{}, testWindow)
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	}
}

// Pieces are of some size, and all of what there is.
func TestPieces(t *testing.T) {
	for _, window := range []byte{0, 1, 3 << 3, 7 << 3, 8 << 3} {
		data, want := aFrame(window), []byte(nil)
		for i := range 3000 {
			part := bytes.Repeat([]byte{byte(i)}, 1+i*37%1000)
			data, want = append(data, raw(false, string(part))...), append(want, part...)
		}
		data = append(data, raw(true, "")...)
		r := NewReader(bytes.NewReader(append(data, data...)), testWindow)
		var got []byte
		for {
			piece, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil || len(piece) == 0 || len(piece) > 256<<10 {
				t.Fatalf("a piece of %d bytes, %v", len(piece), err)
			}
			got = append(got, piece...)
		}
		if !bytes.Equal(got, append(want, want...)) {
			t.Errorf("window %#x: %d bytes of %d are others", window, len(got), 2*len(want))
		}
	}
}

func TestMemory(t *testing.T) {
	data := aFrame(13<<3, bytes.Repeat(rle(false, 128<<10, 'a'), 200)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, NewReader(bytes.NewReader(append(data, raw(true, "")...)), testWindow))
	runtime.ReadMemStats(&after)
	if err != nil || n != 200*128<<10 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	const addresses = 2 << 20 // to begin with a huge page
	if used := after.TotalAlloc - before.TotalAlloc; used > testWindow+1<<20+addresses {
		t.Errorf("%d bytes of memory for a window of %d", used, testWindow)
	}
}

// Nothing is decoded before it is asked for: who stops at a limit stops a bomb.
func TestNothingAhead(t *testing.T) {
	src := bytes.NewReader(aFrame(13<<3, bytes.Repeat(rle(false, 128<<10, 'a'), 1000)...))
	all := src.Len()
	r := NewReader(src, testWindow)
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if read := all - src.Len(); read > 50 {
		t.Errorf("%d bytes of the frame were read for three blocks of 4", read)
	}
}

func FuzzDecode(f *testing.F) {
	all := frames(f)
	for _, name := range quick {
		f.Add(all[name])
	}
	for _, c := range crafted() {
		f.Add(c.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := decoded(bytes.NewReader(data))
		if err != nil && !typed(err) {
			t.Fatalf("no error of ours: %v", err)
		}
		if blocks := len(data)/4 + 1; len(out) > blocks*largestBlock {
			t.Fatalf("%d bytes of %d", len(out), len(data))
		}
	})
}
