package ftpscript

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Command is one command a client sent.
type Command struct {
	Session int // 1 for the first session
	At      time.Time
	Verb    string // upper case; for SITE with its word: "SITE CHMOD"
	Arg     string // as sent, passwords blanked
	Path    string // absolute path it is about; "" when it is about none
	Reply   string // last line sent for it; "" while there is none
	Bytes   int64  // over the data connection
}

// String is a line for a transcript.
func (c Command) String() string {
	line := fmt.Sprintf("%s #%d %s %s", c.At.Format("05.000"), c.Session, c.Verb, c.Arg)
	if c.Bytes > 0 {
		line += fmt.Sprintf(" [%d bytes]", c.Bytes)
	}
	return line + " → " + c.Reply
}

// record holds every command since the start.
type record struct {
	mu       sync.Mutex // guards what follows
	commands []Command
	changed  chan struct{} // closed and renewed at each change
}

// Mark is a moment in the record, for Since.
func (r *record) Mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.commands)
}

// Since returns the commands that arrived after mark; Since(0) is all of them.
func (r *record) Since(mark int) Commands {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.commands[mark:])
}

// Await waits until enough says so of the commands since mark, as they come in
// and are answered, and returns them; or what there was when ctx ended, with its
// error.
func (r *record) Await(ctx context.Context, mark int, enough func(Commands) bool) (Commands, error) {
	for {
		r.mu.Lock()
		now, changed := slices.Clone(r.commands[mark:]), r.changed
		r.mu.Unlock()
		if enough(now) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

// Transcript is the last n commands, one a line.
func (r *record) Transcript(n int) string {
	all := r.Since(0)
	return all[max(0, len(all)-n):].String()
}

func (r *record) add(c Command) (index int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands = append(r.commands, c)
	r.wakeLocked()
	return len(r.commands) - 1
}

func (r *record) answered(index int, reply string, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands[index].Reply, r.commands[index].Bytes = reply, bytes
	r.wakeLocked()
}

func (r *record) wakeLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Commands is a stretch of the record.
type Commands []Command

// Verbs are the commands with one of these verbs.
func (c Commands) Verbs(verbs ...string) Commands {
	return c.Filter(func(c Command) bool { return slices.Contains(verbs, c.Verb) })
}

// Listings are the commands that list a directory.
func (c Commands) Listings() Commands { return c.Verbs("LIST", "MLSD", "NLST", "STAT") }

// Transfers are the commands that move a file's content.
func (c Commands) Transfers() Commands { return c.Verbs("RETR", "STOR", "APPE", "STOU") }

// About are the commands about one path.
func (c Commands) About(path string) Commands {
	return c.Filter(func(c Command) bool { return c.Path == path })
}

// Filter are the commands that keep is true for.
func (c Commands) Filter(keep func(Command) bool) Commands {
	var kept Commands
	for _, cmd := range c {
		if keep(cmd) {
			kept = append(kept, cmd)
		}
	}
	return kept
}

func (c Commands) String() string {
	var b strings.Builder
	for _, cmd := range c {
		b.WriteString(cmd.String())
		b.WriteByte('\n')
	}
	return b.String()
}
