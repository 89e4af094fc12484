package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// longest is the longest packet carried; the devices have an MTU of 1,500.
const longest = 1500

// profile is what a line is like.
type profile struct {
	delay time.Duration // one way
	rate  int64         // bits a second; 0: as fast as it goes
	queue int64         // bytes that may wait for the line
}

// counters are of one direction.
type counters struct {
	Packets, Bytes int64 // delivered
	Overflow       int64 // packets lost as the queue was full
	Silenced       int64 // packets lost on order
	Late           int64 // nanoseconds that the latest packet came after its time
}

// lane is one direction of the link. accept owns the line's state, deliver the
// receiving device; between them stands a queue in the order of arrival.
type lane struct {
	from, to *os.File
	profile  atomic.Pointer[profile]
	silent   atomic.Bool
	way      chan packet

	packets, bytes, overflow, silenced, late atomic.Int64
}

// packet is under way until due.
type packet struct {
	data []byte
	due  time.Time
}

func newLane(from, to *os.File) *lane {
	l := &lane{from: from, to: to, way: make(chan packet, 1<<16)}
	l.profile.Store(&profile{queue: 1 << 20})
	return l
}

// accept takes packets from the sending device at once and gives each the time of
// its arrival: when the line has sent what came before it and itself, and the
// delay has gone by. What does not fit the queue is lost, as in a router.
func (l *lane) accept() {
	runtime.LockOSThread() // blocked in read(2), not in the poller: it wakes sooner
	var free time.Time     // when the line has sent all it was given
	buf := make([]byte, longest)
	for {
		n, err := unix.Read(int(l.from.Fd()), buf)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN || err == unix.EIO: // EIO: the device is down
			continue
		case err != nil:
			fail("read from %s: %v", l.from.Name(), err)
		case l.silent.Load():
			l.silenced.Add(1)
			continue
		}
		p, now := l.profile.Load(), time.Now()
		if free.Before(now) {
			free = now
		}
		if p.rate > 0 {
			if waiting := int64(free.Sub(now).Seconds() * float64(p.rate) / 8); waiting+int64(n) > p.queue {
				l.overflow.Add(1)
				continue
			}
			free = free.Add(time.Duration(int64(n) * 8 * int64(time.Second) / p.rate))
		}
		select {
		case l.way <- packet{append([]byte(nil), buf[:n]...), free.Add(p.delay)}:
		default:
			l.overflow.Add(1)
		}
	}
}

// deliver hands each packet to the receiving device when it is due. Go's timers
// are good to a millisecond only, the kernel's to some ten microseconds.
func (l *lane) deliver() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // of this thread
	for p := range l.way {
		for wait := time.Until(p.due); wait > 0; wait = time.Until(p.due) {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // a signal wakes it early: look again
		}
		if l.silent.Load() {
			l.silenced.Add(1)
			continue
		}
		if late := int64(time.Since(p.due)); late > l.late.Load() {
			l.late.Store(late) // only deliver stores it
		}
		switch _, err := unix.Write(int(l.to.Fd()), p.data); err {
		case nil:
			l.packets.Add(1)
			l.bytes.Add(int64(len(p.data)))
		case unix.EIO, unix.EINVAL: // the device is down, or does not take this packet
			l.silenced.Add(1)
		default:
			fail("write to %s: %v", l.to.Name(), err)
		}
	}
}

func (l *lane) counters() counters {
	return counters{l.packets.Load(), l.bytes.Load(), l.overflow.Load(), l.silenced.Load(), l.late.Swap(0)}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "carrier: "+format+"\n", args...)
	os.Exit(1)
}
