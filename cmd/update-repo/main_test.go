package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func tool(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), args, &out, &errs); code != want {
		t.Fatalf("update-repo %v: exit code %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
	}
	if want != 0 && !strings.HasPrefix(errs.String()[strings.LastIndex("\n"+errs.String(), "\nerror: "):], "error: ") {
		t.Errorf("update-repo %v: no error line in %q", args, errs.String())
	}
	return out.String() + errs.String()
}

func TestLifeOfARepository(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	repo, key := filepath.Join(dir, "repo"), filepath.Join(dir, "key")
	public := strings.TrimSpace(tool(t, 0, "keygen", "--out", key))
	release := []string{"--arch", runtime.GOARCH, "--os", runtime.GOOS, "--version", "1.2.3", "--repo", repo}

	binary, other := filepath.Join(dir, "choria"), filepath.Join(dir, "other", "choria")
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Dir(other), 0o700)
	for name, content := range map[string][]byte{binary: data, other: append(data, 0)} {
		if err := os.WriteFile(name, content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := filepath.Join(dir, "text")
	os.WriteFile(text, []byte("text"), 0o600)

	tool(t, 0, append([]string{binary, "--sign-key", key, "--uncompressed"}, release...)...)
	for _, file := range []string{"choria.bz2", "choria.zst", "choria", "release.json"} {
		if _, err := os.Stat(filepath.Join(repo, "1.2.3", runtime.GOOS, runtime.GOARCH, file)); err != nil {
			t.Error(err)
		}
	}
	tool(t, 0, append([]string{"add", binary, "--sign-key", key}, release...)...) // the same again
	if out := tool(t, 1, append([]string{"add", other}, release...)...); !strings.Contains(out, "hint: ") {
		t.Errorf("no hint: %s", out)
	}
	tool(t, 1, "add", text, "--os", "linux", "--arch", "amd64", "--version", "2", "--repo", repo)
	if out := tool(t, 1, "add", binary, "--os", "linux", "--arch", "x86", "--version", "2", "--repo", repo); !strings.Contains(out, "amd64") {
		t.Errorf("valid architectures are not named: %s", out)
	}
	tool(t, 2, "add", binary, "--repo", repo)
	tool(t, 2, "add", binary, "--no-such-flag")

	var list []map[string]any
	if err := json.Unmarshal([]byte(tool(t, 0, "list", "--json", "--repo", repo)), &list); err != nil || len(list) != 1 {
		t.Errorf("list: %v, %v", list, err)
	}
	tool(t, 0, "verify", "--repo", repo, "--public-key", public)

	target := filepath.Join(dir, "installed")
	if err := os.WriteFile(target, append(data, 1), 0o700); err != nil {
		t.Fatal(err)
	}
	apply := []string{"apply", repo, target, "--version", "1.2.3", "--public-key", public, "--allow-container"}
	tool(t, 0, apply...)
	if got, _ := os.ReadFile(target); !bytes.Equal(got, data) {
		t.Error("the target is not the release")
	}
	if out := tool(t, 0, apply...); !strings.Contains(out, "nothing to do") {
		t.Errorf("again: %s", out)
	}
	if out := tool(t, 0, "status", target, "--json"); !strings.Contains(out, `"version": "1.2.3"`) {
		t.Errorf("status: %s", out)
	}
	tool(t, 0, "rollback", target)
	if got, _ := os.ReadFile(target); !bytes.Equal(got, append(data, 1)) {
		t.Error("the target is not rolled back")
	}

	zst := filepath.Join(repo, "1.2.3", runtime.GOOS, runtime.GOARCH, "choria.zst")
	archive, err := os.ReadFile(zst)
	if err != nil {
		t.Fatal(err)
	}
	archive[len(archive)/2] ^= 1
	os.WriteFile(zst, archive, 0o600)
	tool(t, 4, "verify", "--repo", repo)

	tool(t, 0, append([]string{"remove"}, release...)...)
	if out := tool(t, 0, "list", "--repo", repo); out != "" {
		t.Errorf("list after remove: %s", out)
	}
}
