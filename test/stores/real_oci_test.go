//go:build real

package stores

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// distribution is the registry that most others are made of. Its files are in a folder.
func distribution(t *testing.T, settings string) *service {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	port, config := freePort(t), filepath.Join(t.TempDir(), "config.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
version: 0.1
log: {level: error, accesslog: {disabled: true}}
http: {addr: "127.0.0.1:%s", secret: not one}
storage:
  filesystem: {rootdirectory: %s}
%s`, port, t.TempDir(), settings), 0o600))
	start(t, port, []string{"OTEL_TRACES_EXPORTER=none"}, binary(t, "registry"), "serve", config)
	return &service{name: "oci", url: "http://127.0.0.1:" + port, location: ociLocation, many: 10_100, kills: 100, races: 50, bare: true, wait: lease + 2*settle}
}

const deletes = "  delete: {enabled: true}\n"

// patientRegistry has the times that people have.
func patientRegistry(t *testing.T) *service {
	s := distribution(t, deletes)
	s.location = func(endpoint string, n int64) string {
		return fmt.Sprintf("oci://%s/updates/repo%d", strings.TrimPrefix(endpoint, "http://"), n)
	}
	return s
}

func TestRealOCI(t *testing.T) {
	s := distribution(t, deletes)
	real(t, s)
	t.Run("others", s.others)
}

func TestRealOCIKilled(t *testing.T) { distribution(t, deletes).killedChildren(t) }

// As it is when nobody has configured it, a registry keeps what it has. It serves all the same.
func TestRealOCIKeeps(t *testing.T) {
	s := distribution(t, "")
	s.many, s.races, s.kills = 200, 10, 10
	s.conform(t)
	s.endToEnd(t)
}

func TestRealOCICredentials(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	must(t, err)
	must(t, os.WriteFile(users, fmt.Appendf(nil, "publisher:%s\n", hash), 0o600))
	s := distribution(t, deletes+fmt.Sprintf("auth: {htpasswd: {realm: updates, path: %s}}\n", users))
	refuses(t, s, "there are no credentials for 127.0.0.1")
	login(t, s, "publisher", "wrong")
	refuses(t, s, "docker login 127.0.0.1")
	login(t, s, "publisher", "secret")
	must(t, openStore(t, s.fresh()(s.url)).Put(ctx, "f", strings.NewReader("x")))
}
