package wire

import (
	"errors"
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
	mu         sync.Mutex
	segments   Trait // several commands in one segment
	prepared   Trait // a data connection made before its command
	joint      Trait // EPSV and the command that needs its connection in one segment
	epsv       Trait // EPSV; Off: PASV
	pasv       Trait
	eprt       Trait // EPRT; Off: PORT
	behind     Trait // the next port asked for in the segment of a short download
	halfClosed Trait // a download's connection closed on our side before its data
	struck     int   // downloads with that in their segment which failed, in a row
	eager      Trait // a short upload sent with its command
	trail      Trait // commands in the segment of such an upload, behind it
	stumbled   int   // of those that worked before, failed in a row
	// farewells: encrypted transfers that are given up get a reply
	farewells Trait

	modes modes

	// Turned, if set, is called when another mode has shown that it works, with why the
	// one before was left, and when passive mode is back. It is set before the first
	// connection.
	Turned func(m Mode, because error)

	// Learned, if set, is called when something was learned. It is set before the first
	// connection, and must not ask the Traits.
	Learned func()
}

// noSegments are servers known to lose commands that come in one segment.
var noSegments = regexp.MustCompile(`icrosoft FTP Service|MadGoat|MikroTik`)

// noBehind are servers known to end a download for a question that comes behind it.
var noBehind = regexp.MustCompile(`pyftpdlib`)

func (t *Traits) greeting(text string) {
	if noBehind.MatchString(text) {
		t.learn(&t.behind, Off)
	}
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
	if t.Learned != nil {
		t.Learned()
	}
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

// Known is a copy of what was learned.
type Known struct {
	Segments, Prepared, EPSV, EPRT, Joint, Behind, HalfClosed, Eager, Trail, Farewells Trait

	Active bool // passive mode was found not to work, and active mode to
}

// Known returns what was learned so far.
func (t *Traits) Known() Known {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Known{t.segments, t.prepared, t.epsv, t.eprt, t.joint, t.behind, t.halfClosed, t.eager, t.trail, t.farewells, t.modes.now == Active && !t.modes.trial}
}

// Recall takes over which of the traits were Off in an earlier life. What was Proven is
// proven again, which costs nothing: a first try that fails is then known for what it is.
func (t *Traits) Recall(k Known) {
	for f, v := range map[*Trait]Trait{&t.segments: k.Segments, &t.prepared: k.Prepared, &t.epsv: k.EPSV,
		&t.eprt: k.EPRT, &t.joint: k.Joint, &t.behind: k.Behind, &t.halfClosed: k.HalfClosed, &t.eager: k.Eager, &t.trail: k.Trail, &t.farewells: k.Farewells} {
		if v == Off {
			t.learn(f, Off)
		}
	}
	if k.Active {
		t.turnTo(Active, errors.New("it did not work the last time"))
	}
}
