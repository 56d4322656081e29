package stores

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	orasfile "oras.land/oras-go/v2/content/file"
	orasremote "oras.land/oras-go/v2/registry/remote"

	"github.com/choria-io/go-updater/repo"
	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/oci"
)

func TestOCIOthers(t *testing.T) { fakeOCI(t).others(t) }

// others: what another client sees of two releases, one with a delta.
func (s *service) others(t *testing.T) {
	where := s.fresh()(s.url)
	key, st := signer(t, t.TempDir()), openStore(t, where).(*oci.Store)
	initialize(t, st, key)
	program := make([]byte, 100_000)
	for i := range program {
		program[i] = byte(rand.Uint32())
	}
	for _, version := range []string{"1.0.0", "1.1.0+x"} {
		var all []repo.Addition
		for _, arch := range []string{"amd64", "arm-v7"} {
			a := addition(file(t, version+arch+string(program)), version)
			a.Arch, a.Deltas = arch, repo.Deltas{Last: 1}
			all = append(all, a)
		}
		_, err := publisher(st, key).AddAll(ctx, all)
		must(t, err)
	}
	repository := strings.TrimPrefix(st.String(), "oci://")
	check := func() {
		t.Helper()
		if is, want := s.platforms(t, repository, "1.1.0_2bx"), []string{"linux/amd64 tool.zst", "linux/amd64 tool.bz2", "linux/arm/v7 tool.zst", "linux/arm/v7 tool.bz2"}; !slices.Equal(is, want) {
			t.Errorf("the index has %q, want %q", is, want)
		}
	}
	check()
	s.pulled(t, st, repository)
	// An index that is gone, or somebody's mess, is made anew; nothing else depends on it.
	ref, err := name.ParseReference(repository + ":1.1.0_2bx")
	must(t, err)
	must(t, remote.Put(ref, raw(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"`+oci.ReleaseType+`","manifests":[]}`)))
	must(t, openStore(t, where).(*oci.Store).Reindex(ctx))
	check()
	_, err = publisher(st, key).Remove(ctx, "1.1.0+x", "linux", "amd64")
	must(t, err)
	if is, want := s.platforms(t, repository, "1.1.0_2bx"), []string{"linux/arm/v7 tool.zst", "linux/arm/v7 tool.bz2"}; !slices.Equal(is, want) {
		t.Errorf("after a platform was removed the index has %q, want %q", is, want)
	}
	// What somebody else has under the tag of a version is theirs.
	ref, err = name.ParseReference(repository + ":2.0.0")
	must(t, err)
	theirs := raw(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	must(t, remote.Put(ref, theirs))
	_, err = publisher(st, key).Add(ctx, addition(file(t, "2"), "2.0.0"))
	must(t, err)
	if is, err := remote.Get(ref); err != nil || string(is.Manifest) != string(theirs) {
		t.Errorf("somebody else's index was replaced: %v", err)
	}
}

// raw is an index as remote.Put takes it.
type raw string

func (r raw) RawManifest() ([]byte, error) { return []byte(r), nil }

func (r raw) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

func (s *service) platforms(t *testing.T, repository, tag string) (platforms []string) {
	t.Helper()
	ref, err := name.ParseReference(repository + ":" + tag)
	must(t, err)
	index, err := remote.Index(ref)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	for _, d := range manifest.Manifests {
		title := d.Annotations["vnd.choria.go-updater.name"]
		platforms = append(platforms, d.Platform.String()+" "+title[strings.LastIndex(title, "/")+1:])
	}
	return platforms
}

// pulled: who asks for a version and a platform gets the archive of the repository, and finds the delta that leads to it.
func (s *service) pulled(t *testing.T, st store.Store, repository string) {
	t.Helper()
	ref, err := name.ParseReference(repository + ":1.1.0_2bx")
	must(t, err)
	image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}))
	must(t, err)
	layers, err := image.Layers()
	must(t, err)
	compressed, err := layers[0].Compressed()
	must(t, err)
	got, err := io.ReadAll(compressed)
	must(t, err)
	f := store.Fetcher{Readers: []store.Reader{st}}
	want, err := f.ReadFile(ctx, "1.1.0+x/linux/arm-v7/tool.zst", 1<<20, nil)
	must(t, err)
	if string(got) != string(want) {
		t.Errorf("pulled %d bytes, the archive has %d", len(got), len(want))
	}
	folder := t.TempDir()
	pull(t, repository, "1.1.0_2bx", folder)
	if got, err := os.ReadFile(filepath.Join(folder, "1.1.0+x", "linux", "arm-v7", "tool.zst")); err != nil || string(got) != string(want) {
		t.Errorf("oras pulled %d bytes, %v", len(got), err)
	}
	digest, err := image.Digest()
	must(t, err)
	referrers, err := remote.Referrers(ref.Context().Digest(digest.String()))
	must(t, err)
	list, err := referrers.IndexManifest()
	must(t, err)
	if len(list.Manifests) != 1 {
		t.Fatalf("the archive has %d referrers", len(list.Manifests))
	}
	delta, err := remote.Get(ref.Context().Digest(list.Manifests[0].Digest.String()))
	must(t, err)
	var manifest v1.Manifest
	must(t, json.Unmarshal(delta.Manifest, &manifest))
	if title := manifest.Annotations["org.opencontainers.image.title"]; !strings.HasPrefix(title, "1.1.0+x/linux/arm-v7/tool.") || !strings.HasSuffix(title, ".delta") {
		t.Errorf("the referrer is %q", title)
	}
}

// pull does what `oras pull --platform` does.
func pull(t *testing.T, repository, tag, folder string) {
	t.Helper()
	from, err := orasremote.NewRepository(repository)
	must(t, err)
	from.PlainHTTP = true
	to, err := orasfile.New(folder)
	must(t, err)
	defer to.Close()
	o := oras.CopyOptions{}
	o.WithTargetPlatform(&ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"})
	_, err = oras.Copy(ctx, from, tag, to, tag, o)
	must(t, err)
}

// tokenService is what a registry's tokens come from.
type tokenService struct {
	password atomic.Value // of every user, and the identity token too
	epoch    atomic.Int32 // tokens of another one have expired
	issued   atomic.Int32
}

// tokens is a registry whose tokens a service gives to those whom it knows: readers get some that let them read.
func tokens(t *testing.T) (*service, *tokenService) {
	inner, service := fakeOCI(t), &tokenService{}
	service.password.Store("secret")
	pass := newProxy(t, inner.url)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, named := r.BasicAuth()
		if !named && r.Method == http.MethodPost && r.URL.Path == "/token" {
			user, password = "publisher", r.FormValue("refresh_token")
		}
		token, epoch, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ":")
		if epoch != fmt.Sprint(service.epoch.Load()) {
			token = ""
		}
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case r.URL.Path == "/token" && password != service.password.Load():
			http.Error(w, `{"errors": [{"code": "UNAUTHORIZED", "message": "no such user"}]}`, http.StatusUnauthorized)
		case r.URL.Path == "/token":
			service.issued.Add(1)
			fmt.Fprintf(w, `{"token": "%[1]s's:%[2]d", "access_token": "%[1]s's:%[2]d"}`, user, service.epoch.Load())
		case token == "publisher's" || token == "reader's" && reads:
			inner, _ := http.NewRequestWithContext(r.Context(), r.Method, pass.url+r.URL.String(), r.Body)
			inner.Header, inner.ContentLength = r.Header, r.ContentLength
			resp, err := http.DefaultTransport.RoundTrip(inner)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			defer resp.Body.Close()
			for key, values := range resp.Header {
				w.Header()[key] = values
			}
			w.WriteHeader(resp.StatusCode)
			io.Copy(w, resp.Body)
		default:
			why := ""
			if token != "" {
				why = `,error="insufficient_scope"`
			}
			w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registry",scope="repository:x:pull"%s`, server.URL, why))
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"errors": [{"code": "UNAUTHORIZED", "message": "access to the requested resource is not authorized"}]}`)
		}
	}))
	t.Cleanup(server.Close)
	inner.url = server.URL
	return inner, service
}

func TestOCICredentials(t *testing.T) {
	s, _ := tokens(t)
	where := s.fresh()(s.url)
	refuses(t, s, "there are no credentials for 127.0.0.1")
	login(t, s, "publisher", "wrong")
	refuses(t, s, "docker login 127.0.0.1")
	login(t, s, "publisher", "secret")
	must(t, openStore(t, where).Put(ctx, "f", strings.NewReader("x")))
	login(t, s, "reader", "secret")
	st := openStore(t, where)
	object, err := st.Open(ctx, "f", store.Request{})
	must(t, err)
	object.Body.Close()
	for action, err := range map[string]error{"a write": st.Put(ctx, "g", strings.NewReader("x")), "a removal": st.Delete(ctx, "f"),
		"a conditional write": store.PutIf(ctx, st, "g", strings.NewReader("x"), "")} {
		if err == nil || !strings.Contains(err.Error(), "publishers also to push") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s by a reader: %v", action, err)
		}
	}
}

// A token that has expired is replaced without a word. A password or an identity token that has expired is said to have.
func TestOCIExpiry(t *testing.T) {
	for kind, log := range map[string]func(*testing.T, *service, string){
		"a password":        func(t *testing.T, s *service, secret string) { login(t, s, "publisher", secret) },
		"an identity token": identify,
	} {
		t.Run(kind, func(t *testing.T) {
			s, tokens := tokens(t)
			log(t, s, "secret")
			st := openStore(t, s.fresh()(s.url))
			must(t, st.Put(ctx, "f", strings.NewReader("x")))
			issued := tokens.issued.Load()
			tokens.epoch.Add(1)
			must(t, st.Put(ctx, "f", strings.NewReader("y")))
			object, err := st.Open(ctx, "f", store.Request{})
			must(t, err)
			got, err := io.ReadAll(object.Body)
			must(t, err)
			object.Body.Close()
			if string(got) != "y" || tokens.issued.Load() == issued {
				t.Errorf("%q, after %d tokens", got, tokens.issued.Load())
			}
			tokens.password.Store("another")
			tokens.epoch.Add(1)
			_, oerr := st.Open(ctx, "f", store.Request{})
			_, lerr := st.List(ctx, "")
			for action, err := range map[string]error{"a read": oerr, "a list": lerr, "a write": st.Put(ctx, "f", strings.NewReader("z"))} {
				if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "expired: run `docker login 127.0.0.1") || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v", action, err)
				}
			}
			log(t, s, "another")
			must(t, openStore(t, s.fresh()(s.url)).Put(ctx, "f", strings.NewReader("z")))
		})
	}
}

