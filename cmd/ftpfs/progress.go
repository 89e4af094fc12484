package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"ftpfs/cache"
	"ftpfs/cmd/internal/debt"
)

// progress shows how far a waiting is: on a terminal one line that is written over,
// elsewhere a line now and then.
type progress struct {
	out   io.Writer
	width func() int // of the terminal; nil: there is none
	pace  pace
	last  time.Time // of the last line
	said  string
	shown bool // a line stands on the terminal
}

const (
	lineEvery   = 5 * time.Second        // where there is no terminal
	redrawEvery = 200 * time.Millisecond // on one
	quietAfter  = 5 * time.Second        // without movement, so is said
)

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, last: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.last = time.Time{}
		p.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	return p
}

// update takes a line of the daemon's.
func (p *progress) update(raw json.RawMessage) {
	var s cache.Progress
	if json.Unmarshal(raw, &s) != nil || s.Files == 0 {
		return
	}
	now := time.Now()
	p.pace.add(now, s)
	every := lineEvery
	if p.width != nil {
		every = redrawEvery
	}
	if now.Sub(p.last) < every {
		return
	}
	text := progressText(s, &p.pace, now)
	if p.width != nil {
		text = text[:min(len(text), max(p.width()-1, 0))] // it is ASCII
	}
	if text == p.said {
		return
	}
	p.last, p.said = now, text
	if p.width == nil {
		fmt.Fprintln(p.out, text)
		return
	}
	fmt.Fprint(p.out, "\r\x1b[K"+text)
	p.shown = true
}

// end takes the line off the terminal.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// progressText is for example "3 of 7 files, 1.2 GiB of 2 GiB (60 %), 11 MiB/s, 1 min 14 s
// left". What is not known is left out.
func progressText(s cache.Progress, p *pace, now time.Time) string {
	parts := []string{fmt.Sprintf("%d of %s", s.FilesDone, count(s.Files, "file"))}
	if s.Bytes > 0 {
		done := min(s.BytesDone, s.Bytes)
		percent := int(float64(done) / float64(s.Bytes) * 100)
		if s.FilesDone < s.Files { // all sent is not all there
			percent = min(percent, 99)
		}
		parts = append(parts, fmt.Sprintf("%s of %s (%d %%)", size(done), size(s.Bytes), percent))
	}
	if s.Parked > 0 {
		parts = append(parts, fmt.Sprintf("%d parked", s.Parked))
	}
	quiet := p.quiet(now)
	switch rate := p.rate(now); {
	case !s.Online:
		parts = append(parts, "the server is down")
	case quiet >= quietAfter:
		parts = append(parts, "nothing has moved for "+about(quiet))
	case rate > 0:
		parts = append(parts, debt.Rate(rate))
		if left := s.Bytes - s.BytesDone; left > 0 && s.Parked == 0 { // of those parked no byte will move
			parts = append(parts, about(time.Duration(float64(left)/rate*float64(time.Second)))+" left")
		}
	}
	return strings.Join(parts, ", ")
}

// about is a duration for people, in two units at most.
func about(d time.Duration) string {
	switch s := int64(min(d, 1000*time.Hour).Seconds()); {
	case s < 1:
		return "1 s"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 100*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return "days"
}

// pace is how fast bytes went in the last seconds. A transfer that begins anew counts
// from there.
type pace struct {
	samples []sample // the oldest first, those of paceWindow and one before
	moved   time.Time
	files   int
}

type sample struct {
	at    time.Time
	bytes int64
}

const paceWindow = 10 * time.Second

func (p *pace) add(now time.Time, s cache.Progress) {
	if n := len(p.samples); n == 0 || s.BytesDone != p.samples[n-1].bytes || s.FilesDone != p.files {
		p.moved = now
	}
	p.files = s.FilesDone
	if n := len(p.samples); n > 0 && s.BytesDone < p.samples[n-1].bytes {
		p.samples = p.samples[:0]
	}
	p.samples = append(p.samples, sample{now, s.BytesDone})
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= paceWindow {
		p.samples = p.samples[1:]
	}
}

// rate in bytes a second; 0 while it is not known.
func (p *pace) rate(now time.Time) float64 {
	if len(p.samples) == 0 {
		return 0
	}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	if took := now.Sub(first.at); took >= time.Second {
		return float64(last.bytes-first.bytes) / took.Seconds()
	}
	return 0
}

// quiet is for how long nothing has moved.
func (p *pace) quiet(now time.Time) time.Duration {
	if p.moved.IsZero() {
		return 0
	}
	return now.Sub(p.moved)
}
