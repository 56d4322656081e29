package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	oracle "github.com/klauspost/compress/zstd"

	"github.com/choria-io/go-updater/internal/zstd"
)

const window = 8 << 20

// both decodes frames with our decoder and with another one.
func both(frames []byte) (ours, theirs []byte, err, theirErr error) {
	ours, err = io.ReadAll(zstd.NewReader(bytes.NewReader(frames), window))
	z, theirErr := oracle.NewReader(bytes.NewReader(frames), oracle.WithDecoderConcurrency(1), oracle.WithDecoderLowmem(true),
		oracle.WithDecoderMaxWindow(window), oracle.IgnoreChecksum(true))
	if theirErr != nil {
		return ours, nil, err, theirErr
	}
	defer z.Close()
	theirs, theirErr = io.ReadAll(z)
	return ours, theirs, err, theirErr
}

func FuzzZstd(f *testing.F) {
	for _, data := range inputs() {
		for _, level := range []oracle.EncoderLevel{oracle.SpeedFastest, oracle.SpeedBestCompression} {
			f.Add(encoded(f, data[:min(len(data), 3000)], oracle.WithEncoderLevel(level), oracle.WithWindowSize(1<<10)))
		}
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		ours, theirs, err, theirErr := both(frames)
		if errors.Is(err, zstd.ErrUnsupported) {
			return // dictionaries, and windows of single segments, which the other one does not limit
		}
		if (err == nil) != (theirErr == nil) {
			t.Fatalf("ours: %d bytes, %v; theirs: %d bytes, %v", len(ours), err, len(theirs), theirErr)
		}
		if err == nil && !bytes.Equal(ours, theirs) {
			t.Fatal("other bytes")
		}
	})
}

func encoded(t testing.TB, data []byte, opts ...oracle.EOption) []byte {
	t.Helper()
	enc, err := oracle.NewWriter(nil, append([]oracle.EOption{oracle.WithEncoderConcurrency(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	return enc.EncodeAll(data, nil)
}

// inputs are of all kinds.
func inputs() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	skewed := make([]byte, 300_000)
	for i := range skewed {
		skewed[i] = byte(r.ExpFloat64() * 10)
	}
	var words bytes.Buffer
	for i := range 40_000 {
		fmt.Fprintf(&words, "line %d of %x\n", i*i%977, i*7919%1021)
	}
	return map[string][]byte{
		"empty": nil, "one byte": {7}, "two": {7, 7}, "noise": noise, "skewed": skewed, "words": words.Bytes(),
		"zeros": make([]byte, 500_000), "repeats": bytes.Repeat(noise[:1000], 400), "mixed": bytes.Join([][]byte{noise[:70_000], words.Bytes()[:200_000],
			make([]byte, 150_000), skewed[:90_000], noise[:70_000]}, nil),
	}
}

func TestZstdOracle(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	all := inputs()
	all["a program"] = program[:min(len(program), 2<<20)]
	for name, data := range all {
		for _, level := range []oracle.EncoderLevel{oracle.SpeedFastest, oracle.SpeedDefault, oracle.SpeedBetterCompression, oracle.SpeedBestCompression} {
			for _, size := range []int{1 << 10, 1 << 16, 1 << 20, window} {
				frames := encoded(t, data, oracle.WithEncoderLevel(level), oracle.WithWindowSize(size))
				got, err := io.ReadAll(zstd.NewReader(bytes.NewReader(frames), window))
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s, %v, window %d: %d bytes of %d, %v", name, level, size, len(got), len(data), err)
				}
			}
		}
	}
}

// The command of the format's authors, where it is installed, encodes what it has levels for. A few of its
// frames are in internal/zstd/testdata, and are tested everywhere.
func TestZstdCommand(t *testing.T) {
	command, err := exec.LookPath("zstd")
	if err != nil {
		t.Log("no zstd command here: only frames that it made earlier are tested")
		return
	}
	path := filepath.Join(t.TempDir(), "data")
	program, err := os.ReadFile(command)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Join([][]byte{inputs()["mixed"], program, inputs()["skewed"]}, nil)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	levels := [][]string{{"--fast=3"}, {"--ultra", "-22", "--zstd=wlog=23"}, {"-19", "--zstd=wlog=10"}, {"-5", "--zstd=wlog=15"}, {"-3", "-B100000", "-T2"}}
	for level := range 19 {
		levels = append(levels, []string{fmt.Sprint("-", level+1)})
	}
	for _, args := range levels {
		for _, source := range []string{"file", "pipe"} {
			cmd := exec.Command(command, append(args, "-q", "-c")...)
			if source == "file" {
				cmd.Args = append(cmd.Args, path)
			} else {
				cmd.Stdin = bytes.NewReader(data)
			}
			frames, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(zstd.NewReader(bytes.NewReader(frames), window))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%v of a %s: %d bytes of %d, %v", args, source, len(got), len(data), err)
			}
		}
	}
	cmd := exec.Command(command, "--long=27", "-q", "-c")
	cmd.Stdin = bytes.NewReader(data)
	frames, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(zstd.NewReader(bytes.NewReader(frames), window)); !errors.Is(err, zstd.ErrUnsupported) {
		t.Errorf("--long: %v", err)
	}
}
