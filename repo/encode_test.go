package repo

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"
)

// A coder that has written other files, or failed in the middle of one, writes what a new one writes.
func TestEncodersReused(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	files := [][]byte{{}, []byte("small"), data[:1<<20], noise, data[1<<20 : 1<<20+200_000], bytes.Repeat([]byte("again "), 50_000), data[:900_000]}
	var want [][]byte
	for _, f := range files {
		zstdEncoders.Get() // nobody has it again
		want = append(want, zstdOf(t, f))
	}
	errBroken := errors.New("broken")
	for range 2 {
		if err := encodeZstd(io.Discard, io.MultiReader(bytes.NewReader(data[:700_000]), iotest.ErrReader(errBroken)), 1<<20); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		for i := range files {
			for _, n := range []int{i, len(files) - 1 - i} {
				if !bytes.Equal(zstdOf(t, files[n]), want[n]) {
					t.Errorf("file %d: other bytes", n)
				}
			}
		}
	}
}

func zstdOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encodeZstd(&b, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
