package repo

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Verify makes sure that what the proposal says about the repository as it is was signed by its keys, so that
// the summary hides nothing. pin is a root that is trusted, of whatever version; nil believes
// the proposal about its first root.
//
// Errors: ErrUntrusted, and that of a pin that is no root.
func (p *Proposal) Verify(pin []byte) error {
	if len(p.WasRoots) == 0 {
		return nil
	}
	for i, root := range p.WasRoots {
		by := p.WasRoots[max(i-1, 0)]
		if i > 0 && root.Signed.Version != by.Signed.Version+1 {
			return fmt.Errorf("%w: root %d comes after root %d", ErrUntrusted, root.Signed.Version, by.Signed.Version)
		}
		for _, by := range []*rootMeta{by, root} {
			if err := by.VerifyDelegate(metadata.ROOT, root); err != nil {
				return fmt.Errorf("%w: root %d: %w", ErrUntrusted, root.Signed.Version, err)
			}
		}
	}
	if pin != nil {
		if err := p.checkPin(pin); err != nil {
			return err
		}
	}
	s := &signed{roots: p.WasRoots}
	if p.WasRoles[metadata.TARGETS] == nil {
		return fmt.Errorf("%w: targets is missing", ErrUntrusted)
	}
	parents := parentsIn(p.WasRoles)
	for name := range p.Roles {
		if p.WasRoles[name] == nil && parents.of(name) != nil {
			return fmt.Errorf("%w: what %s was is missing", ErrUntrusted, name)
		}
	}
	if p.WasSnapshot == nil || p.WasSnapshot.Signed.Version != p.Version {
		return fmt.Errorf("%w: snapshot %d is missing", ErrUntrusted, p.Version)
	}
	if err := s.verifyTop(metadata.SNAPSHOT, p.WasSnapshot, p.Lost); err != nil {
		return err
	}
	for name, m := range p.WasRoles {
		if is := p.WasSnapshot.Signed.Meta[name+".json"]; is == nil || is.Version != m.Signed.Version {
			return fmt.Errorf("%w: the snapshot does not name version %d of %s", ErrUntrusted, m.Signed.Version, name)
		}
		if name == metadata.TARGETS {
			if err := s.verifyTop(name, m, p.Lost); err != nil {
				return err
			}
			continue
		}
		if parent := parents.of(name); parent == nil || parent.VerifyDelegate(name, m) != nil {
			return fmt.Errorf("%w: %s", ErrUntrusted, name)
		}
	}
	return nil
}

func (p *Proposal) checkPin(pin []byte) error {
	root, err := parseRoot(pin)
	if err != nil {
		return err
	}
	if hasRoot(p.WasRoots, root) {
		return nil
	}
	return fmt.Errorf("%w: the change is not for the repository of the trust root that is pinned", ErrUntrusted)
}

// delegates tells whether m delegates to a role.
func delegates(m *targetsMeta, name string) bool {
	d := m.Signed.Delegations
	return d != nil && (slices.ContainsFunc(d.Roles, func(r metadata.DelegatedRole) bool { return r.Name == name }) ||
		d.SuccinctRoles != nil && d.SuccinctRoles.IsDelegatedRole(name))
}

// parents are those who delegate, by the names of roles and by what the names of bins begin with.
type parents map[string]*targetsMeta

// parentsIn begins at targets: what others say about themselves leads nowhere.
func parentsIn(roles map[string]*targetsMeta) parents {
	p := parents{}
	targets := roles[metadata.TARGETS]
	if targets == nil || targets.Signed.Delegations == nil {
		return p
	}
	for _, d := range targets.Signed.Delegations.Roles {
		p[d.Name] = targets
		if m := roles[d.Name]; m != nil && binsOf(m) != nil {
			p[binsOf(m).NamePrefix+"-"] = m
		}
	}
	return p
}

// of finds who delegates to a role, nil if nobody does.
func (p parents) of(name string) *targetsMeta {
	for _, m := range []*targetsMeta{p[name], p[name[:strings.LastIndexByte(name, '-')+1]]} {
		if m != nil && delegates(m, name) {
			return m
		}
	}
	return nil
}

// Summary says in lines of text what is signed.
func (p *Proposal) Summary() []string {
	var lines []string
	if p.Root != nil {
		var was *rootMeta
		if len(p.WasRoots) > 0 {
			was = p.WasRoots[len(p.WasRoots)-1]
		}
		lines = append(lines, summarizeRoot(was, p.Root)...)
	}
	after := p.after()
	old, now := filesIn(p.WasRoles, nil), filesIn(after, p.Roles)
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if old[path] != now[path] {
			sign := "+"
			if old[path] != "" {
				sign = "~"
			}
			lines = append(lines, fmt.Sprintf("%s %s %s", sign, path, now[path]))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(old)) {
		if now[path] == "" {
			lines = append(lines, "- "+path)
		}
	}
	before, is := p.delegations()
	for _, line := range is {
		if !slices.Contains(before, line) {
			lines = append(lines, "+ "+line)
		}
	}
	for _, line := range before {
		if !slices.Contains(is, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Roles)) {
		m := p.Roles[name]
		lines = append(lines, fmt.Sprintf("%s version %d, %d files, until %s", name, m.Signed.Version, len(m.Signed.Targets), date(m.Signed.Expires)))
	}
	lines = append(lines, p.otherRoles()...)
	if p.Snapshot != nil {
		lines = append(lines, fmt.Sprintf("snapshot version %d, until %s", p.Snapshot.Signed.Version, date(p.Snapshot.Signed.Expires)))
	}
	return lines
}

