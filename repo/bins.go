package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Roles that delegate to bins do so by TAP 15: the bin of a file is given by the first bits of its path's sha256.
// With more bins the snapshot grows, with fewer the bins do; a client reads all of the snapshot
// and one bin.
const (
	directFiles = 100      // that a platform's role lists itself
	binLimit    = 32 << 10 // bytes of a bin's JSON, about 160 files
)

// nextBits are the steps in which the number of bins grows. Old bins stay in
// snapshot for ever, hence few and large steps at first.
func nextBits(bits int) int {
	switch bits {
	case 0:
		return 3
	case 3:
		return 5
	}
	return bits + 1
}

// setBinned changes files of a platform that has bins.
func (c *change) setBinned(ctx context.Context, name string, role *targetsMeta, files map[string]*metadata.TargetFiles) error {
	bins := map[string]map[string]*metadata.TargetFiles{}
	for path, f := range files {
		bin := role.Signed.Delegations.SuccinctRoles.GetRolesForTarget(path)[0].Name
		if bins[bin] == nil {
			bins[bin] = map[string]*metadata.TargetFiles{}
		}
		bins[bin][path] = f
	}
	full := false
	for _, bin := range slices.Sorted(maps.Keys(bins)) {
		m, err := c.get(ctx, bin, name)
		if err != nil {
			return err
		}
		if !merge(m.Signed.Targets, bins[bin]) {
			continue
		}
		c.edit(bin, name, m)
		data, err := json.Marshal(m.Signed.Targets)
		if err != nil {
			return err
		}
		full = full || len(data) > binLimit
	}
	if !full {
		return nil
	}
	all := map[string]*metadata.TargetFiles{}
	for _, bin := range role.Signed.Delegations.SuccinctRoles.GetRoles() {
		m, err := c.get(ctx, bin, name)
		if err != nil {
			return err
		}
		maps.Copy(all, m.Signed.Targets)
		delete(c.roles, bin) // the old bin stays as it was; nobody is sent there any more
	}
	return c.split(name, role, all, nextBits(role.Signed.Delegations.SuccinctRoles.BitLength))
}

// split spreads the files of a platform over new bins, 2^bits of them or more if they would be too large.
func (c *change) split(name string, role *targetsMeta, files map[string]*metadata.TargetFiles, bits int) error {
	succinct := &metadata.SuccinctRoles{BitLength: bits}
	bins, err := spread(succinct, files)
	if err != nil {
		return err
	}
	succinct.NamePrefix = fmt.Sprintf("%s-bins%d", name, succinct.BitLength)
	role.Signed.Delegations = &metadata.Delegations{SuccinctRoles: succinct}
	role.Signed.Targets = map[string]*metadata.TargetFiles{}
	c.entrust(role)
	c.edit(name, metadata.TARGETS, role)
	for _, bin := range succinct.GetRoles() {
		if c.base.snapshot.Signed.Meta[bin+".json"] != nil {
			return fmt.Errorf("%s cannot be split: there is another role %s", name, bin)
		}
		m := metadata.Targets()
		if list := bins[strings.TrimPrefix(bin, succinct.NamePrefix)]; list != nil {
			m.Signed.Targets = list
		}
		c.edit(bin, name, m)
	}
	return nil
}

// spread finds out how many bins it takes. The bins' names have no prefix yet.
func spread(succinct *metadata.SuccinctRoles, files map[string]*metadata.TargetFiles) (bins map[string]map[string]*metadata.TargetFiles, err error) {
	for ; ; succinct.BitLength = nextBits(succinct.BitLength) {
		if succinct.BitLength > maxBits {
			return nil, fmt.Errorf("%d files of one platform are too many", len(files))
		}
		bins = map[string]map[string]*metadata.TargetFiles{}
		sizes, largest := map[string]int{}, 0
		for path, f := range files {
			data, err := json.Marshal(f)
			if err != nil {
				return nil, err
			}
			bin := succinct.GetRolesForTarget(path)[0].Name
			if bins[bin] == nil {
				bins[bin] = map[string]*metadata.TargetFiles{}
			}
			bins[bin][path] = f
			sizes[bin] += len(path) + len(data) + len(`"":,`)
			largest = max(largest, sizes[bin])
		}
		if largest <= binLimit {
			return bins, nil
		}
	}
}
