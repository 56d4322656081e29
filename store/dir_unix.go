//go:build unix

package store

import "syscall"

const nonBlocking = syscall.O_NONBLOCK
