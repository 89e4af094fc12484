package wire

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The turns that the mode takes, by what becomes of data connections.
func TestTurnsOfTheMode(t *testing.T) {
	no := errors.New("no")
	fails := func(tr *Traits, m Mode) bool { again, _ := tr.unreached(m, true, no); return again }
	at := func(tr *Traits, what string, m Mode, trial bool) {
		t.Helper()
		if tr.modes.now != m || tr.modes.trial != trial {
			t.Errorf("%s: %v mode, on trial %v", what, tr.modes.now, tr.modes.trial)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		tr := new(Traits)
		if again, _ := tr.unreached(Passive, false, no); !again {
			t.Error("a server that is down: the next one is to find out")
		}
		at(tr, "the server is down", Passive, false)
		fails(tr, Passive)
		at(tr, "it never worked", Active, true)
		if !fails(tr, Passive) {
			t.Error("a failure in the mode that was left is no reason to give up")
		}
		at(tr, "a failure in the mode that was left", Active, true)
		c := &Conn{cfg: Config{Auto: true, Traits: tr}}
		c.reached(Passive)
		at(tr, "one in the mode that was left came through", Passive, false)
	})
	synctest.Test(t, func(t *testing.T) { // neither works: active mode is tried ever less often
		tr := new(Traits)
		for _, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 30 * time.Minute, 30 * time.Minute} {
			fails(tr, Passive)
			at(tr, "passive mode failed", Active, true)
			fails(tr, Active)
			at(tr, "active mode failed, too", Passive, false)
			time.Sleep(pause - time.Second)
			if fails(tr, Passive) {
				t.Errorf("it is tried again before %v", pause)
			}
			at(tr, "too early", Passive, false)
			time.Sleep(2 * time.Second)
		}
	})
}
