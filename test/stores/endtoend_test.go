package stores

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/repo"
)

// program builds a program that prints its version.
func program(t *testing.T, folder, version string) string {
	t.Helper()
	source, binary := filepath.Join(folder, "main.go"), filepath.Join(folder, "tool-"+version)
	must(t, os.WriteFile(source, []byte(`package main

import "fmt"

var version string

func main() { fmt.Println(version) }
`), 0o600))
	build := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// endToEnd is all of a repository's life, in small.
func (s *service) endToEnd(t *testing.T) {
	t.Run("update", s.update)
	t.Run("killed", s.killed)
	t.Run("race", s.race)
	t.Run("mirror", s.mirror)
}

// update: two releases of a real program, and a client that goes from one to the other by a delta.
func (s *service) update(t *testing.T) {
	folder, where := t.TempDir(), s.fresh()(s.url)
	key, st := signer(t, folder), openStore(t, where)
	root := initialize(t, st, key)
	old, fresh := program(t, folder, "1.0.0"), program(t, folder, "1.1.0")
	for _, v := range []struct{ path, version string }{{old, "1.0.0"}, {fresh, "1.1.0"}} {
		a := addition(v.path, v.version)
		a.OS, a.Arch, a.Deltas = runtime.GOOS, runtime.GOARCH, repo.Deltas{Last: 1}
		_, err := publisher(st, key).Add(ctx, a)
		must(t, err)
	}
	r, err := openAny(where)
	must(t, err)
	options := []updater.Option{updater.Repository(r), updater.TrustRoot(root), updater.TargetFile(old), updater.CurrentVersion("1.0.0"),
		updater.Version("1.1.0"), updater.AllowContainer(), updater.AllowManaged()}
	plan, err := updater.Check(ctx, options...)
	must(t, err)
	if plan.Artifact.Encoding != updater.DeltaEncoding {
		t.Errorf("the client fetches %s (%s), no delta", plan.Artifact.File, plan.Why)
	}
	_, err = updater.ApplyContext(ctx, options...)
	must(t, err)
	if out, err := exec.Command(old).Output(); err != nil || strings.TrimSpace(string(out)) != "1.1.0" {
		t.Errorf("the program says %q, %v", out, err)
	}
	audit, err := publisher(st, key).Audit(ctx, nil)
	if err != nil || len(audit.Problems) > 0 {
		t.Errorf("%v, %v", audit, err)
	}
}

// killed: a publisher dies at a random call, again and again. What was published stays, what was not is there whole or not at all,
// and the next publisher goes on.
func (s *service) killed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	key, st := signer(t, t.TempDir()), openStore(t, s.fresh()(s.url))
	root := initialize(t, st, key)
	good, content := "2.0", "version 2.0"
	_, err := publisher(st, key).Add(ctx, addition(file(t, content), good))
	must(t, err)
	died := 0
	for i := 1; i <= s.kills; i++ {
		version := fmt.Sprintf("2.%d", i)
		a := addition(file(t, "version "+version), version)
		d := &dying{Store: st, at: 1 + random.IntN(24), after: random.IntN(2) == 0}
		_, err := publisher(d, key).Add(ctx, a)
		if err != nil {
			died++
		}
		if !installs(t, st, root, good, content) {
			t.Fatalf("kill %d (call %d, after %t): version %s is gone", i, d.at, d.after, good)
		}
		if is := installs(t, st, root, version, "version "+version); err == nil && !is {
			t.Fatalf("kill %d: version %s was published and is not there", i, version)
		}
		_, err = publisher(st, key).Add(ctx, a)
		must(t, err)
		good, content = version, "version "+version
	}
	if !installs(t, st, root, good, content) || died < s.kills/2 {
		t.Errorf("after %d deaths the last version is not there", died)
	}
}

// killedChildren is the same with processes that are killed.
func (s *service) killedChildren(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	folder, where := t.TempDir(), s.fresh()(s.url)
	key, st := signer(t, folder), openStore(t, where)
	root := initialize(t, st, key)
	path, next := file(t, "the program"), 0
	for i := range s.kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "STORES_TEST_PUBLISH="+where, "STORES_TEST_KEY="+filepath.Join(folder, "key"),
			"STORES_TEST_FILE="+path, fmt.Sprint("STORES_TEST_FIRST=", next))
		var said strings.Builder
		child.Stderr = &said
		must(t, child.Start())
		time.Sleep(s.wait + time.Duration(100+random.IntN(150))*time.Millisecond)
		child.Process.Kill()
		child.Wait()
		if said.Len() > 0 {
			t.Fatalf("child %d: %s", i, said.String())
		}
		for next > 0 && !installs(t, st, root, fmt.Sprintf("2.%d", next-1), "the program") {
			t.Fatalf("kill %d: version 2.%d was there and is gone", i, next-1)
		}
		for installs(t, st, root, fmt.Sprintf("2.%d", next), "the program") {
			next++
		}
	}
	if next < s.kills/4 {
		t.Errorf("%d children published %d versions: they were killed before they began", s.kills, next)
	}
}

// race: two publishers at once. Those that are told nothing have published, the others are told, and nothing is lost.
func (s *service) race(t *testing.T) {
	key, where := signer(t, t.TempDir()), s.fresh()(s.url)
	st := openStore(t, where)
	root := initialize(t, st, key)
	told := 0
	for round := range s.races {
		var wg sync.WaitGroup
		var failures [2]error
		for who := range failures {
			a := addition(file(t, fmt.Sprint(round, who)), fmt.Sprintf("%d.%d", round, who))
			mine := openStore(t, where)
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, failures[who] = publisher(mine, key).Add(ctx, a)
			}()
		}
		wg.Wait()
		if failures[0] != nil && failures[1] != nil {
			t.Fatalf("round %d: nobody won: %v, %v", round, failures[0], failures[1])
		}
		for who, err := range failures {
			version, content := fmt.Sprintf("%d.%d", round, who), fmt.Sprint(round, who)
			if err != nil {
				if !errors.Is(err, repo.ErrBusy) {
					t.Fatalf("round %d: %v", round, err)
				}
				told++
				if installs(t, st, root, version, content) {
					t.Fatalf("round %d: who was told that another won has won", round)
				}
				_, err = publisher(st, key).Add(ctx, addition(file(t, content), version))
				must(t, err)
			}
			if !installs(t, st, root, version, content) {
				t.Fatalf("round %d: version %s is lost", round, version)
			}
		}
	}
	if told == 0 {
		t.Error("no two publishers met")
	}
	t.Logf("%d rounds, %d times one was told", s.races, told)
}
