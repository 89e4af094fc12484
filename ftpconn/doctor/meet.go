package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/proxy"
	"ftpfs/ftpconn/wire"
)

// meet logs in for the first time, and says who the server is. It reports whether the
// rest can be found out.
func (r *run) meet(ctx context.Context) bool {
	if r.cfg.Doing != nil {
		r.cfg.Doing("login")
	}
	mark := r.watch.mark()
	lctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	begun := time.Now()
	err := r.login(lctx)
	took := time.Since(begun)
	r.greeted(mark)
	if err != nil {
		r.notLoggedIn(ctx, mark, err)
		return false
	}
	r.rep.Facts.Login = took.Seconds()
	user := r.cfg.Server.User
	if user == "" {
		user = "anonymous"
	}
	f := Finding{ID: "login", Level: OK, Text: fmt.Sprintf("as %s, in %s", escape(user), brief(took))}
	if took > slowLogin {
		f.Level = Note
		f.More = []string{"logins are slow, so the mount keeps its connections open"}
	}
	r.add(f)
	r.software(lctx)
	return true
}

// slowLogin is what hashing a password may cost, and a firewall that looks names up.
const slowLogin = 3 * time.Second

// login makes r.d.
func (r *run) login(ctx context.Context) (err error) {
	r.d, err = login(ctx, r.store, r.cfg.Server)
	return err
}

// login waits where a server is full. It may be so for a moment, for what was closed just
// now; and mounts of this user are asked to give way.
func login(ctx context.Context, s *ftpconn.Store, cfg ftpconn.Config) (d *ftpconn.Dialogue, err error) {
	err = s.InTurn(ctx, fullTime(cfg), func() (err error) {
		d, err = s.Dialogue(ctx)
		return err
	})
	return d, err
}

// fullTime is how long is waited for a server that is full: longer than the longest turn
// of a mount, where such can be asked.
func fullTime(cfg ftpconn.Config) time.Duration {
	if cfg.Queue != nil {
		return 15 * time.Second
	}
	return min(cfg.Timeout, 10*time.Second)
}

func (r *run) greeted(mark int) {
	text := r.watch.greeting(mark)
	if text == "" {
		return
	}
	r.rep.Facts.Greeting = text
	code, words, _ := strings.Cut(text, " ")
	words, _, _ = strings.Cut(words, " "+code+"-") // the first line of several
	r.add(Finding{ID: "greeting", Level: OK, Text: greetingLine(wire.Reply{Lines: []string{words}})})
}

// greetingLine is what a greeting has to say, without its ornaments.
func greetingLine(g wire.Reply) string {
	for _, l := range g.Lines {
		if l = strings.Trim(l, " -*#=_.+"); l != "" {
			return plain(l)
		}
	}
	return "it says nothing"
}

// notLoggedIn says why there is nothing more to find out.
func (r *run) notLoggedIn(ctx context.Context, mark int, err error) {
	f := Finding{Level: Problem, Text: plain(cause(err))}
	f.Sent, f.Came = r.watch.failure(mark)
	var insecure *ftpconn.Insecure
	switch kind := remote.KindOf(err); {
	case ctx.Err() != nil:
		f = Finding{ID: "login", Level: Unknown, Text: "not finished"}
	case errors.As(err, &insecure):
		f.ID = "tls"
		if f.Sent == "AUTH TLS" {
			f.Text, f.Try = "the server does not take AUTH TLS", "ftps:// where it speaks TLS from the first byte on, or ftp:// for all in clear; so far nothing was sent in clear"
		} else {
			f.remedy()
		}
		if f.Sent == "" { // what was refused is the certificate
			f.More = r.stranger(ctx)
		}
	case kind == remote.Auth:
		f.ID, f.Text = "login", "refused"
		f.Try = "check user and password; do not try often, as servers ban for that"
	case kind == remote.Temporary:
		f.ID, f.Text = "login", "the server takes no login now"
		f.Try = r.full()
	default:
		f.ID, f.Try = "login", "try again later; -o trace_ftp shows the dialogue of a mount"
		if r.rep.Facts.Greeting == "" {
			f.ID, f.Try = "greeting", "are host and port right, and does an FTP server listen there?"
		}
		var wf *wire.Error
		switch text := err.Error(); {
		case errors.As(err, new(*proxy.Error)):
			f.Try = "is the proxy right, and does it let one through to this host and port? proxy=none goes without"
		case strings.Contains(text, "unknown host"):
			f.Try = "check the name of the host"
		case strings.Contains(text, "no answer"):
			f.Try = "are host and port right? A firewall may drop what is sent there"
		case errors.As(err, &wf) && wf.Fault == wire.Stalled && wf.Step == "greeting":
			f.Text = "connected, but no greeting came"
			f.Try = "it may speak TLS from the first byte on: ftps:// (tls=implicit); or it is slow: a longer timeout="
		}
		if f.Sent == "" {
			f.Sent = "(connect to " + r.addr() + ")"
		}
	}
	if f.Came == "" && f.Sent != "" {
		f.Came = plain(cause(err))
	}
	r.add(f)
	if f.Level == Problem {
		r.halt("there is no login")
	}
}

