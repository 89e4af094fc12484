package ftpconn

import (
	"reflect"
	"testing"
	"time"
)

// What is believed for a time is believed for that time, and not before it was learned.
func TestMemoryExpires(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var m Memory
	m.Form = memoryForm
	m.facts(func(_ int, fact reflect.Value, field reflect.StructField) {
		keep, err := time.ParseDuration(field.Tag.Get("keep"))
		if err != nil || keep <= 0 {
			t.Errorf("%s: for how long it is believed is not said: %v", field.Name, err)
		}
		fact.FieldByName("At").Set(reflect.ValueOf(now))
		for age, known := range map[time.Duration]bool{keep: true, keep + time.Second: false, 0: true, -2 * time.Hour: false} {
			got := m.fresh(now.Add(age))
			was := reflect.ValueOf(got).FieldByName(field.Name).FieldByName("At").Interface().(time.Time)
			if was.IsZero() == known {
				t.Errorf("%s after %v: known is %v, want %v", field.Name, age, !known, known)
			}
		}
	})
	m.Form++
	if got := m.fresh(now); got != (Memory{Form: memoryForm}) {
		t.Errorf("of another form: %+v", got)
	}
}

func TestMemoriesAreMerged(t *testing.T) {
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	older := Memory{Form: memoryForm, Greeting: "a", Features: "f", Cap: Fact[Cap]{Cap{2, 1}, day.Add(time.Hour)},
		NoChmod: Fact[bool]{true, day.Add(time.Hour)}, SetTime: Fact[string]{"MFMT", day}}
	newer := Memory{Form: memoryForm, Greeting: "a", Features: "f", Cap: Fact[Cap]{Cap{5, 1}, day}, SetTime: Fact[string]{"MDTM", day.Add(time.Minute)}}
	got := newer.Merge(older)
	if got.Cap.Value.Conns != 2 || !got.NoChmod.Value || got.SetTime.Value != "MDTM" {
		t.Errorf("of one server: %+v", got)
	}
	newer.Greeting = "b"
	got = newer.Merge(older)
	if got.Cap.Value.Conns != 2 || got.NoChmod.Value || got.Greeting != "b" {
		t.Errorf("of two servers: %+v", got)
	}
	if got := (Memory{Form: memoryForm}).Merge(older); got != older {
		t.Errorf("nothing heard of the server: %+v", got)
	}
	older.Form++
	if got := newer.Merge(older); got != newer {
		t.Errorf("of another form: %+v", got)
	}
}

func TestWhatLastsOfAGreeting(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"(vsFTPd 3.0.3)", "(vsFTPd 3.0.3)", true},
		{"(vsFTPd 3.0.3)", "(vsFTPd 3.0.5)", false},
		{"You are user number 1 of 50 allowed. Local time is now 10:32. Server port: 21.", "You are user number 12 of 50 allowed. Local time is now 09:01. Server port: 21.", true},
		{"ready (Mon Nov 30 09:26:43 UTC 2026)", "ready (Tue Dec  1 19:26:43 UTC 2026)", true},
		{"ftp1.example.org", "ftp.example.com", false},
		{"", "ready", false},
	} {
		if got := lasting(c.a) == lasting(c.b); got != c.same {
			t.Errorf("%q and %q: same is %v (%q, %q)", c.a, c.b, got, lasting(c.a), lasting(c.b))
		}
	}
}

// A cap of an earlier life is tried again, later the more often it stood, and grows.
func TestRememberedCapGrows(t *testing.T) {
	now := time.Now()
	for _, stood := range []int{1, 3, 1000} {
		l := limit{most: 8}
		l.recall(Cap{2, stood}, now)
		if got := l.now(now); got != 2 {
			t.Fatalf("%d at first, want 2", got)
		}
		wait := l.next.Sub(now)
		if want := min(capMemory, capSoon<<min(stood-1, 20)); wait != want {
			t.Errorf("stood %d times: tried after %v, want %v", stood, wait, want)
		}
		at := now
		for n := 3; n < 8; n++ {
			at = l.next.Add(1)
			if got := l.now(at); got != n {
				t.Fatalf("%d may be tried, want %d", got, n)
			}
			l.grew(n, at)
		}
		at = l.next.Add(1)
		l.grew(8, at)
		if l.learned() != 0 || l.now(at) != 8 {
			t.Errorf("a cap of %d is left", l.learned())
		}
	}
}
