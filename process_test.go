//go:build unix

package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/swap"
)

// updateChild names the variable that makes the test binary a program which updates a
// target, or without one itself, and says how that ended.
const updateChild = "UPDATER_UPDATE_CHILD"

func init() { children[updateChild] = runUpdateChild }

func runUpdateChild() {
	url, target, _ := strings.Cut(os.Getenv(updateChild), "|")
	opts := []Option{SourceRepo(url), Version("1.2.3"), AllowContainer(), Attempts(1)}
	if target != "" {
		opts = append(opts, TargetFile(target))
	}
	result, err := ApplyContext(context.Background(), opts...)
	for name, kind := range map[string]error{"busy": ErrBusy, "not writable": ErrNotWritable} {
		if errors.Is(err, kind) {
			fmt.Println(name)
			return
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println("updated", result.Target)
}

// child is the test binary as a program that updates target from url.
func child(t *testing.T, url, target string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), append(env, updateChild+"="+url+"|"+target)...)
	return cmd
}

// hangInTheMiddle has the server send half of the archive and then nothing, until the client is gone.
func hangInTheMiddle(r *testRepo) (half int) {
	data := r.files[testFolder+"tool.zst"]
	half = len(data) / 2
	r.handle = func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, ".zst") {
			return false
		}
		w.Header().Set("ETag", `"`+sum(data)+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:half])
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		return true
	}
	return half
}

func waitForSpool(t *testing.T, target string, size int) {
	t.Helper()
	for range 1000 {
		info, err := os.Stat(filepath.Join(swap.StateDir(target), "spool"))
		if err == nil && info.Size() >= int64(size) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the child fetches nothing")
}

// killInTheMiddle has a process killed that has half of the archive.
func killInTheMiddle(t *testing.T) (r *testRepo, target string, half int) {
	old, new := buildPrograms(t)
	r = newRepo(t)
	r.publish(t, new, nil)
	half = hangInTheMiddle(r)
	target = install(t, old)
	cmd := child(t, r.URL, target)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForSpool(t, target, half)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	r.mu.Lock()
	r.handle, r.requests = nil, nil
	r.mu.Unlock()
	return r, target, half
}

// ranges are the Range headers of the requests for the archive.
func (r *testRepo) ranges() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range r.requests {
		if strings.HasSuffix(req.URL.Path, ".zst") {
			list = append(list, req.Header.Get("Range"))
		}
	}
	return list
}

func TestResumeAfterKill(t *testing.T) {
	_, new := buildPrograms(t)
	for name, c := range map[string]struct {
		change func(t *testing.T, r *testRepo, spool string)
		ranges func(half int) []string
	}{
		"only the rest is fetched": {func(*testing.T, *testRepo, string) {}, func(half int) []string {
			return []string{fmt.Sprintf("bytes=%d-", half)}
		}},
		"the archive changed": {func(t *testing.T, r *testRepo, _ string) {
			// The same program in another archive, as a second publication makes it.
			other := append(zstdOf(t, new[:1000]), zstdOf(t, new[1000:])...)
			r.publish(t, new, func(spec map[string]any) {
				spec["artifacts"] = []any{map[string]any{"file": "tool.zst", "encoding": "zstd", "size": len(other), "sha256": sum(other)}}
			})
			r.put("tool.zst", other)
		}, func(half int) []string {
			return []string{fmt.Sprintf("bytes=%d-", half)} // which If-Range makes the whole
		}},
		"the spool was tampered with": {func(t *testing.T, _ *testRepo, spool string) {
			data := read(t, spool)
			data[len(data)/2] ^= 1
			if err := os.WriteFile(spool, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, func(half int) []string {
			return []string{fmt.Sprintf("bytes=%d-", half), ""}
		}},
		"all of it had come": {func(t *testing.T, r *testRepo, spool string) {
			if err := os.WriteFile(spool, r.files[testFolder+"tool.zst"], 0o600); err != nil {
				t.Fatal(err)
			}
		}, func(int) []string { return nil }},
		"as many bytes had come, and wrong ones": {func(t *testing.T, r *testRepo, spool string) {
			if err := os.WriteFile(spool, make([]byte, len(r.files[testFolder+"tool.zst"])), 0o600); err != nil {
				t.Fatal(err)
			}
		}, func(int) []string { return []string{""} }},
		"the spool's description is none": {func(t *testing.T, _ *testRepo, spool string) {
			if err := os.WriteFile(spool+".json", make([]byte, 100), 0o600); err != nil {
				t.Fatal(err)
			}
		}, func(int) []string { return []string{""} }},
	} {
		t.Run(name, func(t *testing.T) {
			r, target, half := killInTheMiddle(t)
			c.change(t, r, filepath.Join(swap.StateDir(target), "spool"))
			if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprintf("%q", r.ranges()), fmt.Sprintf("%q", c.ranges(half)); got != want {
				t.Errorf("the archive was asked for with the ranges %s, want %s", got, want)
			}
			for _, req := range r.requests {
				if req.Header.Get("Range") != "" && req.Header.Get("If-Range") == "" {
					t.Error("a range was asked for without If-Range")
				}
			}
			if !bytes.Equal(read(t, target), new) {
				t.Error("the target is not new")
			}
			scenario{}.checkClean(t, name, target)
		})
	}
}

func TestTwoProcesses(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	half := hangInTheMiddle(r)
	target := install(t, old)
	first := child(t, r.URL, target)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waitForSpool(t, target, half)
	out, err := child(t, r.URL, target).CombinedOutput()
	if err != nil || string(out) != "busy\n" {
		t.Errorf("the second process: %s, %v", out, err)
	}
	first.Process.Kill()
	first.Wait()
	r.mu.Lock()
	r.handle = nil
	r.mu.Unlock()
	out, err = child(t, r.URL, target).CombinedOutput()
	if err != nil || string(out) != "updated "+target+"\n" || !bytes.Equal(read(t, target), new) {
		t.Errorf("after the first has ended: %s, %v", out, err)
	}
}

// openFolder is a temporary folder that other users may enter and read.
func openFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "updater")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, read(t, from), 0o755); err != nil {
		t.Fatal(err)
	}
}

