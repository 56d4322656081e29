package repo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/dsnet/compress/bzip2"
	encoder "github.com/klauspost/compress/zstd"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/zstd"
)

// zstdEncoders are kept for the next file: each has tables of tens of megabytes, however little it encodes. Reused, they
// write the same bytes.
var zstdEncoders = sync.Pool{New: func() any {
	enc, err := encoder.NewWriter(nil, encoder.WithEncoderLevel(encoder.SpeedBestCompression),
		encoder.WithWindowSize(updater.MaxWindow), encoder.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // of the options alone
	}
	return enc
}}

// encodeZstd keeps to the window that clients decode.
func encodeZstd(w io.Writer, r io.Reader, size int64) error {
	enc := zstdEncoders.Get().(*encoder.Encoder)
	defer func() {
		enc.Reset(nil) // forgets w
		zstdEncoders.Put(enc)
	}()
	enc.ResetContentSize(w, size)
	if _, err := io.Copy(enc, r); err != nil {
		return err
	}
	return enc.Close()
}

func encodeBzip2(w io.Writer, r io.Reader) error {
	enc, err := bzip2.NewWriter(w, &bzip2.WriterConfig{Level: bzip2.BestCompression})
	if err != nil {
		return err
	}
	if _, err := io.Copy(enc, r); err != nil {
		return err
	}
	return enc.Close()
}

func copyFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// checkZstd decodes an archive that was handed in as clients do.
func checkZstd(name string, spec *updater.Spec) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(zstd.NewReader(f, updater.MaxWindow), spec.Size+1)); err != nil {
		return fmt.Errorf("decoding it with a window of at most %d bytes: %w", updater.MaxWindow, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != spec.Sha256Hash {
		return errors.New("it holds another binary")
	}
	return nil
}
