package oci

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/choria-io/go-updater/store"
	"github.com/choria-io/go-updater/stores/internal/rest"
)

// claimTag is that of no file: after the first "_" there would be two hexadecimal digits, or another "_" and no third one.
const claimTag = "__claim"

// What a claim says.
const (
	holderKey = "vnd.choria.go-updater.holder"
	turnKey   = "vnd.choria.go-updater.turn"
	stateKey  = "vnd.choria.go-updater.state"

	held = "held"
	free = "free"
)

const (
	patience  = 8 // leases, after which who waits is told that somebody else is writing
	slowTries = 5 // looks that took too long to write after
)

// ErrLate: the registry took longer for a conditional write than Options.Settle, and another publisher has had the floor since. The
// file is written, and may have taken the place of the other publisher's. Look at what is there, and publish again what is not.
var ErrLate = errors.New("the registry took so long for the write that another publisher may have written before it arrived")

// errSlow: the registry takes longer to answer than a claim has to stand.
var errSlow = errors.New("the registry is too slow for the time that a claim has to stand: give all publishers a longer one (settle=10s)")

// claim is how the publishers of a repository take turns. The package's documentation has the rules and why they hold.
type claim struct {
	s             *Store
	settle, lease time.Duration

	turn   chan struct{} // one at a time in this process
	holder string
	n      int           // no two claims are the same, so that one which arrives late is not taken for the last
	mine   digest.Digest // the claim that stood when we last looked, empty if it was not ours
	state  string        // what it says

	turns   int       // how often we had to wait for the floor
	seen    time.Time // when the last look at it began that saw it stand
	renewed time.Time
}

func newClaim(s *Store, o Options) *claim {
	return &claim{s: s, settle: o.Settle, lease: o.Lease, turn: make(chan struct{}, 1), holder: rand.Text()}
}

func (c *claim) begin(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *claim) end() { <-c.turn }

// write makes a tag name a manifest if what it names now is as wanted.
func (c *claim) write(ctx context.Context, tag string, manifest []byte, wanted func(is digest.Digest) bool) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	if err := c.s.prepare(ctx); err != nil {
		return err
	}
	sent := 0 // in which turn
	return rest.Again(ctx, func() error {
		is, err := c.compare(ctx, tag)
		switch {
		case err != nil:
			return err
		case sent == c.turns && is == digestOf(manifest):
			return nil // the answer to the try before was lost
		case sent > 0 && is == digestOf(manifest):
			return ErrLate // it may have come in the turn of another publisher
		case !wanted(is):
			return store.ErrConflict
		}
		sent = c.turns
		if _, err := c.put(ctx, tag, manifest); err != nil {
			return err
		}
		return c.inTime(ctx)
	})
}

// compare takes the floor and looks at a tag, so that there is time left to write.
func (c *claim) compare(ctx context.Context, tag string) (digest.Digest, error) {
	for range slowTries {
		if err := c.take(ctx); err != nil {
			return "", err
		}
		is, err := c.s.digestAt(ctx, tag)
		if err != nil || elapsed(c.seen) < c.settle/2 {
			return is, err
		}
	}
	return "", errSlow
}

// inTime tells whether a write that was just answered was ours to make.
func (c *claim) inTime(ctx context.Context) error {
	if elapsed(c.seen) < c.settle {
		return nil
	}
	stands, err := c.stands(ctx)
	if err == nil && !stands {
		c.mine, err = "", ErrLate
	}
	return err
}

// take makes sure that we have the floor, and have seen so a moment ago.
func (c *claim) take(ctx context.Context) error {
	if c.mine == "" {
		return c.acquire(ctx)
	}
	if c.state == held && elapsed(c.seen) < c.settle/4 {
		return nil
	}
	stands, err := c.stands(ctx)
	if err != nil {
		return err
	}
	if !stands {
		return c.acquire(ctx)
	}
	if c.state == held && time.Since(c.renewed) < c.lease/3 {
		return nil
	}
	// Who claimed after our look finds ours in the place of its own, if ours arrives within Settle of it. So it need not stand anew, even
	// where it was given back.
	if err := c.say(ctx, held); err != nil || elapsed(c.seen) >= c.settle {
		return c.acquire(ctx)
	}
	return nil
}

