package store

import (
	"context"
	"errors"
	"io"

	"github.com/choria-io/go-updater/internal/cause"
)

// transfer is the download of one file from one reader.
type transfer struct {
	f   *Fetcher
	r   Reader
	d   Download
	buf []byte

	last        bool // there is no store to move on to
	fresh       bool // nothing in the spool may be used
	noCache     bool
	furthest    int64 // how far any try came
	contentType string
}

// run tries until the file is accepted, or another try is pointless.
func (t *transfer) run(ctx context.Context) error {
	attempts := t.f.Attempts
	if attempts == 0 {
		attempts = 5
	}
	for fruitless, restarts := 0, 0; ; {
		before := t.furthest
		err := t.once(ctx)
		if err == nil {
			err = t.accept()
		}
		switch {
		case err == nil, isLocal(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case (errors.Is(err, ErrRejected) || errors.Is(err, ErrTooLarge)) && !t.noCache:
			// A cache may hold what the name stood for before.
			t.fresh, t.noCache = true, true
		case errors.Is(err, ErrBadRange) && restarts < maxRestarts:
			restarts++
			t.fresh = true
		case !temporary(err), !t.last && cause.Any(err, isUnreachable):
			return err
		default:
			fruitless++
			if t.furthest-before >= progressMin {
				fruitless = 0
			}
			if fruitless >= attempts {
				return err
			}
			if err := t.again(ctx, fruitless, err); err != nil {
				return err
			}
			continue
		}
		t.f.notify(Notice{Reader: t.r.String(), Name: t.d.Name, Err: err, Next: "restart"})
	}
}

func (t *transfer) again(ctx context.Context, fruitless int, err error) error {
	wait := t.f.pause(fruitless, err)
	t.f.notify(Notice{Reader: t.r.String(), Name: t.d.Name, Err: err, Wait: wait, Next: "retry"})
	return t.f.sleep(ctx, wait)
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
		return cause.Errorf("%s from %s: %w", t.d.Name, t.r, describe(err, t.contentType))
	}
	return &LocalError{err}
}

// once makes one request and spools its answer.
func (t *transfer) once(ctx context.Context) error {
	req := Request{NoCache: t.noCache, Unless: t.d.Unless}
	source, version, have := t.d.Spool.Have()
	if !t.fresh && source == t.r.String() && version != "" && have <= t.d.Limit {
		req.Offset, req.Version = have, version
	}
	if req.Offset == t.d.Limit && req.Offset > 0 {
		t.progress(have, have)
		return nil // all that may come is there: an earlier process was ended between the last byte and Accept
	}
	object, err := t.r.Open(ctx, t.d.Name, req)
	if err != nil {
		return err
	}
	defer object.Body.Close()
	t.contentType = object.contentType
	switch {
	case object.Size > t.d.Limit:
		return tooLarge(t.d)
	case object.Offset != 0 && object.Offset != req.Offset:
		return ErrBadRange
	case object.Offset == 0:
		if err := t.d.Spool.Begin(t.r.String(), object.Version); err != nil {
			return &LocalError{err}
		}
	}
	t.fresh = false // what follows may be resumed
	return t.copy(object)
}

func tooLarge(d Download) error {
	return cause.Errorf("%s is %w: more than %d bytes", d.Name, ErrTooLarge, d.Limit)
}

func (t *transfer) copy(object *Object) error {
	done, size := object.Offset, int64(len(t.buf))
	t.progress(done, object.Size)
	for {
		// Up to where a whole buffer of the file ends: writes that begin and end between pages cost the system a fourth more.
		n, err := object.Body.Read(t.buf[:size-done%size])
		if done+int64(n) > t.d.Limit {
			return tooLarge(t.d)
		}
		if n > 0 {
			if _, werr := t.d.Spool.Write(t.buf[:n]); werr != nil {
				return &LocalError{werr}
			}
			done += int64(n)
			t.furthest = max(t.furthest, done)
			t.progress(done, object.Size)
		}
		switch {
		case err == io.EOF && done < object.Size:
			return cause.Errorf("%s: %w after %d of %d bytes", t.d.Name, ErrCut, done, object.Size)
		case err == io.EOF:
			return nil
		case err != nil:
			return cause.Errorf("reading %s from %s: %w", t.d.Name, t.r, err)
		}
	}
}

func (t *transfer) progress(done, total int64) {
	if t.d.Progress != nil {
		t.d.Progress(done, total)
	}
}
