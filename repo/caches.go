package repo

import (
	"fmt"
	"time"

	"github.com/choria-io/go-updater/store"
)

const (
	lateLimit        = time.Hour           // by which caches may keep a release from clients
	clockTolerance   = time.Minute         // between a server's clock and ours: Date has whole seconds, and answers take their time
	clockLimit       = 5 * time.Minute     // from which on a clock is wrong
	certificateLimit = 14 * 24 * time.Hour // of a certificate's life, so that there is time to renew it
)

// kept says how long caches may keep an answer that may be another soon.
func (e *exam) kept(a *answer, what, do string, fresh time.Duration) {
	d, said := a.kept()
	switch late := max(d, a.age()); {
	case !said:
		e.advise(do, "%s says nothing about caches, which then guess for how long they keep it", what)
	case late > lateLimit:
		e.problem(do, "caches may keep %s for %v: clients are late by that", what, late)
	case late > fresh:
		e.advise(do, "caches may keep %s for %v: clients are late by that", what, late)
	default:
		e.good("caches keep %s for %v at most", what, late)
	}
}

// currentKept judges the headers of a file that is replaced.
func (e *exam) currentKept(name string) {
	if a := e.what.Wire.answered(); a != nil {
		_, short := store.HeadersFor(name)
		e.kept(a, name, "serve it with Cache-Control: "+short, 5*time.Minute)
	}
}

// missingKept judges those with which a missing file was answered. The next root is asked for long before it is there.
func (e *exam) missingKept() {
	a := e.what.Wire.answered()
	if a == nil {
		return
	}
	if _, said := a.kept(); said { // without a word no more than a short time is usual
		e.kept(a, "that a file is missing", "have answers 404 kept for a minute at most", time.Minute)
	}
}

// artifactKept judges those of a file that never changes.
func (e *exam) artifactKept(name string) {
	a := e.what.Wire.answered()
	if a == nil {
		return
	}
	_, long := store.HeadersFor(name)
	switch d, said := a.kept(); {
	case !said:
		e.advise("serve what never changes with Cache-Control: "+long, "%s says nothing about caches, which then guess for how long they keep it", name)
	case d < 24*time.Hour:
		e.advise("serve what never changes with Cache-Control: "+long, "caches keep %s for %v at most: a CDN fetches it again and again", name, d)
	default:
		e.good("caches keep artifacts")
	}
}

// connection judges what the first answer says about the way to the server.
func (e *exam) connection(isSigned bool) {
	a := e.what.Wire.answered()
	if a == nil {
		return
	}
	if to := e.what.Wire.redirected(); to != "" {
		e.advise("give programs the address that it leads to", "each request is sent on to %s first, and so takes twice the time", to)
	}
	switch {
	case a.tls != nil:
		e.certificate(a)
	case !isSigned:
		e.problem("serve it by https, or sign the repository with update-repo init", "it is neither signed nor encrypted: whoever is in between decides what clients install")
	}
	e.clock(a)
}

// certificate says until when the server's certificate is good; that it is good now is known from having been answered.
func (e *exam) certificate(a *answer) {
	until := a.tls.PeerCertificates[0].NotAfter
	if until.Sub(e.repo.now()) < certificateLimit {
		e.problem("renew it", "the server's certificate ends at %s", date(until))
		return
	}
	e.good("the server's certificate is good until %s", date(until))
}

// clock compares the server's with ours, by which clients judge what has expired.
func (e *exam) clock(a *answer) {
	server := a.serverTime()
	if server.IsZero() {
		e.advise("", "the server does not say what time it is")
		return
	}
	off := a.arrived.Sub(server).Round(time.Second)
	what := fmt.Sprintf("this machine's clock is ahead of the server's by %v", off)
	if off < 0 {
		what = fmt.Sprintf("this machine's clock is behind the server's by %v", -off)
	}
	const do = "set the clock that is wrong: clients judge by theirs what has expired"
	switch {
	case off.Abs() > clockLimit:
		e.problem(do, "%s", what)
	case off.Abs() > clockTolerance:
		e.advise(do, "%s", what)
	default:
		e.good("the server's clock agrees with this machine's")
	}
}
