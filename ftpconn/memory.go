package ftpconn

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"ftpfs/ftpconn/wire"
)

// Memory is what was learned of a server and is worth knowing at the next mount. It goes
// in through Config.Memory and out through Config.Remember; where it is kept is the
// caller's business.
//
// It holds what costs to find out, and what a wrong memory of costs time only: limits,
// ways of doing things, and what the server was seen not to stand. What data depends on
// is proven anew by each Store: that APPE appends, that a listing is whole, which product
// answers, the zone of its clock. See "What is remembered" in docs/design.md.
//
// To remember one thing more, add a Fact here, with how long it is believed; put it into
// recall (or pool.recall or recallWire, if it counts before the login), and into remembered. The change
// must go through server.learn or wire.Traits, or call Store.remember.
type Memory struct {
	Form     int    `json:"form"`               // memoryForm; another is not understood
	Greeting string `json:"greeting,omitempty"` // without what changes from one login to the next
	Features string `json:"features,omitempty"` // of FEAT; with Greeting it says who answers there
	Software string `json:"software,omitempty"` // for people who read this

	// Of the host, whatever answers there.
	Cap  Fact[Cap]  `json:"cap,omitzero" keep:"720h" of:"host"`
	Slow Fact[bool] `json:"slow_login,omitzero" keep:"720h" of:"host"`
	Idle Fact[Idle] `json:"idle,omitzero" keep:"720h" of:"host"`

	// What the first trial of a trick did to the connection. A fault of the network may
	// look the same, so that this does not count for long.
	NoSegments  Fact[bool] `json:"no_segments,omitzero" keep:"24h"`
	NoPrepared  Fact[bool] `json:"no_prepared,omitzero" keep:"24h"`
	NoJoint     Fact[bool] `json:"no_joint,omitzero" keep:"24h"`
	NoBehind    Fact[bool] `json:"no_behind,omitzero" keep:"24h"`
	NoHalfClose Fact[bool] `json:"no_half_close,omitzero" keep:"24h"`
	NoEager     Fact[bool] `json:"no_eager,omitzero" keep:"24h"`
	NoTrail     Fact[bool] `json:"no_trail,omitzero" keep:"24h"`
	NoFarewells Fact[bool] `json:"no_farewells,omitzero" keep:"24h"`

	// What the network between does, which may be another one.
	Active Fact[bool] `json:"active,omitzero" keep:"24h" of:"host"`

	// What the server said itself.
	NoEPSV   Fact[bool]   `json:"no_epsv,omitzero" keep:"168h"`
	NoEPRT   Fact[bool]   `json:"no_eprt,omitzero" keep:"168h"`
	NoMLSD   Fact[bool]   `json:"no_mlsd,omitzero" keep:"168h"`
	BareList Fact[bool]   `json:"bare_list,omitzero" keep:"168h"`
	SetTime  Fact[string] `json:"set_time,omitzero" keep:"168h"`
	NoChmod  Fact[bool]   `json:"no_chmod,omitzero" keep:"168h"`
	NoRest   Fact[bool]   `json:"no_rest,omitzero" keep:"168h"`
	NoAppend Fact[bool]   `json:"no_append,omitzero" keep:"168h"`
	NoAvbl   Fact[bool]   `json:"no_avbl,omitzero" keep:"168h"`
	NoQuota  Fact[bool]   `json:"no_quota,omitzero" keep:"168h"`
	BadNames Fact[string] `json:"bad_names,omitzero" keep:"168h"` // what is odd in names that are stored as others
	Longest  Fact[int]    `json:"longest_name,omitzero" keep:"168h"`
	Caseless Fact[bool]   `json:"caseless,omitzero" keep:"168h"`
	NoSums   Fact[string] `json:"no_sums,omitzero" keep:"168h"` // commands for checksums, with commas
}

// memoryForm changes when the meaning of a field does; a new field is no change.
const memoryForm = 1

// Cap is how many connections a server took.
type Cap struct {
	Conns int `json:"conns"` // 0: as many as were wanted, after all
	Stood int `json:"stood"` // how often in a row one more was refused
}

// Fact is one thing learned. The zero Fact says nothing.
type Fact[T comparable] struct {
	Value T         `json:"value"`
	At    time.Time `json:"at"`
}

