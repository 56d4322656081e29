package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// access makes requests with the credentials that the docker command uses. Other hosts, which registries send readers to for blobs, are
// asked without.
type access struct {
	registry, name string
	shown          string // the registry, as the location has it
	plain          http.RoundTripper
	client         *auth.Client
	config         string      // the file that credentials are looked for in
	anonymous      bool        // on request
	found          atomic.Bool // there are credentials
}

func newAccess(registry, shown, name string, o Options) (*access, error) {
	a := &access{registry: registry, shown: shown, name: name, anonymous: o.Anonymous, plain: rest.NewTransport(), config: "the docker configuration"}
	a.client = &auth.Client{
		Client: &http.Client{Transport: a.plain, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Cache:  auth.NewCache(), ClientID: "go-updater", Header: http.Header{"User-Agent": {"go-updater"}},
	}
	switch {
	case o.Username != "" || o.Password != "":
		a.config = "the program"
		a.client.Credential = a.noting(auth.StaticCredential(registry, auth.Credential{Username: o.Username, Password: o.Password}))
	case !o.Anonymous:
		found, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("reading the docker configuration (~/.docker/config.json or DOCKER_CONFIG): %w", err)
		}
		a.config = found.ConfigPath()
		a.client.Credential = a.noting(credentials.Credential(found))
	}
	return a, nil
}

func (a *access) noting(find auth.CredentialFunc) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		c, err := find(ctx, host)
		if err != nil {
			return c, fmt.Errorf("asking for the credentials of %s (%s): %w", host, a.config, err)
		}
		a.found.Store(c != auth.EmptyCredential)
		return c, nil
	}
}

// RoundTrip makes a request, and another one for a token where the registry wants one.
func (a *access) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.send(r)
	if resp != nil { // what is named by its digest needs no validators, and those of other hosts are others
		resp.Header.Del("ETag")
		resp.Header.Del("Last-Modified")
	}
	return resp, err
}

func (a *access) send(r *http.Request) (*http.Response, error) {
	if r.URL.Host != a.registry {
		return a.plain.RoundTrip(r)
	}
	actions := []string{auth.ActionPull}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		actions = append(actions, auth.ActionPush)
	}
	if r.Method == http.MethodDelete {
		actions = append(actions, auth.ActionDelete)
	}
	ctx := auth.WithScopesForHost(r.Context(), a.registry, auth.ScopeRepository(a.name, actions...))
	resp, err := a.client.Do(r.WithContext(ctx))
	if err != nil && ctx.Err() == nil {
		return nil, a.refused(err)
	}
	return resp, err
}

// refused says what is wrong where a token was not to be had.
func (a *access) refused(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err // the URL may hold secrets
	}
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return &denied{a.advice(), err}
	case !errors.As(err, &answer):
		return err
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return &denied{a.advice(), err}
	}
	return fmt.Errorf("asking for a token: %w", &store.StatusError{Code: answer.StatusCode, URL: answer.URL.Scheme + "://" + answer.URL.Host + answer.URL.Path})
}

// denied is a refusal that came with no answer of the registry's own.
type denied struct {
	advice string
	err    error
}

func (d *denied) Error() string { return d.advice }

func (d *denied) Unwrap() error { return d.err }

// advice is what to do about a 401.
func (a *access) advice() string {
	switch {
	case a.anonymous:
		return fmt.Sprintf("%s/%s is not public, or there is no such repository, and no credentials were sent", a.shown, a.name)
	case a.found.Load():
		return fmt.Sprintf("%s does not accept the credentials that %s has for it, they are wrong or have expired: run `docker login %s`", a.shown, a.config, a.shown)
	}
	return fmt.Sprintf("there are no credentials for %s in %s, and %s is not public, or there is no such repository: run `docker login %s`",
		a.shown, a.config, a.name, a.shown)
}

// explain says what is wrong and what to do about it; nil where the status is all that there is to say.
func (a *access) explain(status *store.StatusError, h http.Header, body []byte) error {
	code, message := parseError(body)
	switch status.Code {
	case http.StatusNotFound:
		if code == "NAME_UNKNOWN" {
			return fmt.Errorf("there is no repository %s in %s, the first write makes it where the registry lets it: %w", a.name, a.shown, status)
		}
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		// Registries answer 401 also where the credentials are good, but not for this.
		if !a.found.Load() || status.Code == http.StatusUnauthorized && !strings.Contains(h.Get("Www-Authenticate"), "insufficient_scope") {
			return fmt.Errorf("%s: %w", a.advice(), status)
		}
		return fmt.Errorf("the credentials that %s has for %s do not allow it, readers need to pull, publishers also to push and to delete (%s): %w",
			a.config, a.shown, message, status)
	case http.StatusMethodNotAllowed, http.StatusBadRequest:
		if status.Code == http.StatusBadRequest && code != "UNSUPPORTED" {
			break
		}
		return fmt.Errorf("%w (%s): %w", errUnsupported, message, status)
	}
	if code != "" {
		return fmt.Errorf("%s (%s): %w", code, message, status)
	}
	return nil
}

var errUnsupported = errors.New("the registry does not do that")

// parseError reads the first error of an answer (distribution specification, "Error codes").
func parseError(body []byte) (code, message string) {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &e) != nil || len(e.Errors) == 0 {
		return "", ""
	}
	message = strings.Join(strings.Fields(e.Errors[0].Message), " ")
	return e.Errors[0].Code, message[:min(len(message), 200)]
}
