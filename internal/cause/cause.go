// Package cause wraps errors and finds them within others, as [fmt.Errorf] and [errors.As] do, in
// fewer bytes. The latter looks types up by reflection, which costs each program that would not do so
// otherwise 20 KB; the former the compiler puts, since Go 1.26, into its callers, a hundred bytes each time, and four hundred
// for [errors.Join].
package cause

import (
	"errors"
	"fmt"
)

// Errorf is [fmt.Errorf].
//
//go:noinline
func Errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// Find returns the first of err and the errors that it wraps that is a T.
func Find[T any](err error) (found T, ok bool) {
	ok = Any(err, func(e error) (is bool) {
		found, is = e.(T)
		return is
	})
	return found, ok
}

// Any tells whether is holds for err or an error that it wraps. They are asked in the order of errors.Is,
// until one says yes.
func Any(err error, is func(error) bool) bool {
	for err != nil {
		if is(err) {
			return true
		}
		switch wrapper := err.(type) {
		case interface{ Unwrap() error }:
			err = wrapper.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range wrapper.Unwrap() {
				if Any(e, is) {
					return true
				}
			}
			return false
		default:
			return false
		}
	}
	return false
}

// Join is [errors.Join].
//
//go:noinline
func Join(errs ...error) error { return errors.Join(errs...) }
