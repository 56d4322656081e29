package cause

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
)

type number int

func (n number) Error() string { return fmt.Sprint(int(n)) }

type timeout interface{ Timeout() bool }

type late struct{ error }

func (late) Timeout() bool { return true }

// Whatever is found is what errors.As finds: in chains, in trees, the first of several, values, pointers and
// interfaces.
func TestAsErrorsAs(t *testing.T) {
	path := &fs.PathError{Op: "open", Path: "x", Err: number(7)}
	for _, err := range []error{
		nil,
		io.EOF,
		number(1),
		fmt.Errorf("a: %w", number(2)),
		fmt.Errorf("a: %w", fmt.Errorf("b: %w", path)),
		errors.Join(io.EOF, number(3), number(4)),
		fmt.Errorf("%w, %w", errors.Join(io.EOF, fmt.Errorf("c: %w", number(5))), path),
		errors.Join(late{number(6)}, path),
		fmt.Errorf("%v", number(8)),
	} {
		compare[number](t, err)
		compare[*fs.PathError](t, err)
		compare[timeout](t, err)
	}
}

func compare[T any](t *testing.T, err error) {
	t.Helper()
	var want T
	wanted := err != nil && errors.As(err, &want)
	got, ok := Find[T](err)
	if ok != wanted || any(got) != any(want) {
		t.Errorf("%v: %v, %v; errors.As finds %v, %v", err, got, ok, want, wanted)
	}
}
