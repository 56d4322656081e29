package updater

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/disk/disktest"
	"github.com/choria-io/go-updater/internal/managed"
	"github.com/choria-io/go-updater/internal/swap"
	"github.com/choria-io/go-updater/store"
)

// bzip2Only publishes the archive as v0.1.0 does, for a target that is no executable.
func bzip2Only(t *testing.T, archive []byte, hash string) *testRepo {
	r := newRepo(t)
	r.put("tool.bz2", archive)
	r.put("release.json", []byte(`{"binary":"tool.bz2","hash":"`+hash+`"}`))
	return r
}

func TestConcatenatedStreams(t *testing.T) {
	both := append(bytes.Clone(testingBzip2), testingBzip2...) // as a parallel compressor writes it
	target := install(t, []byte("old"))
	r := bzip2Only(t, both, sum([]byte("testing\ntesting\n")))
	if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil || string(read(t, target)) != "testing\ntesting\n" {
		t.Errorf("two bzip2 streams: %v", err)
	}
	refused(t, bzip2Only(t, append(bytes.Clone(testingBzip2), "and more"...), sum([]byte("testing\n"))), ErrRejected)
	refused(t, bzip2Only(t, append(bytes.Clone(testingBzip2), 0), sum([]byte("testing\n"))), ErrRejected)

	// A second zstd frame is data like any other: it is held to size and hash.
	_, new := buildPrograms(t)
	r = newRepo(t)
	r.publish(t, new, nil)
	more := append(zstdOf(t, new), zstdOf(t, []byte("more"))...)
	r.publish(t, new, func(spec map[string]any) {
		spec["artifacts"] = []any{map[string]any{"file": "more.zst", "encoding": "zstd", "size": len(more), "sha256": sum(more)}}
	})
	r.put("more.zst", more)
	refused(t, r, ErrRejected)
}

// Of a decompression bomb no more is written than the release says, or than the caller allows where it says nothing.
func TestBomb(t *testing.T) {
	_, new := buildPrograms(t)
	bomb := zstdOf(t, make([]byte, 64<<20))
	for name, limit := range map[string]int64{"the release's size": int64(len(new)), "none": 2 << 20} {
		r := newRepo(t)
		r.publish(t, new, func(spec map[string]any) {
			spec["binary"], spec["artifacts"] = "bomb.zst", []any{map[string]any{"file": "bomb.zst", "encoding": "zstd"}}
			if name == "none" {
				delete(spec, "size")
			}
		})
		r.put("bomb.zst", bomb)
		written := int64(0)
		refused(t, r, ErrRejected, MaxSize(2<<20), func(c *Config) error {
			c.fs = disktest.Wrap(disk.OS, disktest.Hooks{Before: func(op disktest.Op) error {
				if op.Kind == "write" && strings.HasSuffix(op.Path, ".updater-new") {
					written = max(written, op.Offset+int64(len(op.Data)))
				}
				return nil
			}})
			return nil
		})
		if written == 0 || written > limit {
			t.Errorf("%s: %d bytes were written, at most %d may be", name, written, limit)
		}
	}
}

// An archive is held to its own hash before it is decoded, though the right binary might come out of it.
func TestArchiveHash(t *testing.T) {
	_, new := buildPrograms(t)
	r := newRepo(t)
	archive := zstdOf(t, new)
	r.publish(t, new, func(spec map[string]any) {
		spec["artifacts"] = []any{map[string]any{"file": "tool.zst", "encoding": "zstd", "size": len(archive), "sha256": goodHash}}
	})
	refused(t, r, ErrRejected)
}

// archive has handle answer requests for the zstd archive.
func archive(r *testRepo, handle func(w http.ResponseWriter, req *http.Request, data []byte)) {
	data := r.files[testFolder+"tool.zst"]
	r.handle = func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, ".zst") {
			handle(w, req, data)
			return true
		}
		return false
	}
}

