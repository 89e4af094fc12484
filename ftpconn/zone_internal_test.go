package ftpconn

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// told is a file with the time that LIST tells, and the reply to its MDTM.
func told(list, exact string, grain time.Duration) (remote.Entry, wire.Reply) {
	at, err := time.Parse("2006-01-02 15:04:05", list)
	if err != nil {
		panic(err)
	}
	r := wire.Reply{Code: 213, Lines: []string{exact}}
	if exact == "" {
		r = wire.Reply{Code: 550, Lines: []string{"no"}}
	}
	return remote.Entry{Name: "x", Type: remote.File, MTime: at, MGrain: grain}, r
}

func TestVotesOnTheZone(t *testing.T) {
	for what, c := range map[string]struct {
		list, exact string
		grain       time.Duration
		want        time.Duration
		none        bool
	}{
		"Greenwich":                     {list: "2026-01-05 12:34:00", exact: "20260105123456", grain: time.Minute},
		"India":                         {list: "2026-01-05 18:04:00", exact: "20260105123456", grain: time.Minute, want: 5*time.Hour + 30*time.Minute},
		"Marquesas":                     {list: "2026-01-05 03:04:00", exact: "20260105123456", grain: time.Minute, want: -9*time.Hour - 30*time.Minute},
		"Chatham":                       {list: "2026-01-06 02:19:00", exact: "20260105123456", grain: time.Minute, want: 13*time.Hour + 45*time.Minute},
		"to the second":                 {list: "2026-01-05 14:34:56", exact: "20260105123456", grain: time.Second, want: 2 * time.Hour},
		"a second between":              {list: "2026-01-05 14:34:55", exact: "20260105123456", grain: time.Second, none: true},
		"the year was guessed wrong":    {list: "2026-12-31 23:30:00", exact: "20251231223012", grain: time.Minute, want: time.Hour},
		"in a leap year":                {list: "2025-01-05 12:34:00", exact: "20240105123456", grain: time.Minute},
		"changed between":               {list: "2026-01-05 12:34:00", exact: "20260105123700", grain: time.Minute, none: true},
		"changed a quarter hour before": {list: "2026-01-05 12:34:00", exact: "20260105124900", grain: time.Minute, none: true},
		"days apart":                    {list: "2026-01-05 12:34:00", exact: "20260108123456", grain: time.Minute, none: true},
		"told by the day":               {list: "2024-01-05 00:00:00", exact: "20240105123456", grain: 24 * time.Hour, none: true},
		"no MDTM":                       {list: "2026-01-05 12:34:00", grain: time.Minute, none: true},
	} {
		e, r := told(c.list, c.exact, c.grain)
		votes := votesOf([]remote.Entry{e}, []int{0}, []wire.Reply{r}, nil)
		if c.none != (len(votes) == 0) || !c.none && votes[0].offset != c.want {
			t.Errorf("%s: %v, want %v", what, votes, c.want)
		}
		// Read in another zone, the same lines say the same.
		if c.none {
			continue
		}
		moved := time.FixedZone("", -3*3600)
		e.MTime = e.MTime.Add(3 * time.Hour)
		if votes = votesOf([]remote.Entry{e}, []int{0}, []wire.Reply{r}, moved); len(votes) == 0 || votes[0].offset != c.want {
			t.Errorf("%s, read in -03:00: %v, want %v", what, votes, c.want)
		}
	}
}

func TestOutcomeOfVotes(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }
	const h = time.Hour
	for what, c := range map[string]struct {
		votes []vote
		want  time.Duration
		sure  bool
	}{
		"none":                    {},
		"one":                     {votes: []vote{{day(0), h}}, want: h},
		"two":                     {votes: []vote{{day(0), h}, {day(1), h}}, want: h, sure: true},
		"two that differ":         {votes: []vote{{day(0), h}, {day(1), 2 * h}}, want: 2 * h},
		"one changed between":     {votes: []vote{{day(0), h}, {day(1), h}, {day(2), 7 * h}}, want: h, sure: true},
		"more winter than summer": {votes: []vote{{day(0), 2 * h}, {day(-200), h}, {day(-201), h}, {day(-202), h}}, want: h, sure: true},
		"half of each": {votes: []vote{{day(-200), h}, {day(0), 2 * h}, {day(-201), h}, {day(-1), 2 * h}},
			want: 2 * h, sure: true},
		"each another": {votes: []vote{{day(0), h}, {day(1), 2 * h}, {day(2), 3 * h}, {day(3), 4 * h}}},
	} {
		got, sure := outcome(c.votes)
		if sure != c.sure || (sure || len(c.votes) <= 2) && got != c.want {
			t.Errorf("%s: %v, sure %v; want %v, %v", what, got, sure, c.want, c.sure)
		}
	}
}

// The zone of a mount that lives long follows the server's, and is not led astray by one
// file that changed.
func TestZoneFollowsSummerTime(t *testing.T) {
	var log bytes.Buffer
	s := New(Config{Host: "h", Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	at := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	agree := func(o time.Duration, n int) (votes []vote) {
		for range n {
			votes = append(votes, vote{at, o})
		}
		return votes
	}
	for i, c := range []struct {
		votes []vote
		want  time.Duration
		known bool
	}{
		{votes: nil},
		{votes: agree(4*time.Hour, 1), want: 4 * time.Hour, known: true}, // better than nothing
		{votes: agree(time.Hour, 3), want: time.Hour, known: true},
		{votes: agree(4*time.Hour, 1), want: time.Hour, known: true}, // one file alone against three
		{votes: nil, want: time.Hour, known: true},
		{votes: append(agree(time.Hour, 1), agree(2*time.Hour, 1)...), want: time.Hour, known: true},
		{votes: agree(2*time.Hour, 2), want: 2 * time.Hour, known: true},
	} {
		l := s.heard(c.votes)
		if (l != nil) != c.known || offsetOf(l, at) != c.want {
			t.Errorf("step %d: %v, want %v", i, offsetOf(l, at), c.want)
		}
	}
	if n := strings.Count(log.String(), "zone of listings changed"); n != 1 {
		t.Errorf("the change is in the log %d times: %s", n, log.String())
	}
}

// A zone that was given stays, and the log says once that it does not fit.
func TestGivenZoneThatDoesNotFit(t *testing.T) {
	var log bytes.Buffer
	given := time.FixedZone("", 3*3600)
	s := New(Config{Host: "h", Zone: given, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	for range 3 {
		if l := s.heard([]vote{{time.Now(), time.Hour}, {time.Now(), time.Hour}}); l != given {
			t.Errorf("zone %v", l)
		}
	}
	if n := strings.Count(log.String(), "given=+03:00 differ=+01:00"); n != 1 {
		t.Errorf("warned %d times: %s", n, log.String())
	}
}