func (f Fact[T]) since() time.Time { return f.At }

// note keeps the date of what is known already: it is learned anew when it has expired.
func (f *Fact[T]) note(v T, now time.Time) {
	if f.At.IsZero() || f.Value != v {
		*f = Fact[T]{v, now.UTC().Truncate(time.Second)}
	}
}

// noteIf is note for what says something only when it holds.
func noteIf(f *Fact[bool], v bool, now time.Time) {
	if v {
		f.note(true, now)
	}
}

// facts calls f for each Fact of m, in order of the fields.
func (m *Memory) facts(f func(i int, fact reflect.Value, field reflect.StructField)) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		if _, ok := v.Field(i).Interface().(interface{ since() time.Time }); ok {
			f(i, v.Field(i), v.Type().Field(i))
		}
	}
}

func sinceOf(fact reflect.Value) time.Time {
	return fact.Interface().(interface{ since() time.Time }).since()
}

func ofHost(field reflect.StructField) bool { return field.Tag.Get("of") == "host" }

// fresh is m without what has expired, or is from the future: the clock was set.
func (m Memory) fresh(now time.Time) Memory {
	if m.Form != memoryForm {
		return Memory{Form: memoryForm}
	}
	m.facts(func(_ int, fact reflect.Value, field reflect.StructField) {
		keep, err := time.ParseDuration(field.Tag.Get("keep"))
		if age := now.Sub(sinceOf(fact)); err != nil || age > keep || age < -time.Hour {
			fact.SetZero()
		}
	})
	return m
}

// Merge is m with what older has besides, or knows from a later day: two mounts of one
// server keep one memory. Of another server only what is the host's is taken over.
func (m Memory) Merge(older Memory) Memory {
	if older.Form != memoryForm {
		return m
	}
	same := m.Greeting == older.Greeting && m.Features == older.Features
	if m.Greeting == "" { // nothing was learned of who answers
		m.Greeting, m.Features, m.Software, same = older.Greeting, older.Features, older.Software, true
	}
	from := reflect.ValueOf(&older).Elem()
	m.facts(func(i int, fact reflect.Value, field reflect.StructField) {
		if (same || ofHost(field)) && sinceOf(from.Field(i)).After(sinceOf(fact)) {
			fact.Set(from.Field(i))
		}
	})
	return m
}

// Anew is m as of now, for who has tried all there is to try: what was believed of the
// server before, and was not met this time, is no longer true. conns is how many
// connections it took, and capped that one more was refused; 0 is not known.
func (m Memory) Anew(conns int, capped bool, now time.Time) Memory {
	m.facts(func(_ int, fact reflect.Value, field reflect.StructField) {
		if !ofHost(field) && sinceOf(fact).IsZero() {
			fact.FieldByName("At").Set(reflect.ValueOf(now.UTC().Truncate(time.Second)))
		}
	})
	switch {
	case capped && conns > 0:
		m.Cap.note(Cap{Conns: conns, Stood: 1}, now)
	case conns > 0:
		m.Cap.note(Cap{}, now)
	}
	return m
}

// longestID bounds what a server may have us write down.
const longestID = 2000

var (
	passing = regexp.MustCompile(`(?i)\b(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?\b|\b(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(tember)?|oct(ober)?|nov(ember)?|dec(ember)?)\b`)
	numbers = regexp.MustCompile(`\d+(\.\d+)*`)
)

// lasting is a greeting without its day, its hour, and the number of users: what is left
// are the words and the versions, such as 3.0.3.
func lasting(greeting string) string {
	s := passing.ReplaceAllString(greeting, "")
	s = numbers.ReplaceAllStringFunc(s, func(n string) string {
		if strings.Contains(n, ".") {
			return n
		}
		return "#"
	})
	return bounded(strings.Join(strings.Fields(s), " "))
}

// bounded is s as it comes back from a file of JSON.
func bounded(s string) string { return strings.ToValidUTF8(s[:min(len(s), longestID)], "?") }

// listed is FEAT as one line.
func listed(features map[string]string) string {
	var fs []string
	for name, arg := range features {
		fs = append(fs, strings.TrimSpace(name+" "+arg))
	}
	slices.Sort(fs)
	return bounded(strings.Join(fs, ", "))
}

