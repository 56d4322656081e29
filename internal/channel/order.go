package channel

import (
	"slices"

	"github.com/choria-io/go-updater/internal/version"
)

// relation is where one version stands to another.
type relation int

const (
	unknown relation = iota // nobody can tell
	older
	same
	newer
)

// order tells where a stands to b: as semantic versions where both are, else as the channel lists them. What
// is neither is never guessed.
func (c *choice) order(a, b string) relation { return c.doc.order(a, b) }

func (d *Document) order(a, b string) relation {
	semantic := version.Ordered(a) && version.Ordered(b)
	switch {
	case a == b && a != "":
		return same
	case semantic && version.Older(a, b):
		return older
	case semantic && version.Older(b, a):
		return newer
	}
	i, j := d.position(a), d.position(b)
	switch {
	case i < 0 || j < 0:
		if semantic {
			return same // they differ in build metadata, or in zeros
		}
		return unknown
	case i < j:
		return older
	}
	return newer
}

func (d *Document) position(v string) int {
	return slices.IndexFunc(d.Releases, func(r Release) bool { return r.Version == v })
}

// Older tells whether a is certainly older than b in this channel.
func (d *Document) Older(a, b string) bool { return d.order(a, b) == older }

// newestFirst are the releases in the order in which they are tried.
func (c *choice) newestFirst() []*Release {
	var list []*Release
	for i := range c.doc.Releases {
		r := &c.doc.Releases[i]
		list = append(list, r)
		at := 0
		for at < i && c.order(r.Version, list[at].Version) != newer {
			at++
		}
		copy(list[at+1:], list[at:])
		list[at] = r
	}
	return list
}