func TestHostileArchives(t *testing.T) {
	_, new := buildPrograms(t)
	for name, c := range map[string]struct {
		want   error
		handle func(w http.ResponseWriter, req *http.Request, data []byte)
	}{
		"always cut": {store.ErrCut, func(w http.ResponseWriter, _ *http.Request, data []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			w.Write(data[:1000])
		}},
		"shorter, and says so": {ErrRejected, func(w http.ResponseWriter, _ *http.Request, data []byte) { w.Write(data[:1000]) }},
		"endless, without Content-Length": {store.ErrTooLarge, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			for range 1000 { // not more, should the limit fail
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}},
		"larger, and says so": {store.ErrTooLarge, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Content-Length", "1000000000000")
		}},
		"Content-Length lies": {ErrRejected, func(w http.ResponseWriter, _ *http.Request, data []byte) {
			conn, out, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			// Closed, as the bytes too many were the answer to the next request else, if that is fast.
			out.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
			out.Write(data[:10])
			out.Flush()
			conn.Close()
		}},
		"forbidden": {fs.ErrPermission, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(403) }},
		"not modified": {nil, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.WriteHeader(304)
		}},
		"a part": {store.ErrBadRange, func(w http.ResponseWriter, _ *http.Request, data []byte) {
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.WriteHeader(206)
			w.Write(data[:100])
		}},
		"altered by a proxy": {ErrRejected, func(w http.ResponseWriter, _ *http.Request, data []byte) {
			altered := bytes.Clone(data)
			altered[len(altered)/2] ^= 1
			w.Write(altered)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.publish(t, new, nil)
			archive(r, c.handle)
			if c.want == nil {
				old, _ := buildPrograms(t)
				target := install(t, old)
				_, err := ApplyContext(context.Background(), r.options(target, Attempts(1))...)
				var status *store.StatusError
				if !errors.As(err, &status) || status.Code != 304 || !bytes.Equal(read(t, target), old) {
					t.Errorf("%v, want a StatusError", err)
				}
				return
			}
			refused(t, r, c.want)
		})
	}
}

// A cache that serves what was there before is asked to look again, once.
func TestStaleCache(t *testing.T) {
	old, new := buildPrograms(t)
	for name, stale := range map[string][]byte{
		"smaller": zstdOf(t, old[:len(old)/2]),
		"larger":  append(zstdOf(t, new), zstdOf(t, old)...),
	} {
		r := newRepo(t)
		r.publish(t, new, nil)
		archive(r, func(w http.ResponseWriter, req *http.Request, data []byte) {
			if req.Header.Get("Cache-Control") != "no-cache" {
				data = stale
			}
			w.Write(data)
		})
		target := install(t, old)
		if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil || !bytes.Equal(read(t, target), new) {
			t.Errorf("%s: %v", name, err)
		}
		if n := r.count(); n != 3 { // release.json and twice the archive
			t.Errorf("%s: %d requests, want 3", name, n)
		}
	}
}

// What was planned is what is installed, whatever is published in between.
func TestRepublishedAfterPlan(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	plan, err := Check(context.Background(), r.options(target, Attempts(1))...)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(t, append(bytes.Clone(new), "other content"...), nil)
	if _, err := plan.Stage(context.Background()); !errors.Is(err, ErrRejected) && !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("%v, want the other content refused", err)
	}
	if !bytes.Equal(read(t, target), old) {
		t.Error("the target was changed")
	}
}

func TestCancelEndsAHang(t *testing.T) {
	old, new := buildPrograms(t)
	for _, file := range []string{"release.json", "tool.zst"} {
		for _, headers := range []bool{false, true} {
			r := newRepo(t)
			r.publish(t, new, nil)
			ctx, cancel := context.WithCancel(context.Background())
			cancelled := make(chan time.Time, 9) // what comes before may take long on a slow machine
			r.handle = func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.HasSuffix(req.URL.Path, file) {
					return false
				}
				if headers {
					w.WriteHeader(200)
					w.(http.Flusher).Flush()
				}
				time.AfterFunc(50*time.Millisecond, func() { cancelled <- time.Now(); cancel() })
				<-req.Context().Done()
				return true
			}
			target := install(t, old)
			_, err := ApplyContext(ctx, r.options(target)...)
			cancel()
			select {
			case at := <-cancelled:
				if took := time.Since(at); !errors.Is(err, context.Canceled) || took > 5*time.Second {
					t.Errorf("%s, headers %v: %v after %v", file, headers, err, took)
				}
			default:
				t.Errorf("%s, headers %v: not asked for: %v", file, headers, err)
			}
			if !bytes.Equal(read(t, target), old) {
				t.Error("the target was changed")
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(target), ".*.updater-*")); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		}
	}
}

