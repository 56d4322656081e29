//go:build unix && !(darwin || freebsd || linux || netbsd)

package disk

import (
	"errors"
	"os"
)

func listXattr(*os.File) ([]string, error)      { return nil, nil }
func getXattr(*os.File, string) ([]byte, error) { return nil, errors.ErrUnsupported }
func setXattr(*os.File, string, []byte) error   { return errors.ErrUnsupported }
