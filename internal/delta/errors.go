package delta

import (
	"errors"
	"fmt"
)

var (
	// ErrFormat: the patch is damaged, or made by something newer. Fetch the full file.
	ErrFormat = errors.New("not a valid delta")

	// ErrBase: the delta is made for another old file. Fetch the full file.
	ErrBase = errors.New("delta for another base")

	// ErrLimit: applying the delta would write or compute more than is allowed. Fetch the full file.
	ErrLimit = errors.New("delta beyond its limits")
)

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func limitError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLimit, fmt.Sprintf(format, args...))
}
