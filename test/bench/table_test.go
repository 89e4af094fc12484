package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// table is what TestWorkloads prints at its end.
type table struct {
	line string
	rows []*row
}

// row is one workload, or what comes later in one.
type row struct {
	name  string
	aim   float64       // seconds; 0: none was set for this course
	limit time.Duration // of the line
	of    map[string][]cell
	then  *row // measured in the same runs
}

type cell struct {
	took time.Duration
	m    measured
}

// row begins a row. Aims were set for one course only.
func (t *table) row(w workload, c *course) *row {
	usual := c0.full && c0.rtt == 20*time.Millisecond && c0.rate == 200e6 && !c0.loopback && c0.encrypted == "" && c0.cap == 0
	limit := func(trips float64, bytes int64) time.Duration {
		if c0.loopback {
			return 0
		}
		const payload = 1448. / 1500 // of a full packet: without the headers of IP and TCP
		return time.Duration(trips*float64(c0.rtt)) + time.Duration(float64(bytes)*8/payload/float64(c0.rate)*1e9)
	}
	r := &row{name: w.name, of: map[string][]cell{}}
	t.rows = append(t.rows, r)
	if usual {
		r.aim = w.aim
	}
	if w.later == nil {
		r.limit = limit(w.trips, w.bytes(c.s))
		return r
	}
	r.then = &row{name: w.laterIs, limit: limit(w.trips, allSmall(c.s)), of: map[string][]cell{}}
	if usual {
		r.then.aim = w.laterAim
	}
	t.rows = append(t.rows, r.then)
	return r
}

func (r *row) add(who string, m measured) {
	r.of[who] = append(r.of[who], cell{m.took, m})
	if r.then != nil {
		r.then.of[who] = append(r.then.of[who], cell{m.later, m})
	}
}

// median of the runs that did what they should; not ok if one did not.
func median(cells []cell) (mid cell, ok bool) {
	sorted := slices.SortedFunc(slices.Values(cells), func(a, b cell) int { return int(a.took - b.took) })
	ok = len(sorted) > 0 && !slices.ContainsFunc(sorted, func(c cell) bool { return c.m.failed })
	if len(sorted) > 0 {
		mid = sorted[len(sorted)/2]
	}
	return mid, ok
}

// print writes the table, for people and for README.
func (t *table) print(tb testing.TB) {
	var names []string
	for _, r := range t.rows {
		for who := range r.of {
			if who != ours.name && !slices.Contains(names, who) {
				names = append(names, who)
			}
		}
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| workload | limit of the line | aim | ftpfs | commands, logins | MiB, CPU s |", t.line)
	for _, who := range names {
		fmt.Fprintf(&b, " %s | MiB, CPU s | × |", who)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", 6+3*len(names)) + "\n")
	for _, r := range t.rows {
		own, ok := median(r.of[ours.name])
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d, %d | %s |", r.name, seconds(r.limit), aim(r.aim), took(own, ok), own.m.commands, own.m.logins, cost(own))
		for _, who := range names {
			peer, ok := median(r.of[who])
			ratio := "–"
			if own.took > 0 && peer.took > 0 {
				ratio = fmt.Sprintf("%.1f", peer.took.Seconds()/own.took.Seconds())
			}
			fmt.Fprintf(&b, " %s | %s | %s |", took(peer, ok), cost(peer), ratio)
		}
		b.WriteByte('\n')
	}
	tb.Logf("table:\n%s", b.String())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

func aim(s float64) string {
	if s == 0 {
		return "–"
	}
	return fmt.Sprintf("%g", s)
}

// took marks runs that failed, or were cut off.
func took(c cell, ok bool) string {
	if !ok {
		return "failed, " + seconds(c.took)
	}
	return seconds(c.took)
}

func cost(c cell) string { return fmt.Sprintf("%d, %.2f", c.m.memory>>20, c.m.processor.Seconds()) }
