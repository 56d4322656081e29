package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"

	updater "github.com/choria-io/go-updater"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"update-repo": main})
}

// TestScripts runs main as users do, see testdata/script. Beside testscript's own
// commands there are `exit CODE COMMAND...`, `flip FILE`, `read VARIABLE FILE` and
// `busy TARGET REPOSITORY`, and $BIN has programs: 1, 2, amd64, arm64, darwin and program.exe, and amd64-2 and amd64-3, later
// versions of amd64; $S3 is the URL of a repository in a bucket; dwarf is amd64 with what debuggers need, and amd64-v3 asks for a processor of that level.
func TestScripts(t *testing.T) {
	bin := programs(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("BIN", bin)
			return bucket(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": exit, "flip": flip, "busy": busy, "read": read,
		},
	})
}

// bucket is a service with the protocol of Amazon S3, for one script.
func bucket(e *testscript.Env) error {
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		return err
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	e.Defer(server.Close)
	for key, value := range map[string]string{
		"S3": "s3://bucket/repo?endpoint=" + server.URL, "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1",
	} {
		e.Setenv(key, value)
	}
	return nil
}

// programs makes them: 1 and 2 are just headers that say linux/amd64 and some text, since
// encoding real ones takes most of the time of these tests; the others are Go's.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	elf := "\x7fELF\x02\x01\x01\x03" + strings.Repeat("\x00", 8) + "\x02\x00\x3e\x00"
	for name, content := range map[string]string{
		"1": elf + strings.Repeat("one ", 1000), "2": elf + strings.Repeat("two ", 1000),
		"main.go": "package main\n\nfunc main() { println(1) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range map[string]string{"amd64-2": "println(1, 2)", "amd64-3": "println(1, 2, 3)"} {
		if err := os.WriteFile(filepath.Join(dir, name+".go"), []byte("package main\n\nfunc main() { "+body+" }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, platform := range map[string]string{
		"amd64-2": "linux/amd64", "amd64-3": "linux/amd64", "dwarf": "linux/amd64", "amd64-v3": "linux/amd64",
		"amd64": "linux/amd64", "arm64": "linux/arm64", "program.exe": "windows/amd64", "darwin": "darwin/arm64",
	} {
		goos, goarch, _ := strings.Cut(platform, "/")
		source, flags := filepath.Join(dir, name+".go"), "-s -w"
		if _, err := os.Stat(source); err != nil {
			source = filepath.Join(dir, "main.go")
		}
		if name == "dwarf" {
			flags = ""
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", filepath.Join(dir, name), source)
		level := "v1"
		if name == "amd64-v3" {
			level = "v3"
		}
		cmd.Env = append(os.Environ(), "GOAMD64="+level, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off", "GOOS="+goos, "GOARCH="+goarch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building a program for %s: %v\n%s", platform, err, out)
		}
	}
	return dir
}

// exit CODE COMMAND... runs a command that must end with that exit code.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exited *exec.ExitError
		if !errors.As(err, &exited) {
			ts.Fatalf("%v", err)
		}
		got = exited.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
	if want != 0 && !strings.Contains("\n"+ts.ReadFile("stderr"), "\nerror: ") {
		ts.Fatalf("%v: no error line", args[1:])
	}
}

// flip FILE changes one bit in its middle.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(name, data, 0o600))
}

// read VARIABLE FILE sets a variable to a file's text; stdout is the last command's.
func read(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// busy TARGET REPOSITORY begins an update to 1.0.0 for linux/amd64, and holds it until the script ends.
func busy(ts *testscript.TestScript, neg bool, args []string) {
	ctx := context.Background()
	plan, err := updater.Check(ctx, updater.TargetFile(ts.MkAbs(args[0])), updater.SourceRepo(ts.MkAbs(args[1])),
		updater.Version("1.0.0"), updater.OS("linux"), updater.Arch("amd64"), updater.AllowContainer())
	ts.Check(err)
	staged, err := plan.Stage(ctx)
	ts.Check(err)
	ts.Defer(func() { staged.Close() })
}
