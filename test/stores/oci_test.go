package stores

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/oci"
)

// Publishers change turns in less time here than they should anywhere else.
const (
	settle = 200 * time.Millisecond
	lease  = 600 * time.Millisecond
)

// ociServer is a registry; before is called with each request.
func ociServer(t *testing.T, before func(*http.Request)) string {
	t.Helper()
	handler := ociHandler(t)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		before(r)
		handler.ServeHTTP(w, r)
	})
}

func ociHandler(t *testing.T) http.Handler {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	return registry.New(registry.Logger(quiet), registry.WithReferrersSupport(true))
}

func serve(t *testing.T, handle http.HandlerFunc) string {
	server := httptest.NewServer(handle)
	server.Config.ErrorLog = quiet
	t.Cleanup(server.Close)
	return server.URL
}

func fakeOCI(t *testing.T) *service {
	url := ociServer(t, func(*http.Request) {})
	return &service{name: "oci", url: url, location: ociLocation, many: 2_100, kills: 8, races: 5, bare: true}
}

func ociLocation(endpoint string, n int64) string {
	return fmt.Sprintf("oci://%s/updates/repo%d?settle=%s&lease=%s", strings.TrimPrefix(endpoint, "http://"), n, settle, lease)
}

func TestOCI(t *testing.T) {
	s := fakeOCI(t)
	s.conform(t)
	s.endToEnd(t)
}

// login leaves credentials where the docker command leaves them.
func login(t *testing.T, s *service, user, password string) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("DOCKER_CONFIG", folder)
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	must(t, os.WriteFile(filepath.Join(folder, "config.json"), fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, strings.TrimPrefix(s.url, "http://"), auth), 0o600))
}

func openOCI(t *testing.T, url string) *oci.Store {
	t.Helper()
	return openStore(t, ociLocation(url, 0)).(*oci.Store)
}

func version(t *testing.T, s store.Store, name string) string {
	t.Helper()
	object, err := s.Open(ctx, name, store.Request{})
	must(t, err)
	object.Body.Close()
	return object.Version
}

// took is how long a conditional write of a new file takes.
func took(t *testing.T, s *oci.Store, name string) time.Duration {
	t.Helper()
	begun := time.Now()
	must(t, s.PutIf(ctx, name, strings.NewReader("x"), ""))
	return time.Since(begun)
}

// Who has the floor writes at once; who has not waits for it, until it is given back or its holder is silent. There is one claim, however many there were.
func TestOCITurns(t *testing.T) {
	tags := map[string]bool{}
	var mu sync.Mutex
	url := ociServer(t, func(r *http.Request) {
		if _, tag, ok := strings.Cut(r.URL.Path, "/manifests/"); ok && r.Method == http.MethodPut {
			mu.Lock()
			defer mu.Unlock()
			tags[tag] = true
		}
	})
	a, b, c := openOCI(t, url), openOCI(t, url), openOCI(t, url)
	if first, second := took(t, a, "a1"), took(t, a, "a2"); first < settle || second > settle {
		t.Errorf("the first write took %s, the next %s, and a claim stands after %s", first, second, settle)
	}
	hurried, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	if err := b.PutIf(hurried, "b0", strings.NewReader("x"), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who does not want to wait was told %v", err)
	}
	must(t, a.PutIf(ctx, "a2", strings.NewReader("y"), version(t, a, "a2")))
	if waited := took(t, b, "b1"); waited < lease {
		t.Errorf("who waits for one who is silent wrote after %s, the lease is %s", waited, lease)
	}
	if waited := took(t, a, "a3"); waited < lease {
		t.Errorf("who lost the floor wrote after %s", waited)
	}
	a.Yield(ctx)
	if waited := took(t, c, "c1"); waited > lease {
		t.Errorf("what was given back was waited for %s", waited)
	}
	c.Yield(ctx)
	if waited := took(t, c, "c2"); waited > settle {
		t.Errorf("who takes back what nobody wanted waited %s", waited)
	}
	for tag := range tags {
		if !strings.HasPrefix(tag, "_") || len(tags) != 7 {
			t.Errorf("six files and a claim are %v", tags)
			break
		}
	}
}

