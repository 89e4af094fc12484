package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestVersionDiffers(t *testing.T) {
	at := time.Date(2024, 1, 5, 12, 34, 56, 0, time.UTC)
	base := Version{Size: 10, MTime: at, MGrain: time.Second, Unique: "u1"}
	with := func(change func(*Version)) Version { v := base; change(&v); return v }
	for _, c := range []struct {
		what string
		v    Version
		want bool
	}{
		{"the same", base, false},
		{"the same moment in another zone", with(func(v *Version) { v.MTime = at.In(time.FixedZone("", 3600)) }), false},
		{"another size", with(func(v *Version) { v.Size = 11 }), true},
		{"empty", with(func(v *Version) { v.Size = 0 }), true},
		{"size unknown", with(func(v *Version) { v.Size = -1 }), false},
		{"a second later", with(func(v *Version) { v.MTime = at.Add(time.Second) }), true},
		{"a second earlier", with(func(v *Version) { v.MTime = at.Add(-time.Second) }), true},
		{"part of a second", with(func(v *Version) { v.MTime = at.Add(999 * time.Millisecond) }), false},
		{"time unknown", with(func(v *Version) { v.MTime, v.MGrain = time.Time{}, 0 }), false},
		{"the same minute", with(func(v *Version) { v.MTime, v.MGrain = at.Truncate(time.Minute), time.Minute }), false},
		{"a minute off", with(func(v *Version) { v.MTime, v.MGrain = at.Add(time.Minute), time.Minute }), true},
		{"the minute before", with(func(v *Version) { v.MTime, v.MGrain = at.Truncate(time.Minute).Add(-time.Minute), time.Minute }), true},
		{"the same day", with(func(v *Version) { v.MTime, v.MGrain = at.Truncate(24*time.Hour), 24*time.Hour }), false},
		{"the day before", with(func(v *Version) { v.MTime, v.MGrain = at.Truncate(24*time.Hour).Add(-24*time.Hour), 24*time.Hour }), true},
		{"another file of the same looks", with(func(v *Version) { v.Unique = "u2" }), true},
		{"unique unknown", with(func(v *Version) { v.Unique = "" }), false},
		{"nothing known", Version{Size: -1}, false},
		{"size differs, time unknown", Version{Size: 9}, true},
		{"unique differs, size unknown", Version{Size: -1, Unique: "u2"}, true},
	} {
		if got := base.Differs(c.v); got != c.want {
			t.Errorf("%s: differs %v, want %v", c.what, got, c.want)
		}
		if got := c.v.Differs(base); got != c.want {
			t.Errorf("%s, the other way round: differs %v, want %v", c.what, got, c.want)
		}
	}
}

func TestEntryVersion(t *testing.T) {
	at := time.Date(2024, 1, 5, 12, 34, 0, 0, time.UTC)
	e := Entry{Name: "x", Size: 5, MTime: at, MGrain: time.Minute, Unique: "u", Mode: 0o644, HasMode: true}
	if got, want := e.Version(), (Version{Size: 5, MTime: at, MGrain: time.Minute, Unique: "u"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestKindOf(t *testing.T) {
	inner := &Error{Op: "upload", Path: "/a", Kind: NoSpace}
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{inner, NoSpace},
		{fmt.Errorf("sync: %w", inner), NoSpace},
		{&Error{Kind: Changed, Err: inner}, Changed}, // the outer one has judged
		{&Error{Kind: Down, Err: context.Canceled}, Down},
		{context.Canceled, Canceled},
		{fmt.Errorf("wait: %w", context.Canceled), Canceled},
		{context.DeadlineExceeded, Timeout},
		{errors.New("else"), Unknown},
		{nil, Unknown},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) is %v, want %v", c.err, got, c.want)
		}
	}
	if Is(nil, Unknown) {
		t.Error("nil is of kind Unknown")
	}
	if !Is(errors.New("else"), Unknown) || !Is(inner, NoSpace) || Is(inner, Down) {
		t.Error("Is does not agree with KindOf")
	}
}

// TestKinds: every kind has a name and a verdict that was thought about. What is
// parked waits for a person; what is retried can pass by itself.
func TestKinds(t *testing.T) {
	verdicts := map[Kind]Verdict{
		Unknown: Park, IsDir: Park, NotDir: Park, Permission: Park, NoSpace: Park, BadName: Park, Unsupported: Park,
		NotExist: Recheck, Exist: Recheck, NoReplace: Recheck, Changed: Recheck,
		NotEmpty: Retry, ShortWrite: Retry, Corrupt: Retry, Auth: Retry, Temporary: Retry, Protocol: Retry, Timeout: Retry, Down: Retry, Canceled: Retry,
	}
	seen := map[string]Kind{}
	for k := Unknown; k <= Canceled; k++ {
		name := k.String()
		if other, twice := seen[name]; twice || name == "" || strings.HasPrefix(name, "kind ") {
			t.Errorf("kind %d is called %q (as is %d)", k, name, other)
		}
		seen[name] = k
		want, known := verdicts[k]
		if got := k.Verdict(); !known || got != want {
			t.Errorf("verdict of %q is %d, want %d", k, got, want)
		}
		if got, want := k.Offline(), k == Timeout || k == Down || k == Auth; got != want {
			t.Errorf("%q is offline: %v", k, got)
		}
	}
	if got := (Canceled + 1).String(); got != "kind 20" {
		t.Errorf("a kind out of range is called %q", got)
	}
}

func TestErrorText(t *testing.T) {
	for want, err := range map[string]error{
		"upload /a/b.iso: no space (552 quota exceeded)":        &Error{Op: "upload", Path: "/a/b.iso", Kind: NoSpace, Code: 552, Text: "quota exceeded"},
		"connect: server unreachable: EOF":                      &Error{Op: "connect", Kind: Down, Err: errors.New("EOF")},
		"list /: bad answer from the server (cut short)":        &Error{Op: "list", Path: "/", Kind: Protocol, Text: "cut short"},
		"rename /x: not found (550 gone): looked at both names": &Error{Op: "rename", Path: "/x", Kind: NotExist, Code: 550, Text: "gone", Err: errors.New("looked at both names")},
		"stat /x: timed out":                                    &Error{Op: "stat", Path: "/x", Kind: Timeout},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	cause := errors.New("cause")
	if !errors.Is(&Error{Err: cause}, cause) {
		t.Error("the cause is lost")
	}
}