// identify is a docker login that left an identity token.
func identify(t *testing.T, s *service, secret string) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("DOCKER_CONFIG", folder)
	must(t, os.WriteFile(filepath.Join(folder, "config.json"), fmt.Appendf(nil, `{"auths": {%q: {"auth": %q, "identitytoken": %q}}}`,
		strings.TrimPrefix(s.url, "http://"), base64.StdEncoding.EncodeToString([]byte("<token>:")), secret), 0o600))
}

// Registries send readers elsewhere for blobs. Credentials stay, and a download goes on there where it was cut.
func TestOCIElsewhere(t *testing.T) {
	s, _ := tokens(t)
	bytes := strings.Repeat("0123456789", 10_000)
	var asked []*http.Request
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		w.Header().Set("ETag", `"of its own"`)
		http.ServeContent(w, r, "", time.Now().Add(-time.Hour), strings.NewReader(bytes))
	}))
	t.Cleanup(elsewhere.Close)
	pass := newProxy(t, s.url)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, elsewhere.URL+"/x?signature=secret", http.StatusTemporaryRedirect)
			return
		}
		to, err := url.Parse(pass.url)
		must(t, err)
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.url = front.URL
	login(t, s, "publisher", "secret")
	st := openStore(t, s.fresh()(s.url))
	must(t, st.Put(ctx, "f", strings.NewReader(bytes)))
	object, err := st.Open(ctx, "f", store.Request{})
	must(t, err)
	object.Body.Close()
	rest, err := st.Open(ctx, "f", store.Request{Offset: 5, Version: object.Version})
	must(t, err)
	defer rest.Body.Close()
	got, err := io.ReadAll(rest.Body)
	if err != nil || rest.Offset != 5 || string(got) != bytes[5:] {
		t.Errorf("the rest is %d bytes from %d, %v", len(got), rest.Offset, err)
	}
	for _, r := range asked {
		if r.Header.Get("Authorization") != "" {
			t.Error("the other server was sent the registry's token")
		}
	}
	if len(asked) != 2 {
		t.Errorf("it was asked %d times", len(asked))
	}
}