// recallWire takes over what the connection has to know, if the greeting is the one of
// before.
func (s *Store) recallWire(greeting string) {
	m := s.memory.now()
	if lasting(greeting) != m.Greeting {
		return
	}
	off := func(f Fact[bool]) wire.Trait {
		if f.Value {
			return wire.Off
		}
		return wire.Untried
	}
	s.traits.Recall(wire.Known{Segments: off(m.NoSegments), Prepared: off(m.NoPrepared), Joint: off(m.NoJoint),
		Behind: off(m.NoBehind), HalfClosed: off(m.NoHalfClose), Eager: off(m.NoEager), Trail: off(m.NoTrail), Farewells: off(m.NoFarewells), EPSV: off(m.NoEPSV), EPRT: off(m.NoEPRT), Active: m.Active.Value})
}

// recall takes over what was known of the server with this greeting and these features,
// under the lock of facts. It is called once, after the first login.
func (m Memory) recall(f *facts) {
	f.mlsdBad = m.NoMLSD.Value
	f.listBare = m.BareList.Value
	f.noChmod = m.NoChmod.Value
	f.noRest = m.NoRest.Value
	f.noAvbl, f.noQuota = m.NoAvbl.Value, m.NoQuota.Value
	for way, name := range setTimeNames {
		if name == m.SetTime.Value && name != "" {
			f.setTime = way
		}
	}
	f.names.bad, f.names.longest = odditiesOf(m.BadNames.Value), m.Longest.Value // which others are kept is proven anew
	if m.Caseless.Value {
		f.caseless = wire.Proven
	}
	if m.NoAppend.Value {
		f.append = wire.Off
	}
	for sum := range strings.SplitSeq(m.NoSums.Value, ",") {
		if sum != "" {
			if f.noSum == nil {
				f.noSum = make(map[string]bool)
			}
			f.noSum[sum] = true
		}
	}
}

// remembered is what was known before with what this Store learned.
func (s *Store) remembered(m Memory, now time.Time) Memory {
	m.Form = memoryForm
	s.pool.remembered(&m, now)
	k, w := s.server.known(), s.traits.Known()
	if !k.seen {
		return m
	}
	if greeting, features := lasting(k.greeting), listed(k.features); m.Greeting != greeting || m.Features != features {
		m = Memory{Form: memoryForm, Greeting: greeting, Features: features}.Merge(m)
	}
	m.Software = k.software
	noteIf(&m.NoSegments, w.Segments == wire.Off, now)
	noteIf(&m.NoPrepared, w.Prepared == wire.Off, now)
	noteIf(&m.NoJoint, w.Joint == wire.Off, now)
	noteIf(&m.NoBehind, w.Behind == wire.Off, now)
	noteIf(&m.NoHalfClose, w.HalfClosed == wire.Off, now)
	noteIf(&m.NoEager, w.Eager == wire.Off, now)
	noteIf(&m.NoTrail, w.Trail == wire.Off, now)
	noteIf(&m.NoFarewells, w.Farewells == wire.Off, now)
	noteIf(&m.NoEPSV, w.EPSV == wire.Off, now)
	noteIf(&m.NoEPRT, w.EPRT == wire.Off, now)
	if w.Active || m.Active.Value {
		m.Active.note(w.Active, now)
	}
	noteIf(&m.NoMLSD, k.mlsdBad, now)
	noteIf(&m.BareList, k.listBare, now)
	noteIf(&m.NoChmod, k.noChmod, now)
	noteIf(&m.NoRest, k.noRest, now)
	noteIf(&m.NoAppend, k.append == wire.Off, now)
	noteIf(&m.Caseless, k.caseless == wire.Proven, now)
	if k.names.done {
		m.BadNames.note(k.names.bad.String(), now)
		m.Longest.note(k.names.longest, now)
	}
	noteIf(&m.NoAvbl, k.noAvbl, now)
	noteIf(&m.NoQuota, k.noQuota, now)
	if k.setTime != setTimeUntried {
		m.SetTime.note(setTimeNames[k.setTime], now)
	}
	if len(k.noSum) > 0 {
		var sums []string
		for sum := range k.noSum {
			sums = append(sums, sum)
		}
		slices.Sort(sums)
		m.NoSums.note(strings.Join(sums, ","), now)
	}
	return m
}
