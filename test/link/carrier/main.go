// Command carrier is the cable of a test link: it moves packets between two TUN
// devices, which it gets as file descriptors 3 and 4, and lets each packet arrive
// when a line of the given rate and round-trip time would have delivered it.
//
// It takes orders on standard input, a line each, and answers each with a line
// on standard output once it has been obeyed:
//
//	line RTT RATE QUEUE   round-trip time and rate (bits/s, 0: no limit), and how
//	                      many bytes may wait at each end before packets are lost
//	pass                  packets arrive
//	drop                  packets are lost, also those on their way
//	stats                 counters, as JSON
//
// It ends with its standard input, so that it never outlives the test.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

func main() {
	a, b := os.NewFile(3, "near"), os.NewFile(4, "far")
	there, back := newLane(a, b), newLane(b, a)
	lanes := []*lane{there, back}
	for _, l := range lanes {
		go l.accept()
		go l.deliver()
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		fmt.Println(obey(orders.Text(), lanes))
	}
}

// obey carries out one order and returns the answer.
func obey(order string, lanes []*lane) string {
	var rtt string
	var p profile
	if n, _ := fmt.Sscanf(order, "line %s %d %d", &rtt, &p.rate, &p.queue); n == 3 {
		d, err := time.ParseDuration(rtt)
		if err != nil || d < 0 || p.rate < 0 || p.queue <= 0 {
			return "bad line: " + order
		}
		p.delay = d / 2
		for _, l := range lanes {
			l.profile.Store(&p)
		}
		return "ok"
	}
	switch order {
	case "pass", "drop":
		for _, l := range lanes {
			l.silent.Store(order == "drop")
		}
		return "ok"
	case "stats":
		text, err := json.Marshal([]counters{lanes[0].counters(), lanes[1].counters()})
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return "unknown order: " + order
}