// otherRoles tells of roles that the snapshot names in other versions than those that are there and those that are to be signed: an older one, or none,
// takes releases back.
func (p *Proposal) otherRoles() (lines []string) {
	if p.Snapshot == nil {
		return nil
	}
	want := map[string]int64{}
	if p.WasSnapshot != nil {
		for file, m := range p.WasSnapshot.Signed.Meta {
			want[file] = m.Version
		}
	}
	for name, m := range p.Roles {
		want[name+".json"] = m.Signed.Version
	}
	is := p.Snapshot.Signed.Meta
	for _, file := range slices.Sorted(maps.Keys(want)) {
		if is[file] == nil {
			lines = append(lines, "- "+shown([]byte(file)))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(is)) {
		if want[file] != is[file].Version {
			lines = append(lines, fmt.Sprintf("~ %s is version %d, expected %d", shown([]byte(file)), is[file].Version, want[file]))
		}
	}
	return lines
}

// after are all roles as they will be.
func (p *Proposal) after() map[string]*targetsMeta {
	roles := maps.Clone(p.WasRoles)
	if roles == nil {
		roles = map[string]*targetsMeta{}
	}
	maps.Copy(roles, p.Roles)
	return roles
}

// delegations tell who signs for whom, as it was and as it will be: all that is signed hangs on it.
func (p *Proposal) delegations() (was, is []string) {
	root := p.Root
	if n := len(p.WasRoots); n > 0 {
		was = delegationsIn(p.WasRoles, p.WasRoots[n-1])
		root = cmp.Or(root, p.WasRoots[n-1])
	}
	return was, delegationsIn(p.after(), root)
}

func delegationsIn(roles map[string]*targetsMeta, root *rootMeta) (lines []string) {
	usual := root.Signed.Roles[metadata.TARGETS]
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		d := roles[name].Signed.Delegations
		if d == nil {
			continue
		}
		tell := func(what string, ids []string, threshold int) {
			by := "the keys of targets"
			if threshold != usual.Threshold || !slices.Equal(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(usual.KeyIDs))) {
				by = fmt.Sprintf("%d of the keys %s", threshold, strings.Join(ids, ", "))
			}
			lines = append(lines, shown([]byte(fmt.Sprintf("%s delegates to %s, signed by %s", name, what, by))))
		}
		for _, r := range d.Roles {
			what := r.Name + " " + strings.Join(slices.Concat(r.Paths, r.PathHashPrefixes), " ")
			if !r.Terminating {
				what += " and goes on"
			}
			tell(what, r.KeyIDs, r.Threshold)
		}
		if s := d.SuccinctRoles; s != nil {
			tell(fmt.Sprintf("%d bins %s-", 1<<s.BitLength, s.NamePrefix), s.KeyIDs, s.Threshold)
		}
	}
	return lines
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// filesIn are the files of all roles that targets leads to, and of those that are to be signed, with what is signed about them.
func filesIn(roles, fresh map[string]*targetsMeta) map[string]string {
	files := map[string]string{}
	parents := parentsIn(roles)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if name != metadata.TARGETS && fresh[name] == nil && parents.of(name) == nil {
			continue // an old bin
		}
		for path, f := range roles[name].Signed.Targets {
			text := fmt.Sprintf("%d bytes, sha256 %s", f.Length, hex.EncodeToString(f.Hashes["sha256"]))
			if f.Custom != nil {
				text += " " + shown(*f.Custom)
			}
			if before := files[path]; before != "" && before != text {
				text = before + ", and by " + name + " " + text // of which each client takes one
			}
			files[path] = text
		}
	}
	return files
}

// shown is JSON without what a terminal would not show as it is.
func shown(text []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, string(text))
}

func summarizeRoot(was, is *rootMeta) []string {
	lines := []string{fmt.Sprintf("root version %d of product %q, until %s", is.Signed.Version, product(is), date(is.Signed.Expires))}
	if was != nil && product(was) != product(is) {
		lines = append(lines, fmt.Sprintf("  the product was %q", product(was)))
	}
	for _, role := range topRoles {
		now := is.Signed.Roles[role]
		lines = append(lines, fmt.Sprintf("  %s: %d of %d keys sign, for %s", role, now.Threshold, len(now.KeyIDs), lifetimesOf(is)[role]))
		var before []string
		if was != nil {
			before = was.Signed.Roles[role].KeyIDs
			if t := was.Signed.Roles[role].Threshold; t != now.Threshold {
				lines = append(lines, fmt.Sprintf("    threshold %d, was %d", now.Threshold, t))
			}
		}
		for _, id := range now.KeyIDs {
			if !slices.Contains(before, id) {
				lines = append(lines, "    + key "+id)
			}
		}
		for _, id := range before {
			if !slices.Contains(now.KeyIDs, id) {
				lines = append(lines, "    - key "+id)
			}
		}
	}
	return slices.DeleteFunc(lines, func(s string) bool { return strings.TrimSpace(s) == "" })
}
