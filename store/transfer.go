package store

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// transfer is the download of one file from one reader.
type transfer struct {
	f   *Fetcher
	r   Reader
	d   Download
	buf []byte

	fresh       bool // nothing in the spool may be used
	noCache     bool
	contentType string
}

// run tries until the file is accepted, or another try is pointless.
func (t *transfer) run(ctx context.Context) error {
	attempts := t.f.Attempts
	if attempts == 0 {
		attempts = 5
	}
	for fruitless := 0; ; {
		brought, err := t.once(ctx)
		if err == nil {
			err = t.accept()
		}
		var local *LocalError
		switch {
		case err == nil, errors.As(err, &local):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrRejected), errors.Is(err, ErrBadRange):
			if t.noCache || t.fresh && errors.Is(err, ErrBadRange) {
				return err
			}
			// From the start: what came in parts may have been of two files.
			t.fresh, t.noCache = true, errors.Is(err, ErrRejected)
			t.f.notify(Notice{Reader: t.r.String(), Name: t.d.Name, Err: err, Next: "restart"})
			continue
		case !temporary(err):
			return err
		}

		fruitless++
		if brought >= progressMin {
			fruitless = 0
		}
		if fruitless >= attempts {
			return err
		}
		wait := t.f.pause(fruitless, err)
		t.f.notify(Notice{Reader: t.r.String(), Name: t.d.Name, Err: err, Wait: wait, Next: "retry"})
		if err := t.f.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (t *transfer) accept() error {
	if t.d.Accept == nil {
		return nil
	}
	err := t.d.Accept()
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrRejected) {
		return fmt.Errorf("%s from %s: %w", t.d.Name, t.r, describe(err, t.contentType))
	}
	return &LocalError{err}
}

// once makes one request and spools its answer. It returns how many bytes that brought.
func (t *transfer) once(ctx context.Context) (int64, error) {
	req := Request{NoCache: t.noCache}
	source, version, have := t.d.Spool.Have()
	if !t.fresh && source == t.r.String() && version != "" && have <= t.d.Limit {
		req.Offset, req.Version = have, version
	}
	object, err := t.r.Open(ctx, t.d.Name, req)
	if err != nil {
		return 0, err
	}
	defer object.Body.Close()
	t.contentType = object.contentType
	if object.Size > t.d.Limit {
		return 0, errTooLarge(t.d.Name, t.d.Limit)
	}
	if object.Offset == 0 || object.Offset != req.Offset {
		if object.Offset != 0 {
			return 0, ErrBadRange
		}
		if err := t.d.Spool.Begin(t.r.String(), object.Version); err != nil {
			return 0, &LocalError{err}
		}
	}
	t.fresh = false // what follows may be resumed
	brought, err := t.copy(object)
	return brought, err
}

func (t *transfer) copy(object *Object) (brought int64, err error) {
	done := object.Offset
	t.progress(done, object.Size)
	for {
		n, err := object.Body.Read(t.buf)
		if done+int64(n) > t.d.Limit {
			return brought, errTooLarge(t.d.Name, t.d.Limit)
		}
		if n > 0 {
			if _, werr := t.d.Spool.Write(t.buf[:n]); werr != nil {
				return brought, &LocalError{werr}
			}
			done += int64(n)
			brought += int64(n)
			t.progress(done, object.Size)
		}
		if err == io.EOF {
			if object.Size >= 0 && done < object.Size {
				return brought, fmt.Errorf("%s: %w after %d of %d bytes", t.d.Name, ErrCut, done, object.Size)
			}
			return brought, nil
		}
		if err != nil {
			return brought, fmt.Errorf("reading %s from %s: %w", t.d.Name, t.r, err)
		}
	}
}

func (t *transfer) progress(done, total int64) {
	if t.d.Progress != nil {
		t.d.Progress(done, total)
	}
}