// TestForeignTargets: the doors of v0.1.0 warn of a target that someone else looks after, those
// with a context refuse, unless the caller allows it.
func TestForeignTargets(t *testing.T) {
	old, new := buildPrograms(t)
	for name, c := range map[string]struct {
		want   error
		allow  Option
		system func(t *testing.T, target string) managed.System
	}{
		"dpkg": {ErrManaged, AllowManaged(), func(t *testing.T, target string) managed.System {
			root := t.TempDir()
			brought(t, root, target)
			return managed.System{Root: root}
		}},
		"container image": {ErrContainer, AllowContainer(), func(t *testing.T, _ string) managed.System {
			return managed.System{
				Root:    t.TempDir(),
				Getenv:  func(string) string { return "docker" },
				Overlay: func(string) bool { return true },
			}
		}},
	} {
		if name == "dpkg" && runtime.GOOS == "windows" {
			continue // its lists are read on Unix alone
		}
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.publish(t, new, nil)
			target, err := filepath.EvalSymlinks(install(t, old))
			if err != nil {
				t.Fatal(err)
			}
			system := c.system(t, target)
			var messages bytes.Buffer
			opts := []Option{
				SourceRepo(r.URL), Version("1.2.3"), TargetFile(target),
				Logger(log.New(&messages, "", 0)),
				func(c *Config) error { c.system = system; return nil },
			}
			_, err = ApplyContext(context.Background(), opts...)
			if !errors.Is(err, c.want) || Hint(err) == "" || r.count() != 0 || !bytes.Equal(read(t, target), old) {
				t.Errorf("with a context: %v after %d requests", err, r.count())
			}
			if _, err := Check(context.Background(), opts...); !errors.Is(err, c.want) {
				t.Errorf("Check: %v", err)
			}
			if _, err := Check(context.Background(), append(opts, c.allow)...); err != nil {
				t.Errorf("allowed: %v", err)
			}
			if strings.Contains(messages.String(), c.want.Error()) {
				t.Errorf("allowed, and warned of: %s", messages.String())
			}
			if _, found, err := Diagnose(context.Background(), opts...); err != nil || found[0].OK || found[0].Do == "" {
				t.Errorf("Diagnose: %+v, %v", found, err)
			}
			if _, found, err := Diagnose(context.Background(), append(opts, c.allow)...); err != nil || !found[0].OK ||
				!strings.Contains(found[0].What, c.want.Error()) || !strings.Contains(found[0].What, "allowed") {
				t.Errorf("Diagnose, allowed: %+v, %v", found, err)
			}
			if err := Apply(opts...); err != nil || !bytes.Equal(read(t, target), new) {
				t.Errorf("through the old door: %v", err)
			}
			if !strings.Contains(messages.String(), "warning: "+c.want.Error()) {
				t.Errorf("the old door does not warn: %s", messages.String())
			}
			if _, err := Check(context.Background(), opts...); !errors.Is(err, c.want) {
				t.Errorf("Check after an update: %v", err)
			}
		})
	}
}