// remedy takes what to do out of the text of an Insecure. The server's own words may have
// any signs in them.
func (f *Finding) remedy() {
	what, try, ok := strings.Cut(f.Text, ". ")
	if i := strings.LastIndex(f.Text, "; "); i >= 0 && (!ok || f.Came != "") {
		what, try, ok = f.Text[:i], f.Text[i+len("; "):], true
	}
	if ok {
		f.Text, f.Try = what, try
	}
}

// full is what to do about a server that has no connection left for us.
func (r *run) full() string {
	switch n := r.others(); {
	case r.cfg.Others == nil:
		return "a mount of it may hold the connections it allows (ftpfs status); else try again later"
	case n > 0:
		return fmt.Sprintf("mounts here have %d and need them now (ftpfs status): try again when they have less to do, unmount one, or have the server allow more", n)
	}
	return "no mount of this user has them (ftpfs status): end other clients of this account or address, try again later, or have the server allow more"
}

// software asks what the server calls itself, and how long it lets a session idle.
func (r *run) software(ctx context.Context) {
	facts := &r.rep.Facts
	facts.Software = plain(r.store.Stats().Software)
	for _, l := range r.d.Features().Lines {
		if l = strings.TrimSpace(l); l != "" && r.d.Features().OK() {
			facts.Features = append(facts.Features, plain(l))
		}
	}
	if n := len(facts.Features); n >= 2 { // "Features:" and "End"
		facts.Features = facts.Features[1 : n-1]
	}
	greeting := r.d.Greeting()
	r.add(Finding{ID: "greeting", Level: OK, Text: greetingLine(greeting)})
	texts := []string{greeting.Text()}
	f := Finding{ID: "software", Level: OK}
	if s, err := r.d.Cmd(ctx, "SYST"); err == nil && s.OK() {
		facts.System = plain(s.Text())
	}
	if s, err := r.d.Cmd(ctx, "STAT"); err == nil && s.OK() {
		texts = append(texts, s.Text())
	}
	if facts.Software == "" {
		f.Text = "it does not say"
	} else {
		facts.Product = facts.Software + versionIn(facts.Software, texts)
		f.Text = facts.Product
	}
	if facts.System != "" {
		f.Text += ", " + facts.System
	}
	for _, t := range texts {
		if idle, ok := idleIn(t); ok {
			facts.Idle = idle.Seconds()
			f.More = []string{"it ends sessions that idle for " + brief(idle) + "; the mount does not let it come to that"}
		}
	}
	if len(facts.Features) == 0 {
		f.Level = Note
		f.More = append(f.More, "it does not tell its features (FEAT): the mount tries things out")
	}
	if r.d.Dead() != nil {
		r.hangUp()
	}
	r.add(f)
}

// versionIn finds the version of a product behind its name, with a blank before it.
func versionIn(product string, texts []string) string {
	words := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(product) + `(?: server)?[ /v]+(\d[\w.]*)`)
	for _, t := range texts {
		if m := words.FindStringSubmatch(t); m != nil {
			return " " + m[1]
		}
	}
	return ""
}

// idleWords are those of vsftpd ("Session timeout in seconds is 300") and Pure-FTPd ("You
// will be disconnected after 15 minutes of inactivity").
var idleWords = regexp.MustCompile(`(?i)(?:session|idle|inactivity) time-?out (?:in seconds )?(?:is|of|:) ?(\d+)|after (\d+) minutes? of inactivity`)

func idleIn(text string) (time.Duration, bool) {
	m := idleWords.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	if n, err := strconv.Atoi(m[1]); err == nil {
		return time.Duration(n) * time.Second, n > 0
	}
	n, err := strconv.Atoi(m[2])
	return time.Duration(n) * time.Minute, err == nil && n > 0
}

// brief is a duration for people.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 10*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}
