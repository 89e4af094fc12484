package crash

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// way is how a round ends in a kill.
type way struct {
	name                 string
	script               bool // only the scripted server can do it
	calm, large, shuffle bool
	do                   func(s *story)
}

// ways to be killed. Those named twice are meant to happen more often.
var ways = []way{
	{name: "under load", do: func(s *story) { s.during(600); s.die() }},
	{name: "under load, early", do: func(s *story) { s.during(60); s.die() }},
	{name: "in the middle of uploads", large: true, do: func(s *story) { s.during(1500); s.die() }},
	{name: "among renames of directories", shuffle: true, do: func(s *story) { s.during(600); s.die() }},
	{name: "while it starts", do: func(s *story) { s.during(400); s.die(); s.starts() }},
	{name: "while it drains", do: func(s *story) { s.during(700); s.drain() }},
	{name: "with the server down", do: func(s *story) {
		s.during(300)
		s.srv.stop()
		s.during(500)
		s.die()
		s.bring(func() { s.srv.restart(s.T) })
	}},
	{name: "with the server down all the time", calm: true, do: func(s *story) { s.srv.stop(); s.during(600); s.die(); s.bring(func() { s.srv.restart(s.T) }) }},
	{name: "with the server silent", do: func(s *story) { s.during(300); s.srv.freeze(); s.during(500); s.die(); s.bring(s.srv.goOn) }},
	{name: "the server restarted under load", do: func(s *story) { s.during(300); s.srv.stop(); s.srv.restart(s.T); s.during(500); s.die() }},
	{name: "before the server renames", script: true, shuffle: true, do: func(s *story) { s.at(ftpscript.Rule{Verb: "RNTO"}, false) }},
	{name: "after the server renamed", script: true, shuffle: true, do: func(s *story) { s.at(ftpscript.Rule{Verb: "RNTO", Times: 1}, true) }},
	{name: "before the server deletes", script: true, do: func(s *story) { s.at(ftpscript.Rule{Verb: "DELE"}, false) }},
	{name: "after the server deleted", script: true, do: func(s *story) { s.at(ftpscript.Rule{Verb: "DELE", Times: 1}, true) }},
	{name: "after the server made a directory", script: true, do: func(s *story) { s.at(ftpscript.Rule{Verb: "MKD", Times: 1}, true) }},
	{name: "in the middle of a STOR", script: true, large: true, do: func(s *story) { s.store() }},
}

// kill is one round: load, a death, perhaps more of them, a new mount, a comparison.
func (s *story) kill() {
	s.Helper()
	var fit []way
	for _, w := range ways {
		if (s.srv.script != nil || !w.script) && (*only == "" || strings.Contains(w.name, *only)) {
			fit = append(fit, w)
		}
	}
	begun := time.Now()
	w := fit[s.rnd.IntN(len(fit))]
	s.say("killed %s", w.name)
	s.patient = false
	s.lives = nil
	s.crew = s.load(w.calm, w.large, w.shuffle)
	w.do(s)
	if s.m == nil {
		s.mount()
	}
	mounted := time.Now()
	s.compare(*s.lives, s.patient)
	s.Logf("round %d: killed %s: load and mount %v, compare %v", s.round, w.name, mounted.Sub(begun).Round(time.Millisecond), time.Since(mounted).Round(time.Millisecond))
}

// during lets the load go on for a random time of at most limit milliseconds.
func (s *story) during(limit int) { pause(time.Duration(1+s.rnd.IntN(limit)) * time.Millisecond) }

// die kills the daemon, and sees the workers off.
func (s *story) die() {
	s.m.Kill()
	s.killed++
	if text := s.m.Log(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
		s.fatal("the daemon raced or panicked:\n%s", text[max(0, len(text)-20_000):])
	}
	s.m = nil
	lives := s.crew.end(false)
	s.lives = &lives
}

// starts kills the daemon several times while it takes up what the last one left.
func (s *story) starts() {
	program, err := mount.Program()
	if err != nil {
		s.Fatal(err)
	}
	for range 1 + s.rnd.IntN(3) {
		cmd := exec.Command(program, "-f", "-o", strings.Join(append([]string{"cache_dir=" + s.state}, options...), ","), s.srv.url, s.dir)
		cmd.Env = append(os.Environ(), "FTPFS_PASSWORD="+s.srv.password)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			s.Fatal(err)
		}
		s.during(250)
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		s.killed++
	}
	s.say("and %d kills in all, the last of them while it started", s.killed)
}

// drain kills the daemon while it sends what is owed, before it unmounts. The workers
// go first: a mount in use is not unmounted.
func (s *story) drain() {
	lives := s.crew.end(true)
	s.lives = &lives
	s.m.Signal(syscall.SIGTERM)
	s.during(300)
	s.m.Kill()
	s.killed++
	s.m = nil
}

// bring has the server back before the new mount, or after it.
func (s *story) bring(back func()) {
	s.patient = true
	if s.rnd.IntN(2) == 0 {
		back()
		return
	}
	s.mount()
	s.say("mounted before the server was back")
	back()
}

// at kills the daemon when a command arrives; or, done, when it has been executed
// and its answer lost.
func (s *story) at(rule ftpscript.Rule, done bool) {
	goOn := make(chan struct{})
	if done {
		rule.Hangup = true
	} else {
		rule.Hold = goOn
	}
	rule.Skip = s.rnd.IntN(5)
	a := s.srv.script.Add(rule)
	select {
	case <-a.Hit():
	case <-time.After(3 * time.Second):
		s.say("no such command came")
	}
	s.die()
	a.Remove()
	close(goOn)
	s.srv.script.KillSessions()
}

// store kills the daemon when a part of an upload has gone over the wire.
func (s *story) store() {
	goOn := make(chan struct{})
	fault := &ftpscript.DataFault{After: s.rnd.Int64N(200_000), Hold: goOn}
	a := s.srv.script.Add(ftpscript.Rule{Verb: "STOR", Skip: s.rnd.IntN(5), Data: fault})
	select {
	case <-a.Hit():
	case <-time.After(3 * time.Second):
		s.say("no upload came")
	}
	s.during(50)
	s.die()
	a.Remove()
	close(goOn)
}