// brought has dpkg's lists below root say that a package brought path.
func brought(t *testing.T, root, path string) {
	t.Helper()
	info := root + "/var/lib/dpkg/info"
	if err := os.MkdirAll(info, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(info+"/tool.list", []byte("/.\n"+path+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// byPackage puts a file in the target's place as dpkg does, and says so in its lists.
func byPackage(t *testing.T, root, target string, data []byte) {
	t.Helper()
	if err := os.WriteFile(target+".dpkg-new", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(target+".dpkg-new", target); err != nil {
		t.Fatal(err)
	}
	brought(t, root, target)
}

// unowned is a program that no package manager owns, on a host that is the folder root.
func unowned(t *testing.T, r *testRepo, program []byte, more ...Option) (target, root string, opts []Option) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("dpkg's lists are read on Unix alone")
	}
	target, err := filepath.EvalSymlinks(install(t, program))
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	opts = r.options(target, func(c *Config) error { c.system = managed.System{Root: root}; return nil })
	return target, root, append(opts, more...)
}

// TestPackagesAreSearchedOnce: what an update put in place where no package manager owned the path is nobody else's as long as it
// stands there, so the lists are not read again. They are as soon as anything else does.
func TestPackagesAreSearchedOnce(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	ctx := context.Background()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	state := func(target string) string { return swap.StateDir(target) + "/state.json" }
	listed := func(t *testing.T, target, root string, _ []Option) { brought(t, root, target) }
	for name, c := range map[string]struct {
		more   Option
		change func(t *testing.T, target, root string, opts []Option)
		want   error
	}{
		"nothing":     {nil, listed, nil},
		"rename-away": {func(c *Config) error { c.renameAway = true; return nil }, listed, nil},
		"mode": {nil, func(t *testing.T, target, root string, opts []Option) {
			must(t, os.Chmod(target, 0o700))
			listed(t, target, root, opts)
		}, nil},
		"a second update": {nil, func(t *testing.T, target, root string, opts []Option) {
			r.publish(t, append(bytes.Clone(new), "later"...), nil)
			defer r.publish(t, new, nil)
			_, err := ApplyContext(ctx, opts...)
			must(t, err)
			listed(t, target, root, opts)
		}, nil},
		"a package": {nil, func(t *testing.T, target, root string, _ []Option) { byPackage(t, root, target, old) }, ErrManaged},
		"a package of the same bytes": {nil, func(t *testing.T, target, root string, _ []Option) {
			byPackage(t, root, target, new)
		}, ErrManaged},
		"a package of another size and the same time": {nil, func(t *testing.T, target, root string, _ []Option) {
			info, err := os.Lstat(target)
			must(t, err)
			byPackage(t, root, target, append(bytes.Clone(new), 'x'))
			must(t, os.Chtimes(target, info.ModTime(), info.ModTime()))
		}, ErrManaged},
		"no state": {nil, func(t *testing.T, target, root string, opts []Option) {
			must(t, os.Remove(state(target)))
			listed(t, target, root, opts)
		}, ErrManaged},
		"unreadable state": {nil, func(t *testing.T, target, root string, opts []Option) {
			must(t, os.WriteFile(state(target), nil, 0o600))
			listed(t, target, root, opts)
		}, ErrManaged},
		"state that others may write": {nil, func(t *testing.T, target, root string, opts []Option) {
			must(t, os.Chmod(filepath.Dir(state(target)), 0o777))
			listed(t, target, root, opts)
		}, ErrManaged},
		"rolled back": {nil, func(t *testing.T, target, root string, opts []Option) {
			_, err := Rollback(ctx, opts...)
			must(t, err)
			listed(t, target, root, opts)
		}, ErrManaged},
	} {
		t.Run(name, func(t *testing.T) {
			target, root, opts := unowned(t, r, old)
			if c.more != nil {
				opts = append(opts, c.more)
			}
			_, err := ApplyContext(ctx, opts...)
			must(t, err)
			c.change(t, target, root, opts)
			if _, err := Check(ctx, opts...); !errors.Is(err, c.want) {
				t.Errorf("after the change: %v, want %v", err, c.want)
			}
			if _, found, err := Diagnose(ctx, opts...); err != nil || found[0].OK {
				t.Errorf("Diagnose, which always looks: %+v, %v", found, err)
			}
		})
	}
}

// TestUnclaimedIsCertain: only what was certain when the new file came is remembered of the packages.
func TestUnclaimedIsCertain(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	ctx := context.Background()
	apply := func(opts []Option) error { _, err := ApplyContext(ctx, opts...); return err }
	staged := func(t *testing.T, opts []Option, before, after func()) error {
		plan, err := Check(ctx, opts...)
		if err != nil {
			t.Fatal(err)
		}
		before()
		s, err := plan.Stage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		after()
		_, err = s.Apply(ctx)
		return err
	}
	nothing := func() {}
	for name, c := range map[string]struct {
		update func(t *testing.T, target, root string, opts []Option) error
		want   error // of Check, once the target is in a list
	}{
		"in steps": {func(t *testing.T, _, _ string, opts []Option) error { return staged(t, opts, nothing, nothing) }, nil},
		"package before it is staged": {func(t *testing.T, target, root string, opts []Option) error {
			return staged(t, opts, func() { byPackage(t, root, target, old) }, nothing)
		}, ErrManaged},
		"package of the same time": {func(t *testing.T, target, root string, opts []Option) error {
			return staged(t, opts, func() {
				info, err := os.Lstat(target)
				if err == nil {
					byPackage(t, root, target, old)
					err = os.Chtimes(target, info.ModTime(), info.ModTime())
				}
				if err != nil {
					t.Fatal(err)
				}
			}, nothing)
		}, ErrManaged},
		"package while it is staged": {func(t *testing.T, target, root string, opts []Option) error {
			return staged(t, opts, nothing, func() { byPackage(t, root, target, old) })
		}, ErrManaged},
		"package during the download": {func(t *testing.T, target, root string, opts []Option) error {
			r.handle = func(http.ResponseWriter, *http.Request) bool { byPackage(t, root, target, old); return false }
			defer func() { r.handle = nil }()
			return apply(opts)
		}, ErrManaged},
		"owned and allowed": {func(t *testing.T, target, root string, opts []Option) error {
			brought(t, root, target)
			return apply(append(opts, AllowManaged()))
		}, ErrManaged},
		"owned, by the old door": {func(t *testing.T, target, root string, opts []Option) error {
			brought(t, root, target)
			return Apply(opts...)
		}, ErrManaged},
		"a list that cannot be read": {func(t *testing.T, _, root string, opts []Option) error {
			list := root + "/var/lib/dpkg/info/tool.list"
			if err := os.MkdirAll(list, 0o755); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(list)
			return apply(opts)
		}, ErrManaged},
	} {
		t.Run(name, func(t *testing.T) {
			target, root, opts := unowned(t, r, old)
			if err := c.update(t, target, root, opts); err != nil {
				t.Fatal(err)
			}
			brought(t, root, target)
			if _, err := Check(ctx, opts...); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	t.Run("another path", func(t *testing.T) {
		target, root, opts := unowned(t, r, old, StateDir(t.TempDir()))
		if err := apply(opts); err != nil {
			t.Fatal(err)
		}
		brought(t, root, target)
		if _, err := Check(ctx, opts...); err != nil {
			t.Errorf("before it is moved: %v", err)
		}
		moved := target + "2"
		if err := os.Rename(target, moved); err != nil {
			t.Fatal(err)
		}
		brought(t, root, moved)
		if _, err := Check(ctx, append(opts, TargetFile(moved))...); !errors.Is(err, ErrManaged) {
			t.Errorf("moved: %v", err)
		}
	})
}

// TestPlantedHardLinks: another name of a file that someone treasures lies where ours belong.
func TestPlantedHardLinks(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	for _, name := range []string{
		".tool.updater-new", ".tool.updater-bak", "tool.backup",
		".tool.updater/lock", ".tool.updater/state.json", ".tool.updater/state.json.new", ".tool.updater/spool", ".tool.updater/spool.json",
	} {
		target := install(t, old)
		if filepath.Base(target) != "tool" {
			name = strings.Replace(name, "tool", filepath.Base(target), 1)
		}
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("precious"), 0o640); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(victim)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(filepath.Dir(target), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(victim, path); err != nil {
			t.Fatal(err)
		}
		if _, err := ApplyContext(context.Background(), r.options(target)...); err != nil || !bytes.Equal(read(t, target), new) {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.Stat(victim)
		if err != nil || after.Mode() != before.Mode() || string(read(t, victim)) != "precious" {
			t.Errorf("%s: the other file was changed: %v, %v", name, after.Mode(), err)
		}
	}
}

// TestStateInTheWay: a file or a link where the state folder belongs is not followed or removed.
func TestStateInTheWay(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	elsewhere := t.TempDir()
	plants := map[string]func(path string) error{
		"link":     func(path string) error { return os.Symlink(elsewhere, path) },
		"file":     func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"writable": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
	}
	if os.Geteuid() == 0 {
		plants["another user's"] = func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 4321, 4321)) }
	}
	if runtime.GOOS == "windows" {
		delete(plants, "writable") // a mode says nothing there
	}
	for name, plant := range plants {
		target := install(t, old)
		if err := plant(swap.StateDir(target)); err != nil {
			t.Fatal(err)
		}
		_, err := ApplyContext(context.Background(), r.options(target)...)
		if !errors.Is(err, ErrObstructed) && !errors.Is(err, ErrUnsafeFolder) || !bytes.Equal(read(t, target), old) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 || r.count() != 0 {
		t.Errorf("a link was followed: %v, %v; %d requests", left, err, r.count())
	}
}

// TestStagedFileExchanged: another file under the staged one's name is noticed, as other bytes in it are.
func TestStagedFileExchanged(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	plan, err := Check(context.Background(), r.options(target)...)
	if err != nil {
		t.Fatal(err)
	}
	staged, err := plan.Stage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	evil := filepath.Join(filepath.Dir(target), "evil")
	if err := os.WriteFile(evil, new, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(evil, tempOf(target)); err != nil {
		if runtime.GOOS == "windows" {
			return // an open file cannot be replaced there
		}
		t.Fatal(err)
	}
	if _, err := staged.Apply(context.Background()); !errors.Is(err, ErrTampered) || !bytes.Equal(read(t, target), old) {
		t.Errorf("%v, want ErrTampered", err)
	}
}

// TestStateOfTheFuture: what a later version left does not stop an earlier one.
func TestStateOfTheFuture(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	folder := swap.StateDir(target)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "state.json"), []byte(`{"format":7,"installed":{"version":"1.2.2","sha256":""}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	warned := false
	_, err := ApplyContext(context.Background(), r.options(target, OnEvent(func(e Event) { warned = warned || e.Step == StepWarning }))...)
	if err != nil || !warned || !bytes.Equal(read(t, target), new) {
		t.Errorf("%v, warned: %v", err, warned)
	}
	if status, err := Inspect(context.Background(), TargetFile(target)); err != nil || status.Version != "1.2.3" {
		t.Errorf("%+v, %v", status, err)
	}
}

// What lies where a custom Downloader will write is removed before, or stops the update, and what it writes is bounded.
func TestCustomDownloaderPlanted(t *testing.T) {
	old, new := buildPrograms(t)
	victim := filepath.Join(t.TempDir(), "victim")
	for name, c := range map[string]struct {
		plant func(path string) error
		max   int64
		want  error
	}{
		"link": {func(path string) error {
			return errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Symlink(victim, path))
		}, 1 << 30, nil},
		"folder":    {func(path string) error { return os.Mkdir(path, 0o700) }, 1 << 30, ErrObstructed},
		"too large": {func(string) error { return nil }, int64(len(new)) - 1, ErrRejected},
	} {
		target := install(t, old)
		if err := c.plant(target + ".new"); err != nil {
			t.Fatal(err)
		}
		err := Apply(TargetFile(target), SourceRepo("nowhere"), Version("1"), Logger(log.New(io.Discard, "", 0)), MaxSize(c.max),
			DownloadMethod(&customDownloader{data: new}))
		want := old
		if c.want == nil {
			want = new
		}
		if !errors.Is(err, c.want) || !bytes.Equal(read(t, target), want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if string(read(t, victim)) != "precious" {
		t.Error("a planted link was followed")
	}
}

// signedDownloader is a custom Downloader whose spec has a size and a signature.
type signedDownloader struct {
	customDownloader
	spec *Spec
}

func (d *signedDownloader) FetchSpec() (*Spec, error) { return d.spec, nil }

func TestCustomDownloaderWithKey(t *testing.T) {
	old, new := buildPrograms(t)
	public, private, _ := ed25519.GenerateKey(nil)
	signed := &Spec{Sha256Hash: sum(new), Size: int64(len(new))}
	signed.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(private, signed.SignedText("1", runtime.GOOS, runtime.GOARCH)))
	for name, c := range map[string]struct {
		d    Downloader
		want error
	}{
		"signed":   {&signedDownloader{customDownloader{data: new}, signed}, nil},
		"unsigned": {&customDownloader{data: new}, ErrSignature},
		"signed, other bytes": {&signedDownloader{customDownloader{data: bytes.Replace(new, []byte("new"), []byte("xxx"), 1)}, signed},
			ErrHash},
	} {
		target := install(t, old)
		err := Apply(TargetFile(target), SourceRepo("nowhere"), Version("1"), Logger(log.New(io.Discard, "", 0)),
			PublicKey(public), DownloadMethod(c.d))
		want := old
		if c.want == nil {
			want = new
		}
		if !errors.Is(err, c.want) || !bytes.Equal(read(t, target), want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// roundTripper counts the requests that a caller's client makes.
type roundTripper struct{ n int }

func (r *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	r.n++
	return http.DefaultTransport.RoundTrip(req)
}

func TestCallersClientAndHeaders(t *testing.T) {
	old, new := buildPrograms(t)
	r := newRepo(t)
	r.publish(t, new, nil)
	target := install(t, old)
	transport := &roundTripper{}
	opts := r.options(target, HTTPClient(&http.Client{Transport: transport}), HTTPHeader("X-Token", "secret"))
	if _, err := ApplyContext(context.Background(), opts...); err != nil || !bytes.Equal(read(t, target), new) {
		t.Fatal(err)
	}
	if transport.n != 2 || r.count() != 2 {
		t.Errorf("%d of %d requests went through the caller's client", transport.n, len(r.requests))
	}
	for _, req := range r.requests {
		if req.Header.Get("X-Token") != "secret" {
			t.Errorf("%s was asked for without the header", req.URL)
		}
	}
}
