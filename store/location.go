package store

import (
	"errors"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
)

// New returns the store that a location names: an http or https URL, a file
// URL ("file:///srv/repo"), or the path of a folder.
func New(location string, o HTTPOptions) (Reader, error) {
	scheme, _, found := strings.Cut(location, "://")
	if !found {
		if location == "" {
			return nil, errors.New("the repository's location is empty")
		}
		return NewDir(location), nil
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		return NewHTTP(location, o)
	case "file":
		path, err := filePath(location)
		if err != nil {
			return nil, err
		}
		return NewDir(path), nil
	}
	return nil, cause.Errorf("repositories with %s:// are not supported; use http, https, file or the path of a folder", scheme)
}

// filePath is the path in a file URL (RFC 8089).
func filePath(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", errors.New("the repository's file URL is malformed")
	}
	if u.Host != "" && u.Host != "localhost" {
		return "", cause.Errorf("%s names the host %s; a file URL has three slashes: file:///path", location, u.Host)
	}
	if u.Path == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsRune(u.Path, 0) {
		return "", cause.Errorf("%s is no file URL of a folder", location)
	}
	path := u.Path
	if runtime.GOOS == "windows" && len(path) > 2 && path[2] == ':' {
		path = path[1:] // file:///C:/repo
	}
	return filepath.FromSlash(path), nil
}