// A user who may not write in the folder is told so before anything is asked of the repository.
func TestFolderNotWritable(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	dir := openFolder(t)
	target := filepath.Join(dir, "tool")
	if err := os.WriteFile(target, old, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, r.URL, target)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		copyProgram(t, cmd.Path, filepath.Join(dir, "test"))
		cmd.Path = filepath.Join(dir, "test")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 4321}}
	} else if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "not writable\n" || r.count() != 0 {
		t.Errorf("%s, %v after %d requests", out, err, r.count())
	}
	if !bytes.Equal(read(t, target), old) {
		t.Error("the target was changed")
	}
	os.Chmod(dir, 0o755)

	// Nor may the user know what is in there.
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	again := child(t, r.URL, filepath.Join(closed, "tool"))
	again.Path, again.Dir, again.SysProcAttr = cmd.Path, cmd.Dir, cmd.SysProcAttr
	if out, err := again.CombinedOutput(); err != nil || string(out) != "not writable\n" {
		t.Errorf("in a folder that cannot be entered: %s, %v", out, err)
	}
}

// Without TargetFile the running program is replaced, under the path that it was started by.
func TestOwnTarget(t *testing.T) {
	_, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	for name, start := range map[string]func(cmd *exec.Cmd, dir string) (target string){
		"by path":            func(cmd *exec.Cmd, dir string) string { return filepath.Join(dir, "tool") },
		"by relative path":   func(cmd *exec.Cmd, dir string) string { cmd.Args[0] = "./tool"; return filepath.Join(dir, "tool") },
		"by name, from PATH": func(cmd *exec.Cmd, dir string) string { cmd.Args[0] = "tool"; return filepath.Join(dir, "tool") },
		"by another name, from PATH": func(cmd *exec.Cmd, dir string) string {
			os.Mkdir(filepath.Join(dir, "bin"), 0o755)
			os.Link(filepath.Join(dir, "tool"), filepath.Join(dir, "bin", "other"))
			cmd.Env = append(cmd.Env, "PATH=/nowhere:"+filepath.Join(dir, "bin"))
			cmd.Args[0] = "other" // which is what the program will execute next
			return filepath.Join(dir, "bin", "other")
		},
		"by a false name": func(cmd *exec.Cmd, dir string) string { cmd.Args[0] = "sh"; return filepath.Join(dir, "tool") },
		"by a link": func(cmd *exec.Cmd, dir string) string {
			os.Symlink("tool", filepath.Join(dir, "link"))
			cmd.Path, cmd.Args[0] = filepath.Join(dir, "link"), filepath.Join(dir, "link")
			return filepath.Join(dir, "tool")
		},
	} {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		cmd := child(t, r.URL, "", "PATH=/nowhere:"+dir+":/bin")
		copyProgram(t, cmd.Path, filepath.Join(dir, "tool"))
		cmd.Path, cmd.Args[0], cmd.Dir = filepath.Join(dir, "tool"), filepath.Join(dir, "tool"), dir
		target := start(cmd, dir)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "updated "+target+"\n" || !bytes.Equal(read(t, target), new) {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
}

// The proxy of the environment is used; net/http reads it once, so it takes a process. Loopback addresses
// are never asked for through a proxy, a name that does not exist is.
func TestProxyFromEnvironment(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	asked := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Host == "repo.invalid" {
			asked++
		}
		r.Config.Handler.ServeHTTP(w, req)
	}))
	defer proxy.Close()
	target := install(t, old)
	out, err := child(t, "http://repo.invalid", target, "HTTP_PROXY="+proxy.URL, "http_proxy=", "NO_PROXY=", "no_proxy=").CombinedOutput()
	if err != nil || asked != 2 || !bytes.Equal(read(t, target), new) {
		t.Errorf("%s, %v, the proxy was asked %d times, want 2", out, err, asked)
	}
}
