package ftpscript

import (
	"io"
	"sync"
	"time"
)

// Rule makes the server misbehave on the commands it matches. The first rule
// that matches wins. What is set happens in the order of the fields.
type Rule struct {
	Verb  string // "STOR", "SITE CHMOD"; "" is every verb
	Path  string // absolute path the command is about; "" is any
	Match func(Command) bool
	Skip  int // let this many matching commands pass first
	Times int // then apply this often; 0 is for ever

	Delay   time.Duration   // before anything else
	Hold    <-chan struct{} // wait until it is closed, before anything else
	Drop    bool            // reset the control connection; the command is not executed
	Instead string          // reply this; the command is not executed
	Data    *DataFault      // of the transfer it starts
	Before  string          // execute, but send this line just before the final reply
	Swallow bool            // execute, never send the final reply; the session goes on
	Final   string          // execute, but send this in place of the final reply
	Hangup  bool            // execute, then reset the control connection, no final reply
	Speak   Speak           // says the final reply, or what the rule has in place of it
	Then    func(Command)   // called between the execution and the reply
}

// DataFault is what happens to a transfer's data connection.
type DataFault struct {
	After int64           // bytes that still pass; -1 is all of it
	Hold  <-chan struct{} // then wait until it is closed; and then
	Reset bool            // reset the connection, else close it
	Reply string          // final reply; "" is 426
	On    bool            // go on with the transfer after Hold, instead of ending it
	Torn  bool            // close encrypted data without close_notify
	Flood string          // after After bytes of a download send this for ever, as long as it is taken
	// Announce is what is said in place of the 150; nil is the 150.
	Announce func(w io.Writer)
}

// Applied is a rule in force.
type Applied struct {
	owner   *rules
	rule    Rule
	skipped int           // guarded by owner.mu, as what follows
	hits    int           //
	hit     chan struct{} // closed at the first hit
}

type rules struct {
	mu   sync.Mutex // guards what follows
	list []*Applied
}

// Add puts a rule in force, behind those already there.
func (r *rules) Add(rule Rule) *Applied {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &Applied{owner: r, rule: rule, hit: make(chan struct{})}
	r.list = append(r.list, a)
	return a
}

// Remove ends a rule. A command it already holds stays held.
func (a *Applied) Remove() {
	a.owner.mu.Lock()
	defer a.owner.mu.Unlock()
	for i, b := range a.owner.list {
		if a == b {
			a.owner.list = append(a.owner.list[:i:i], a.owner.list[i+1:]...)
			return
		}
	}
}

// Hits is how often the rule applied.
func (a *Applied) Hits() int {
	a.owner.mu.Lock()
	defer a.owner.mu.Unlock()
	return a.hits
}

// Hit is closed when the rule applies for the first time.
func (a *Applied) Hit() <-chan struct{} { return a.hit }

// match returns the rule for a command; the zero Rule when there is none.
func (r *rules) match(c Command) Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.list {
		w := &a.rule
		switch {
		case w.Verb != "" && w.Verb != c.Verb,
			w.Path != "" && w.Path != c.Path,
			w.Match != nil && !w.Match(c),
			w.Times > 0 && a.hits >= w.Times:
			continue
		case a.skipped < w.Skip:
			a.skipped++
			continue
		}
		if a.hits++; a.hits == 1 {
			close(a.hit)
		}
		return *w
	}
	return Rule{}
}
