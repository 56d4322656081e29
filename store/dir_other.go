//go:build !unix

package store

const nonBlocking = 0
