package updater

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/exe"
	"github.com/choria-io/go-updater/internal/swap"
)

// oldBinary hashes the target while the new binary is fetched. It only reads, and all else that
// it does on the disk, opening and closing, its caller's goroutine does.
type oldBinary struct {
	file   disk.File
	cancel context.CancelFunc
	done   chan struct{}

	// Set when done is closed.
	head []byte // the first exe.HeaderSize bytes
	sum  string
	err  error
}

func readOld(ctx context.Context, fsys disk.FS, target string) (*oldBinary, error) {
	f, err := fsys.Open(target)
	if err != nil {
		return nil, cause.Errorf("reading the target: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &oldBinary{file: f, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.read(ctx)
	}()
	return o, nil
}

func (o *oldBinary) read(ctx context.Context) {
	hash, buf := sha256.New(), make([]byte, copyBuffer)
	for {
		if o.err = ctx.Err(); o.err != nil {
			return
		}
		n, err := o.file.Read(buf)
		hash.Write(buf[:n])
		if missing := exe.HeaderSize - len(o.head); missing > 0 {
			o.head = append(o.head, bytes.Clone(buf[:min(n, missing)])...)
		}
		if err == io.EOF {
			o.sum = swap.Hex(hash)
			return
		}
		if err != nil {
			o.err = cause.Errorf("reading the target: %w", err)
			return
		}
	}
}

// wait waits until all is read.
func (o *oldBinary) wait() error {
	<-o.done
	return o.err
}

// close ends the reading.
func (o *oldBinary) close() {
	o.cancel()
	<-o.done
	o.file.Close()
}
