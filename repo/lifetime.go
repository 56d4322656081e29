package repo

import (
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Lifetimes says for how long the metadata of a role is good: root, targets (and the roles that it
// delegates to), snapshot, timestamp. It stands in root, so that all who publish use the same.
type Lifetimes map[string]time.Duration

const day = 24 * time.Hour

// DefaultLifetimes are used for roles of which nothing is said.
var defaultLifetimes = Lifetimes{
	metadata.ROOT:      2 * 365 * day,
	metadata.TARGETS:   365 * day,
	metadata.SNAPSHOT:  365 * day,
	metadata.TIMESTAMP: 30 * day,
}

const minLifetime = time.Minute

// Check refuses what [Repo.Sign] and [Repo.ChangeRoot] do: roles that are not there, and less than a minute.
func (l Lifetimes) Check() error {
	for role, d := range l {
		if _, known := defaultLifetimes[role]; !known {
			return fmt.Errorf("there is no role %q; the roles are %v", role, topRoles)
		}
		if d < minLifetime {
			return fmt.Errorf("a lifetime of %s for %s is too short", d, role)
		}
	}
	return nil
}

var topRoles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}

func isTop(role string) bool { return slices.Contains(topRoles, role) }

const lifetimesField = "lifetimes"

// setLifetimes writes those that differ from the defaults into root, in seconds.
func setLifetimes(root *rootMeta, l Lifetimes) {
	fields := map[string]any{}
	for role, d := range l {
		if d != defaultLifetimes[role] {
			fields[role] = int64(d / time.Second)
		}
	}
	delete(root.Signed.UnrecognizedFields, lifetimesField)
	if len(fields) > 0 {
		root.Signed.UnrecognizedFields[lifetimesField] = fields
	}
}

// lifetimesOf are those that root names, and the defaults.
func lifetimesOf(root *rootMeta) Lifetimes {
	l := Lifetimes{}
	for role, d := range defaultLifetimes {
		l[role] = d
	}
	fields, _ := root.Signed.UnrecognizedFields[lifetimesField].(map[string]any)
	for role, v := range fields {
		switch seconds := v.(type) {
		case float64: // as read from JSON
			l[role] = time.Duration(seconds) * time.Second
		case int64:
			l[role] = time.Duration(seconds) * time.Second
		}
	}
	return l
}

// expiry is when metadata of a role that is signed now expires. TUF knows whole seconds.
func (r *Repo) expiry(root *rootMeta, role string) time.Time {
	if !isTop(role) {
		role = metadata.TARGETS
	}
	return r.now().Add(lifetimesOf(root)[role]).Truncate(time.Second)
}
