package bench

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// relay stands between the daemon and the server's control port and counts what passes, by
// verb. Data connections do not go through it: their port is the server's own.
type relay struct {
	to       string // immutable
	listener net.Listener
	all      sync.WaitGroup

	mu       sync.Mutex // guards what follows
	ends     []net.Conn
	verbs    map[string]int
	logins   int       // passwords accepted
	waiting  int       // commands and connections without a final reply
	last     time.Time // when something passed
	finished bool
}

// newRelay relays to a server at host and port until the test ends.
func newRelay(t *testing.T, host string, port int) *relay {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must(t, err)
	r := &relay{to: fmt.Sprintf("%s:%d", host, port), listener: l, verbs: map[string]int{}}
	r.all.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relay) port() int { return r.listener.Addr().(*net.TCPAddr).Port }

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			near.Close()
			continue
		}
		r.mu.Lock()
		r.ends = append(r.ends, near, far)
		r.waiting++ // a connection is a command too, answered by the greeting
		if r.finished {
			near.Close()
			far.Close()
		}
		r.mu.Unlock()
		r.all.Go(func() { r.pass(near, far, r.command) })
		r.all.Go(func() { r.pass(far, near, r.reply) })
	}
}

func (r *relay) close() {
	r.listener.Close()
	r.mu.Lock()
	r.finished = true
	for _, c := range r.ends {
		c.Close()
	}
	r.mu.Unlock()
	r.all.Wait()
}

// pass hands on what comes, as it comes, and tells of each line before.
func (r *relay) pass(from, to net.Conn, tell func(line string)) {
	defer to.Close()
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			tell(line)
		}
		// What else is there belongs to the same segment, as far as the relay can see to it.
		for err == nil && in.Buffered() > 0 {
			more, _ := in.Peek(in.Buffered())
			i := strings.IndexByte(string(more), '\n')
			if i < 0 {
				break
			}
			next := string(more[:i+1])
			_, _ = in.Discard(len(next))
			tell(next)
			line += next
		}
		if line != "" {
			if _, err := io.WriteString(to, line); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *relay) command(line string) {
	verb, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	verb = strings.ToUpper(verb)
	if verb == "SITE" {
		word, _, _ := strings.Cut(rest, " ")
		verb += "-" + strings.ToUpper(word)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verbs[verb]++
	r.waiting++
	r.last = time.Now()
}

// reply counts final replies: three digits and a blank, and no 1xx.
func (r *relay) reply(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
	if len(line) < 4 || line[3] != ' ' || line[0] < '2' || line[0] > '5' {
		return
	}
	if r.waiting--; strings.HasPrefix(line, "230 ") {
		r.logins++
	}
}

// settled waits until nothing has passed for a moment, and nothing is under way. A download of
// which nobody takes anything for now is not waited for: it stands for 15 s.
// all says that nothing is under way.
func (r *relay) settled(t *testing.T) (c count, all bool) {
	const moment, stands = 400 * time.Millisecond, 2 * time.Second
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r.mu.Lock()
		waiting, quiet := r.waiting, time.Since(r.last)
		c = count{verbs: maps.Clone(r.verbs), logins: r.logins}
		r.mu.Unlock()
		if quiet > stands || waiting <= 0 && quiet > moment {
			return c, waiting <= 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("the dialogue does not come to rest: %d commands wait, silent for %v", waiting, quiet)
		}
	}
}
