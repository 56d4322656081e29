//go:build unix && !(darwin || dragonfly || freebsd || linux)

package disk

import "errors"

func free(string) (uint64, error) { return 0, errors.ErrUnsupported }