// The one thing that no claim prevents is a write that arrives when another publisher has taken over. Who made it is told.
func TestOCILate(t *testing.T) {
	var mu sync.Mutex
	var hold chan struct{}
	held := make(chan struct{})
	url := ociServer(t, func(r *http.Request) {
		mu.Lock()
		wait := hold
		if wait != nil && r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/_f") {
			hold = nil
			mu.Unlock()
			close(held)
			<-wait
			return
		}
		mu.Unlock()
	})
	a, b := openOCI(t, url), openOCI(t, url)
	must(t, a.PutIf(ctx, "f", strings.NewReader("zero"), ""))
	first := version(t, a, "f")
	arrive := make(chan struct{})
	mu.Lock()
	hold = arrive
	mu.Unlock()
	said := make(chan error)
	go func() { said <- a.PutIf(ctx, "f", strings.NewReader("one"), first) }()
	<-held
	must(t, b.PutIf(ctx, "f", strings.NewReader("two"), first))
	close(arrive)
	if err := <-said; !errors.Is(err, oci.ErrLate) {
		t.Errorf("who wrote late was told %v", err)
	}
	// Without another publisher, a write may take as long as it likes.
	b.Yield(ctx)
	slow := make(chan struct{})
	held = make(chan struct{})
	second := version(t, a, "f")
	mu.Lock()
	hold = slow
	mu.Unlock()
	go func() { said <- a.PutIf(ctx, "f", strings.NewReader("three"), second) }()
	<-held
	time.Sleep(2 * settle)
	close(slow)
	must(t, <-said)
}

// The same where who wrote does not even get an answer, and finds what it wrote when it asks again.
func TestOCILateUnanswered(t *testing.T) {
	registry := ociHandler(t)
	var mu sync.Mutex
	var arrive func()
	written, goOn := make(chan struct{}), make(chan struct{})
	a := openOCI(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		stuck := arrive != nil
		if !stuck && r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/_f") {
			body, err := io.ReadAll(r.Body)
			must(t, err)
			late := r.Clone(context.Background())
			late.Body = io.NopCloser(bytes.NewReader(body))
			arrive = func() { registry.ServeHTTP(httptest.NewRecorder(), late) }
			mu.Unlock()
			close(written)
			panic(http.ErrAbortHandler)
		}
		mu.Unlock()
		if stuck {
			<-goOn
		}
		registry.ServeHTTP(w, r)
	}))
	b := openOCI(t, serve(t, registry.ServeHTTP))
	said := make(chan error)
	go func() { said <- a.PutIf(ctx, "f", strings.NewReader("one"), "") }()
	<-written
	must(t, b.PutIf(ctx, "f", strings.NewReader("two"), ""))
	arrive()
	close(goOn)
	if err := <-said; !errors.Is(err, oci.ErrLate) {
		t.Errorf("who wrote late was told %v", err)
	}
}

// Somebody who never stops writing does not keep others waiting for ever.
func TestOCIPatience(t *testing.T) {
	where := strings.Replace(strings.Replace(ociLocation(ociServer(t, func(*http.Request) {}), 0), settle.String(), "50ms", 1), lease.String(), "300ms", 1)
	a, b := openStore(t, where).(*oci.Store), openStore(t, where).(*oci.Store)
	must(t, a.PutIf(ctx, "f", strings.NewReader("x"), ""))
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				ended <- nil
				return
			case <-time.After(10 * time.Millisecond):
				if err := a.PutIf(ctx, fmt.Sprint("f", n), strings.NewReader("x"), ""); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	err := b.PutIf(ctx, "g", strings.NewReader("x"), "")
	close(done)
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "another publisher") {
		t.Errorf("who waited was told %v", err)
	}
	must(t, <-ended)
}
