package channel

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"time"
)

// HostID makes what stands for a machine here from its identifier: a hash, so that the
// identifier itself goes nowhere, not even into a log.
func HostID(machine string) string {
	sum := sha256.Sum256([]byte("go-updater machine\n" + machine))
	return hex.EncodeToString(sum[:])
}

// Cohort is the place of a host in the rollout of a release, from 0 to Everyone-1: the host is offered the
// release if it is below the rollout. It depends on the release, so that each rollout draws other hosts first. A host
// without an id comes last.
func Cohort(hostID, product, version string) int {
	if hostID == "" {
		return Everyone - 1
	}
	return int(draw("cohort", hostID, product, version, Everyone))
}

// Splay is the part of a delay that a host waits before it takes a release, from 0 to below limit.
func Splay(hostID, product, version string, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(draw("splay", hostID, product, version, uint64(limit)))
}

// draw is a number below limit, spread evenly: the first 64 bits of a hash as a fraction of it.
func draw(what, hostID, product, version string, limit uint64) uint64 {
	sum := sha256.Sum256([]byte("go-updater " + what + "\n" + hostID + "\n" + product + "\n" + version))
	n, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), limit)
	return n
}
