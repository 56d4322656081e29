// Package zstdtest makes zstd frames for tests of packages that may need nothing to compress.
package zstdtest

import "bytes"

const block = 128 << 10

// Frame holds data as it is, in blocks of 128 KiB; one that is a single byte over and over takes four bytes.
func Frame(data []byte) []byte {
	const raw, rle, window = 0, 1, 10 << 3 // of 1 MiB
	out := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, window}
	for last := false; !last; {
		part := data[:min(len(data), block)]
		data = data[len(part):]
		last = len(data) == 0
		kind, body := raw, part
		if len(part) > 0 && bytes.Count(part, part[:1]) == len(part) {
			kind, body = rle, part[:1]
		}
		head := kind<<1 | len(part)<<3
		if last {
			head |= 1
		}
		out = append(append(out, byte(head), byte(head>>8), byte(head>>16)), body...)
	}
	return out
}
