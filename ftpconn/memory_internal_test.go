package ftpconn

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"ftpfs/ftpconn/wire"
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

// Each fact that one life learned, the next knows, and tells it on as its own. What names are
// kept is proven anew.
func TestEachFactIsRememberedAndRecalled(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	of := Memory{Form: memoryForm, Greeting: "hello", Features: "MDTM"}
	of.facts(func(_ int, fact reflect.Value, _ reflect.StructField) {
		fact.FieldByName("At").Set(reflect.ValueOf(now))
		if v := fact.FieldByName("Value"); v.Kind() == reflect.Bool {
			v.SetBool(true)
		}
	})
	of.Cap.Value, of.Idle.Value = Cap{2, 1}, Idle{Limit: 30}
	of.SetTime.Value, of.BadNames.Value, of.Longest.Value, of.NoSums.Value = "SITE UTIME", "a colon", 128, "HASHMD5,XCRCCRC32"
	of.facts(func(_ int, fact reflect.Value, field reflect.StructField) {
		if fact.FieldByName("Value").IsZero() {
			t.Errorf("%s has no value in this test", field.Name)
		}
	})

	s := New(Config{Host: "h", Memory: of})
	defer s.Close()
	s.recallWire("hello")
	s.server.learn(func(f *facts) {
		of.recall(f)
		f.seen, f.greeting, f.features = true, "hello", map[string]string{"MDTM": ""}
	})
	if k := s.server.known(); k.names.done || k.names.bad != colon || k.names.longest != 128 {
		t.Errorf("of names it knows %+v", k.names)
	}
	s.server.learn(func(f *facts) { f.names.done = true })
	got := s.remembered(Memory{}, now)
	of.facts(func(i int, fact reflect.Value, field reflect.StructField) {
		have := reflect.ValueOf(got).Field(i).FieldByName("Value").Interface()
		if field.Name == "Cap" || field.Name == "Active" {
			return // has to be met again; until then what was known before stands
		}
		if want := fact.FieldByName("Value").Interface(); have != want {
			t.Errorf("%s: told on is %v, want %v", field.Name, have, want)
		}
	})
	if got.Greeting != of.Greeting || got.Features != of.Features {
		t.Errorf("of %q with %q", got.Greeting, got.Features)
	}

	// What is known keeps its date; what another server is like is not known.
	later := s.remembered(of, now.Add(time.Hour))
	if later.Cap != of.Cap {
		t.Errorf("of the cap it tells %+v", later.Cap)
	}
	if later.NoChmod.At != now {
		t.Errorf("known since %v, want %v", later.NoChmod.At, now)
	}
	older := of
	older.Features, older.NoMLSD = "MLST", Fact[bool]{true, now.Add(time.Minute)}
	s.server.learn(func(f *facts) { f.mlsdBad = false })
	if m := s.remembered(older, now); m.NoMLSD.Value || m.Cap.Value.Conns != 2 {
		t.Errorf("with other features it believes %+v", m)
	}

	other := New(Config{Host: "h", Memory: of})
	defer other.Close()
	other.recallWire("another")
	if k := other.traits.Known(); k.Segments == wire.Off || k.Active {
		t.Errorf("of another server it believes %+v", k)
	}
}

// Who has tried all there is to try believes nothing of what it did not meet, but for what is
// the host's, and knows the cap.
func TestWhatWasTriedAnewIsBelievedAlone(t *testing.T) {
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	older := Memory{Form: memoryForm, NoChmod: Fact[bool]{true, day}, Cap: Fact[Cap]{Cap{5, 3}, day}, Slow: Fact[bool]{true, day}}
	now := day.Add(time.Hour)
	for what, c := range map[string]struct {
		conns  int
		capped bool
		want   Cap
	}{"a cap": {2, true, Cap{2, 1}}, "no cap": {8, false, Cap{}}, "not tried": {0, false, Cap{5, 3}}} {
		m := Memory{Form: memoryForm}.Anew(c.conns, c.capped, now).Merge(older)
		if m.NoChmod.Value || !m.Slow.Value || m.Cap.Value != c.want {
			t.Errorf("%s: %+v", what, m)
		}
	}
}

// A greeting may be as long as it likes; what is written down of it is not.
func TestALongGreetingIsCutShort(t *testing.T) {
	if n := len(lasting(strings.Repeat("welcome ", 10_000))); n > longestID {
		t.Errorf("%d bytes of it are kept", n)
	}
}
