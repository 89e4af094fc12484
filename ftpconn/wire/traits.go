package wire

import (
	"regexp"
	"sync"
)

// Trait is what is known of a server's ability.
type Trait uint8

const (
	Untried Trait = iota
	Proven
	Off
)

// Traits is what the connections to one server have learned about its
// transport, shared by all of them.
type Traits struct {
	mu       sync.Mutex
	segments Trait // several commands in one segment
	prepared Trait // a data connection made before its command
	joint    Trait // EPSV and the command that needs its connection in one segment
	epsv     Trait // EPSV; Off: PASV
	pasv     Trait
	eprt     Trait // EPRT; Off: PORT
	// farewells: encrypted transfers that are given up get a reply
	farewells Trait
}

// noSegments are servers known to lose commands that come in one segment.
var noSegments = regexp.MustCompile(`icrosoft FTP Service|MadGoat|MikroTik`)

func (t *Traits) greeting(text string) {
	if noSegments.MatchString(text) {
		t.Segments(Off)
		t.Prepared(Off)
	}
}

// learn moves a trait to v; what is Off stays Off.
func (t *Traits) learn(f *Trait, v Trait) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *f == Off || *f == v {
		return false
	}
	*f = v
	return true
}

func (t *Traits) get(f *Trait) Trait {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *f
}

// Segments notes whether the server stands several commands in one segment.
func (t *Traits) Segments(v Trait) { t.learn(&t.segments, v) }

// Prepared notes whether the server stands a data connection made beforehand.
func (t *Traits) Prepared(v Trait) { t.learn(&t.prepared, v) }

// Known is a copy of what was learned, for status and tests.
type Known struct{ Segments, Prepared, EPSV, EPRT, Joint Trait }

// Known returns what was learned so far.
func (t *Traits) Known() Known {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Known{t.segments, t.prepared, t.epsv, t.eprt, t.joint}
}
