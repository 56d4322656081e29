package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clock is the time that FAKETIME asks for: "+18d" (units s, m, h, d, y) moves the
// clock, "@2030-01-31 12:00:00" sets it, in the local zone. The preloaded library of faketime
// does not reach programs that are linked statically.
func clock(fake string, now time.Time) (time.Time, error) {
	if fake == "" {
		return now, nil
	}
	if at, ok := strings.CutPrefix(fake, "@"); ok || !strings.ContainsAny(fake[:1], "+-") {
		if seconds, err := strconv.ParseInt(at, 10, 64); err == nil {
			return time.Unix(seconds, 0), nil
		}
		t, err := time.ParseInLocation(time.DateTime, at, time.Local)
		if err != nil {
			return now, fmt.Errorf("FAKETIME %q is no time: %w", fake, err)
		}
		return t, nil
	}
	unit, digits := time.Second, fake
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'y': 365 * 24 * time.Hour}
	if u, ok := units[fake[len(fake)-1]]; ok {
		unit, digits = u, fake[:len(fake)-1]
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return now, fmt.Errorf("FAKETIME %q is no offset: %w", fake, err)
	}
	return now.Add(time.Duration(n * float64(unit))), nil
}
