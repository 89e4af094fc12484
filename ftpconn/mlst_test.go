package ftpconn_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// Only facts that are of use are asked for, in the segment in which the login asks for everything else: on a server that
// takes them, on one that refuses the question, has no MLST or has nothing to be turned on. Which facts a server knows by
// other letters, or refuses to be asked for with others, it is asked for once more.
func TestOnlyFactsOfUseAreAskedFor(t *testing.T) {
	const all = "type;size;modify;unique;unix.mode;"
	for what, c := range map[string]struct {
		mlst, reply string
		then        string // the facts that are asked for once more
	}{
		"taken":                     {"MLST modify*;perm*;size*;type*;unique*;UNIX.group*;UNIX.mode*;", "200 MLST OPTS modify;size;type;unique;UNIX.mode;", ""},
		"taken without a word":      {"MLST type*;size*;modify*;unix.mode;", "200 Fine.", ""},
		"one it does not have":      {"MLST type*;size*;modify*;", "200 MLST OPTS type;size;modify;", ""},
		"refused, all on":           {"MLST type*;size*;modify*;perm;", "501 Unknown fact.", ""},
		"refused, one off":          {"MLST type*;size*;modify*;UNIX.mode;", "501 Unknown fact.", "type;size;modify;UNIX.mode;"},
		"letters that it tells":     {"MLST Type*;Size*;Modify*;UNIX.mode*;", "200 MLST OPTS Type;Size;Modify;", "Type;Size;Modify;UNIX.mode;"},
		"no MLST":                   {"SIZE", "501 Option not understood.", ""},
		"OPTS unknown, and nothing": {"MLST type*;size*;modify*;", "502 Command not implemented.", ""},
	} {
		t.Run(what, func(t *testing.T) {
			var seg segments
			srv := ftpscript.Start(t, ftpscript.Options{Feat: []string{"EPSV", "REST STREAM", c.mlst}})
			srv.Add(ftpscript.Rule{Verb: "OPTS", Match: func(cmd ftpscript.Command) bool { return cmd.Arg == "MLST "+all }, Instead: c.reply})
			srv.Tree.Put("/d/f", content)
			s := open(t, srv, func(cfg *ftpconn.Config) { cfg.Dial = seg.dial(srv.Port, nil); cfg.MaxConns = 1 })
			ok(t, "connect", s.Connect(t.Context()))
			want := []string{"FEAT\r\nTYPE I\r\nOPTS UTF8 ON\r\nOPTS MLST " + all + "\r\nPWD\r\n"}
			if c.then != "" {
				want = append(want, "OPTS MLST "+c.then+"\r\n")
			}
			want = append(want, "STAT\r\n", "CWD /\r\n") // the scripted server does not greet with its name
			if got := seg.take()[2:]; !slices.Equal(got, want) {
				t.Errorf("sent after PASS\n%q, want\n%q", got, want)
			}
			if got, err := s.List(t.Context(), "/d"); err != nil || names(got) != "f" {
				t.Errorf("listed %q, %v", names(got), err)
			}
		})
	}
}

// Where each command costs a round trip, a server without MLST is not asked for facts.
func TestFactsAreNotAskedForSinglyInVain(t *testing.T) {
	srv, s := startAsIs(t, ftpscript.Options{Greeting: "Microsoft FTP Service", Refuse: []string{"MLSD", "MLST"}}, nil)
	ok(t, "connect", s.Connect(t.Context()))
	for _, c := range srv.Since(0) {
		if c.Verb == "OPTS" && strings.HasPrefix(c.Arg, "MLST") {
			t.Errorf("sent OPTS %s", c.Arg)
		}
	}
	srv, s = startAsIs(t, ftpscript.Options{Greeting: "Microsoft FTP Service"}, nil)
	ok(t, "connect", s.Connect(t.Context()))
	if got := srv.Since(0).Verbs("OPTS"); len(got) != 2 {
		t.Errorf("one with MLST was sent %v", got)
	}
}

// A server that is known to have no MLST is not asked for facts at each login: only at the first, which knows nothing of
// it. Once its greeting is another, or it tells of MLST, it is asked again, the latter by a command of its own.
func TestFactsAreNotAskedForWhereThereAreNone(t *testing.T) {
	const asked = "OPTS MLST type;size;modify;unique;unix.mode;\r\n"
	for what, c := range map[string]struct {
		greets, tells string // from the third login on
		third         []string
	}{
		"as before":                {"220 Hello.", "SIZE", nil},
		"another greeting":         {"220 It is me.", "SIZE", []string{"in the segment"}},
		"another one, and MLST":    {"220 It is me.", "MLST type*;size*;modify*;UNIX.mode*;", []string{"in the segment"}},
		"MLST behind its greeting": {"220 Hello.", "MLST type*;size*;modify*;UNIX.mode*;", []string{"by itself"}},
	} {
		t.Run(what, func(t *testing.T) {
			var seg segments
			var later atomic.Bool
			srv := ftpscript.Start(t, ftpscript.Options{Reword: func(verb, reply string) string {
				greets, tells := "220 Hello.", "SIZE"
				if later.Load() {
					greets, tells = c.greets, c.tells
				}
				switch verb {
				case "CONNECT":
					return greets
				case "FEAT":
					return "211-Features:\r\n " + tells + "\r\n211 End"
				}
				return reply
			}})
			s := open(t, srv, func(cfg *ftpconn.Config) { cfg.Dial = seg.dial(srv.Port, nil); cfg.MaxConns = 1 })
			login := func() (how []string) {
				t.Helper()
				srv.KillSessions()
				seg.take()
				ok(t, "connect", s.Connect(t.Context()))
				for _, sent := range seg.take() {
					switch {
					case sent == asked:
						how = append(how, "by itself")
					case strings.Contains(sent, asked):
						how = append(how, "in the segment")
					}
				}
				return how
			}
			for i, want := range [][]string{{"in the segment"}, nil, c.third} {
				later.Store(i == 2)
				if got := login(); !slices.Equal(got, want) {
					t.Errorf("login %d asked for facts %q, want %q", i+1, got, want)
				}
			}
		})
	}
}
