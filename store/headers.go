package store

import (
	"path"
	"strings"
)

// Cache times of what a store serves, as Cache-Control has them.
const (
	// CacheImmutable is for files whose name never means other bytes.
	CacheImmutable = "public, max-age=31536000, immutable"

	// CacheShort is for files that are replaced. A minute is what a release is late through a CDN at most; no-transform keeps
	// intermediaries from compressing what is hashed.
	CacheShort = "public, max-age=60, no-transform"
)

// HeadersFor are the Content-Type and Cache-Control with which a file of a repository should be served, by
// its name.
func HeadersFor(name string) (contentType, cacheControl string) {
	base := path.Base(name)
	switch path.Ext(base) {
	case ".json":
		number, _, _ := strings.Cut(base, ".")
		if path.Dir(name) == "metadata" && number != "" && strings.Trim(number, "0123456789") == "" {
			return "application/json", CacheImmutable
		}
		return "application/json", CacheShort
	case ".html":
		return "text/html; charset=utf-8", CacheShort
	case ".bz2":
		return "application/x-bzip2", CacheImmutable
	case ".zst":
		return "application/zstd", CacheImmutable
	}
	return "application/octet-stream", CacheImmutable
}