// acquire waits until nobody has the floor, claims it, and looks whether the claim stands.
func (c *claim) acquire(ctx context.Context) error {
	c.mine = ""
	c.turns++
	var last digest.Digest
	var since time.Time
	for begun := time.Now(); ; {
		is, taken, err := c.look(ctx)
		if err != nil {
			return err
		}
		if is != last {
			last, since = is, time.Now()
		}
		if taken && time.Since(since) < c.lease {
			if time.Since(begun) > patience*c.lease {
				return fmt.Errorf("another publisher has been writing for %s: %w", time.Since(begun).Round(time.Second), store.ErrConflict)
			}
			if err := pause(ctx, min(c.lease/20, time.Second)); err != nil {
				return err
			}
			continue
		}
		if err := c.say(ctx, held); err != nil {
			return err
		}
		if err := pauseAtLeast(ctx, c.settle); err != nil {
			return err
		}
		if stands, err := c.stands(ctx); err != nil || stands {
			return err
		}
		c.mine = ""
	}
}

// look tells which claim there is, and whether another publisher has the floor by it.
func (c *claim) look(ctx context.Context) (is digest.Digest, taken bool, err error) {
	data, err := c.s.manifestAt(ctx, claimTag)
	if err != nil || data == nil {
		return "", false, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		m = ocispec.Manifest{} // whoever wrote it is waited for
	}
	return digestOf(data), m.Annotations[stateKey] != free && m.Annotations[holderKey] != c.holder, nil
}

// stands looks whether the last claim is what there is.
func (c *claim) stands(ctx context.Context) (bool, error) {
	now := time.Now()
	is, err := c.s.digestAt(ctx, claimTag)
	if err != nil || is != c.mine {
		return false, err
	}
	c.seen = now
	return true, nil
}

// say writes a claim, in one try: one that arrives twice must not be taken for the next.
func (c *claim) say(ctx context.Context, state string) error {
	c.n++
	manifest, err := marshal(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ClaimType, Config: nothing, Layers: []ocispec.Descriptor{nothing},
		Annotations: map[string]string{holderKey: c.holder, turnKey: strconv.Itoa(c.n), stateKey: state},
	})
	if err != nil {
		return err
	}
	now := time.Now()
	if _, err = c.put(ctx, claimTag, manifest); err == nil {
		c.mine, c.state, c.renewed = digestOf(manifest), state, now
	}
	return err
}

func (c *claim) put(ctx context.Context, tag string, manifest []byte) (rest.Answer, error) {
	return c.s.service.Once(ctx, http.MethodPut, c.s.base+"manifests/"+tag, http.Header{"Content-Type": {ocispec.MediaTypeImageManifest}}, bytes.NewReader(manifest))
}

// yieldTimeout is how long giving the floor back may take; who waits gets it anyway.
const yieldTimeout = 5 * time.Second

// Yield lets other publishers write at once, who would wait for Options.Lease otherwise. The end of a publish does it.
func (s *Store) Yield(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), yieldTimeout)
	defer cancel()
	c := s.claim
	if c.begin(ctx) != nil {
		return
	}
	defer c.end()
	if c.mine == "" || c.state == free {
		return
	}
	if stands, err := c.stands(ctx); err != nil || !stands || c.say(ctx, free) != nil {
		c.mine = "" // it runs out
	}
}

// elapsed is how long ago something was, the time included that the machine was asleep, in which the monotonic clock may stand still.
// Where the wall clock is set meanwhile, it is looked once more than needed.
func elapsed(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// pause waits for d, of which a random half.
func pause(ctx context.Context, d time.Duration) error {
	return pauseAtLeast(ctx, d/2+mathrand.N(d/2+1))
}

func pauseAtLeast(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
