// Package soak drives the mounted program with random operations for a long time: on
// each kind of server, with outages, remounts, kill -9, and another client at work on the
// server's disk. What is compared is in world_test.go. At the end the daemon's memory,
// descriptors and connections must be what they were after it had warmed up.
//
//	make soak                            # with the in-process model of package cache
//	go test ./test/soak -soak.ops=1000 -soak.seed=7
package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

var (
	soakOps  = flag.Int("soak.ops", 0, "operations through the mount; 0: 200, or $FTPFS_SOAK_MOUNTED")
	soakSeed = flag.Uint64("soak.seed", 0, "seed; 0: another each time")
)

func TestMain(m *testing.M) { mount.Main(m) }

// Memory may grow by so much from the first measurement to the last: what a garbage
// collector leaves lying about, not what a leak would leave in thousands of operations.
const (
	memorySlack     = 16 << 10 // KiB
	descriptorSlack = 8
	threadSlack     = 16
	socketsAtAll    = 5 + 8 // max_conns, the control socket, and what Go keeps
	samplesWanted   = 4
)

// TestSoak is one run. The short form picks one kind of server.
func TestSoak(t *testing.T) {
	ops, seed := *soakOps, *soakSeed
	if ops == 0 {
		ops = 200
		if n, err := strconv.Atoi(os.Getenv("FTPFS_SOAK_MOUNTED")); err == nil {
			ops = n
		}
	}
	if seed == 0 {
		seed = rand.Uint64N(1e9)
	}
	kinds := servers.All
	if ops < 1000 {
		i := seed % uint64(len(kinds))
		kinds = kinds[i : i+1]
	}
	var sum figures
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, kind, seed)
			w.run(ops / len(kinds))
			sum.add(w.did)
		})
	}
	if sum.stuck > 0 {
		t.Logf("%d sessions of vsftpd were ended that had been stuck since an outage", sum.stuck)
	}
	if !t.Failed() && sum.ops > 0 {
		t.Logf("figure: soak, mounted: %d operations done (%d tried), %d outages, %d restarts (%d by kill -9), %d changes by another client, 0 differences; "+
			"RSS %d→%d MiB, descriptors %d→%d, threads %d→%d, sockets at most %d (seed %d)",
			sum.ops, sum.tried, sum.outages, sum.restarts, sum.kills, sum.changes, sum.first.rss>>10, sum.last.rss>>10,
			sum.first.fds, sum.last.fds, sum.first.threads, sum.last.threads, sum.conns, seed)
	}
}

// figures of a run; the usage is that of the server where it was the largest. Ops are the
// operations that were done.
type figures struct {
	ops, tried, outages, restarts, kills, changes, conns int
	stuck                                                int // sessions of the server that had to be ended
	first, last                                          usage
}

func (f *figures) add(g figures) {
	f.ops += g.ops
	f.tried += g.tried
	f.outages += g.outages
	f.restarts += g.restarts
	f.kills += g.kills
	f.changes += g.changes
	f.stuck += g.stuck
	f.conns = max(f.conns, g.conns)
	if g.last.rss > f.last.rss {
		f.first, f.last = g.first, g.last
	}
}

// usage of the daemon when it is at rest.
type usage struct{ rss, fds, threads, conns int }

func usageOf(t *testing.T, pid int) usage {
	t.Helper()
	var u usage
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		if words := strings.Fields(rest); len(words) > 0 {
			n, _ := strconv.Atoi(words[0])
			switch key {
			case "VmRSS":
				u.rss = n
			case "Threads":
				u.threads = n
			}
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		switch to, _ := os.Readlink(fd); {
		case strings.HasPrefix(to, "socket:"):
			u.conns++
		default:
			u.fds++
		}
	}
	return u
}

// flat compares what was measured in one life of the daemon.
func (w *world) flat(samples []usage) {
	w.t.Helper()
	if len(samples) < samplesWanted {
		return
	}
	first, last := samples[1], samples[len(samples)-1]
	for _, s := range samples {
		w.did.conns = max(w.did.conns, s.conns)
	}
	w.did.first, w.did.last = first, last
	w.t.Logf("at rest: %+v", samples)
	if last.rss > first.rss+memorySlack {
		w.t.Errorf("the daemon's memory grew from %d to %d KiB", first.rss, last.rss)
	}
	if w.did.conns > socketsAtAll {
		w.t.Errorf("the daemon held %d sockets at rest", w.did.conns)
	}
	if last.fds > first.fds+descriptorSlack {
		w.t.Errorf("the daemon's descriptors grew from %d to %d", first.fds, last.fds)
	}
	if last.threads > first.threads+threadSlack {
		w.t.Errorf("the daemon's threads grew from %d to %d", first.threads, last.threads)
	}
}

func (w *world) run(ops int) {
	t := w.t
	var samples []usage
	lives := ops * 2 / 5 // in these the daemon ends and begins again; then it stays
	for w.did.ops < ops {
		for range 25 + w.r.IntN(50) {
			w.step()
		}
		if w.r.IntN(10) < 4 {
			w.outage()
		}
		if w.did.restarts < 2 || w.did.ops < lives && w.r.IntN(2) == 0 { // by either in turn, so that both come
			w.remount(w.did.restarts%2 == 0)
		}
		w.settle()
		if w.did.ops >= lives+len(samples)*(ops-lives)/10 || len(w.files) > 80 {
			w.clear()
			if w.did.ops >= lives {
				samples = append(samples, usageOf(t, w.m.PID()))
			}
		}
		if t.Failed() {
			return
		}
	}
	w.flat(samples)
	if w.did.kills == 0 || w.did.kills == w.did.restarts {
		t.Errorf("of %d restarts %d were by kill -9; want both kinds", w.did.restarts, w.did.kills)
	}
	w.m.Unmount()
}

const waiting = 90 * time.Second
