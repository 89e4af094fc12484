package wire

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// The trace is the dialogue of one connection, for a person: what we said (>), what the
// server said (<), and what became of the connections (=, or ! where something is given up).

// maxTrace bounds a line of the trace: a reply may have 256 KiB.
const maxTrace = 1000

func (c *Conn) trace(line string) {
	if c.cfg.Trace == nil {
		return
	}
	if len(line) > maxTrace {
		line = fmt.Sprintf("%s… (%d bytes)", line[:maxTrace], len(line))
	}
	c.cfg.Trace(c.cfg.ID, line)
}

// redact blanks what must never be seen.
func redact(cmd string) string {
	if verb, _, found := strings.Cut(cmd, " "); found && confidential(verb) {
		return verb + " ****"
	}
	return cmd
}

func confidential(verb string) bool {
	return strings.EqualFold(verb, "PASS") || strings.EqualFold(verb, "ACCT")
}

// shortestEcho is the length from which on a secret is looked for in the reply to it. A
// shorter one would be found in innocent words, and be told by what is blanked.
const shortestEcho = 4

// withoutEcho blanks what the reply to a secret repeats of it, also a reply that is none.
func withoutEcho(r *Reply, err error, secret string) error {
	if len(secret) < shortestEcho {
		return err
	}
	for i := range r.Lines {
		r.Lines[i] = strings.ReplaceAll(r.Lines[i], secret, "****")
	}
	if m, ok := err.(malformed); ok {
		return malformed(strings.ReplaceAll(string(m), secret, "****"))
	}
	return err
}

// traceData tells that a transfer has its data connection.
func (c *Conn) traceData(nc net.Conn) {
	if c.cfg.Trace != nil {
		c.trace(fmt.Sprintf("= data connection %v, server's end %v", nc.LocalAddr(), nc.RemoteAddr()))
	}
}

// traceEnd tells how the data connection ended.
func (d *Data) traceEnd() {
	if d.c.cfg.Trace == nil {
		return
	}
	how, moved := "closed", "received"
	if d.upload {
		moved = "sent"
	}
	switch {
	case d.broken != nil:
		how = "ended: " + d.broken.Error()
	case !d.upload && !d.eof:
		how = "given up"
	}
	d.c.trace(fmt.Sprintf("= data connection %s; %d bytes %s in %v", how, d.n, moved, time.Since(d.began).Round(time.Millisecond)))
}
