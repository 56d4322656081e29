//go:build unix

package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	updater "github.com/choria-io/go-updater"
)

// Loggers are assignable both ways.
var (
	entry    updater.Log      = logrus.NewEntry(logrus.New())
	standard updater.Log      = logrus.StdLogger(logrus.New())
	back     logrus.StdLogger = updater.Config{}.Log
)

// run runs a program with its repository in the environment, and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd, env ...string) (string, error) {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestProgramOfTheREADME(t *testing.T) {
	url := serve(t, publish(t, "seed", "0.7.0"))
	target := install(t, "seed 0.6.0", t.TempDir(), "seed")
	out, err := run(t, exec.Command(target, "one", "two"), "REPO="+url)
	if err != nil || !strings.HasPrefix(out, "seed 0.6.0 [one two]\n") || !strings.HasSuffix(out, "seed 0.7.0 [one two]\n") {
		t.Errorf("%v, output:\n%s", err, out)
	}
	if !strings.Contains(out, "\ngo-updater ") {
		t.Errorf("nothing was logged:\n%s", out)
	}
	isProgram(t, target, "seed 0.7.0")
	isProgram(t, target+".backup", "seed 0.6.0")
}

func TestProgramOfTheREADMEFails(t *testing.T) {
	repo := publish(t, "seed", "0.7.0")
	url := serve(t, repo)
	for name, spoil := range map[string]func(folder string){
		"wrong bytes": func(f string) {
			os.WriteFile(filepath.Join(f, "seed-0.7.0.zst"), []byte("wrong"), 0o600)
			os.WriteFile(filepath.Join(f, "seed-0.7.0.bz2"), []byte("wrong"), 0o600)
		},
		"no release": func(f string) { os.Remove(filepath.Join(f, "release.json")) },
	} {
		folders, err := filepath.Glob(filepath.Join(repo, "0.7.0", "*", "*"))
		if err != nil || len(folders) != 1 {
			t.Fatal(folders, err)
		}
		spoil(folders[0])
		target := install(t, "seed 0.6.0", t.TempDir(), "seed")
		out, err := run(t, exec.Command(target), "REPO="+url)
		if err == nil || !strings.Contains(out, "panic: Update failed: ") {
			t.Errorf("%s: %v, output:\n%s", name, err, out)
		}
		isProgram(t, target, "seed 0.6.0")
		out, err = run(t, exec.Command(target), "REPO="+url)
		if err == nil || !strings.HasPrefix(out, "seed 0.6.0") {
			t.Errorf("%s: the program no longer runs: %v\n%s", name, err, out)
		}
	}
}

// However a program was called, it is what is replaced and executed again.
func TestProgramThatNamesNoTarget(t *testing.T) {
	const wanted = "0.99.0.20221201"
	url := serve(t, publish(t, "self", wanted))
	for name, command := range map[string]func(target string) *exec.Cmd{
		"absolute path": func(target string) *exec.Cmd { return exec.Command(target, "arg") },
		"relative path": func(target string) *exec.Cmd {
			cmd := exec.Command("./bin/self", "arg")
			cmd.Dir = filepath.Dir(filepath.Dir(target))
			return cmd
		},
		"PATH": func(target string) *exec.Cmd {
			cmd := exec.Command("sh", "-c", `PATH="$1:$PATH"; export PATH; self arg`, "sh", filepath.Dir(target))
			cmd.Dir = t.TempDir()
			return cmd
		},
		"symlink": func(target string) *exec.Cmd {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if to, err := os.Readlink(link); err != nil || to != target {
					t.Errorf("the link is %q, %v", to, err)
				}
			})
			return exec.Command(link, "arg")
		},
		"symlink in PATH": func(target string) *exec.Cmd {
			bin := t.TempDir()
			if err := os.Symlink(target, filepath.Join(bin, "linked")); err != nil {
				t.Fatal(err)
			}
			return exec.Command("sh", "-c", `PATH="$1:$PATH"; export PATH; linked arg`, "sh", bin)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bin := filepath.Join(t.TempDir(), "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			target := install(t, "self 0.6.0", bin, "self")
			out, err := run(t, command(target), "REPO="+url, "WANTED="+wanted)
			if err != nil || !strings.HasPrefix(out, "self 0.6.0 [arg]\n") || !strings.HasSuffix(out, "self "+wanted+" [arg]\n") {
				t.Errorf("%v, output:\n%s", err, out)
			}
			if !strings.Contains(out, "component=updater") {
				t.Errorf("nothing was logged through logrus:\n%s", out)
			}
			isProgram(t, target, "self "+wanted)
			isProgram(t, target+".backup", "self 0.6.0")
		})
	}
}

func TestProgramThatNamesNoTargetFails(t *testing.T) {
	target := install(t, "self 0.6.0", t.TempDir(), "self")
	out, err := run(t, exec.Command(target), "REPO="+t.TempDir(), "WANTED=1")
	if err == nil || !strings.Contains(out, "failed: ") || !strings.HasSuffix(out, "rollback: <nil>\n") {
		t.Errorf("%v, output:\n%s", err, out)
	}
	isProgram(t, target, "self 0.6.0")
}

func TestLoggersAreCalled(t *testing.T) {
	if entry == nil || standard == nil || back != nil {
		t.Fatal("loggers were lost")
	}
	var text strings.Builder
	log := logrus.New()
	log.SetOutput(&text)
	var std logrus.StdLogger = log
	err := updater.Apply(updater.Logger(std), updater.SourceRepo(t.TempDir()), updater.Version("1"), updater.TargetFile(install(t, "self 0.6.0", t.TempDir(), "x")))
	if err == nil || !strings.Contains(text.String(), "Starting update process to 1 ") {
		t.Errorf("%v, logged: %s", err, &text)
	}
}
