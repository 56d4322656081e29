package stores

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	folder := t.TempDir()
	t.Setenv("DOCKER_CONFIG", folder)
	for location, want := range map[string]struct {
		shown    string
		readOnly bool
	}{
		folder:                          {folder, false},
		"file:///srv/repo":              {"/srv/repo", false},
		"https://u:secret@x.test/r":     {"https://x.test/r", true},
		"http://127.0.0.1/":             {"http://127.0.0.1/", true},
		"s3://bucket/a/b":               {"s3://bucket/a/b", false},
		"S3://bucket":                   {"s3://bucket", false},
		"s3://bucket/?region=eu-west-1": {"s3://bucket", false},
		"oci://ghcr.io/us/updates":      {"oci://ghcr.io/us/updates", false},
		"oci://[::1]:5000/updates/":     {"oci://[::1]:5000/updates", false},
	} {
		r, err := Open(context.Background(), location, Options{})
		if err != nil || r.String() != want.shown {
			t.Errorf("%s: %v, %v", location, r, err)
			continue
		}
		_, err = OpenStore(context.Background(), location, Options{})
		if errors.Is(err, ErrReadOnly) != want.readOnly {
			t.Errorf("%s for publishing: %v", location, err)
		}
	}
	if _, err := OpenStore(context.Background(), folder+"/new.tar", Options{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("an archive for publishing: %v", err)
	}
	if err := os.Mkdir(folder+"/folder.tar", 0o700); err != nil || IsArchive(folder+"/folder.tar") || !IsArchive(folder+"/new.tar") || IsArchive("https://x.test/new.tar") {
		t.Errorf("what an archive is: %v", err)
	}
	for location, want := range map[string]string{
		"nowhere.tar":            "no such file",
		"":                       "empty",
		"ftp://x":                "docs/STORES.md",
		"s3://":                  "no bucket",
		"s3://bucket/a/../b":     "invalid file name",
		"s3://bucket?colour=red": "no option",
		"s3://key:secret@bucket": "AWS_ACCESS_KEY_ID",
		"s3://bucket?endpoint=x": "https://HOST:PORT",
		"s3://bucket/%zz":        "malformed",
		"https://":               "no http or https URL",
		"oci://ghcr.io":          "oci://REGISTRY/NAME",
		"oci://ghcr.io/Us":       "no name of a repository",
		"oci://x/y?colour=red":   "no option",
		"oci://u:secret@x/y":     "docker login x",
		"oci://x/y?settle=2":     "a duration",
		"oci://x/y?lease=1s":     "twice settle",
	} {
		_, err := Open(context.Background(), location, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", location, err, want)
		}
	}
}
