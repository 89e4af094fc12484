package ftpscript

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var beforeLogin = map[string]bool{"USER": true, "PASS": true, "FEAT": true, "SYST": true, "QUIT": true,
	"NOOP": true, "OPTS": true, "AUTH": true, "PBSZ": true, "PROT": true, "HOST": true, "CLNT": true}

const stampLayout = "20060102150405"

// handlers execute a command and return its final reply; those that move data
// send the 150 themselves.
var handlers map[string]func(c *session, arg string, cmd Command) string

// init breaks the cycle handlers → feat → handlers.
func init() {
	handlers = map[string]func(*session, string, Command) string{
		"USER": (*session).logInAs,
		"PASS": (*session).pass,
		"FEAT": (*session).feat,
		"AUTH": (*session).auth,
		"PBSZ": (*session).pbsz,
		"PROT": (*session).prot,
		"SYST": (*session).system,
		"NOOP": text("200 Zzz."),
		"OPTS": (*session).opts,
		"CLNT": text("200 Noted."),
		"ALLO": text("202 No need."),
		"ABOR": text("226 Nothing to abort."),
		"MODE": text("200 Fine."),
		"STRU": text("200 Fine."),
		"QUIT": text("221 Goodbye."),
		"TYPE": text("200 Type set."),
		"PWD": func(c *session, _ string, _ Command) string {
			return "257 " + c.encode(quote(c.cwd)) + " is where you are."
		},
		"CWD":        (*session).changeDir,
		"CDUP":       (*session).changeDir,
		"SIZE":       (*session).size,
		"MDTM":       (*session).mdtm,
		"MFMT":       (*session).mfmt,
		"MLST":       (*session).mlst,
		"DELE":       func(c *session, _ string, cmd Command) string { return c.srv.Tree.delete(cmd.Path) },
		"MKD":        func(c *session, _ string, cmd Command) string { return c.srv.Tree.mkdir(cmd.Path) },
		"RMD":        func(c *session, _ string, cmd Command) string { return c.srv.Tree.rmdir(cmd.Path) },
		"RNFR":       (*session).renameFrom,
		"RNTO":       (*session).renameTo,
		"REST":       (*session).restart,
		"SITE CHMOD": (*session).chmod,
		"EPSV":       (*session).epsv,
		"PASV":       (*session).pasv,
		"EPRT":       (*session).eprt,
		"PORT":       (*session).port,
		"RETR":       (*session).retr,
		"STOR":       (*session).stor,
		"APPE":       (*session).appe,
		"LIST":       (*session).list,
		"MLSD":       (*session).list,
		"NLST":       (*session).list,
	}
	for verb := range sums {
		handlers[verb] = (*session).sum
	}
}

func text(reply string) func(*session, string, Command) string {
	return func(*session, string, Command) string { return reply }
}

func (c *session) system(string, Command) string {
	if c.srv.opts.System != "" {
		return "215 " + c.srv.opts.System
	}
	return "215 UNIX Type: L8"
}

func (c *session) logInAs(name string, _ Command) string {
	c.user, c.loggedIn = name, false
	return "331 Password, please."
}

func (c *session) pass(password string, _ Command) string {
	if c.user != User || password != Password {
		return "530 Login incorrect."
	}
	if !c.srv.logIn(c) {
		return "530 Sorry, the maximum number of clients for this user are already connected."
	}
	c.loggedIn = true
	return "230 Welcome."
}

func (c *session) feat(string, Command) string {
	if lines := c.srv.opts.Feat; lines != nil {
		return "211-Extended features supported:\n " + strings.Join(lines, "\n ") + "\n211 END"
	}
	var b strings.Builder
	b.WriteString("211-Features:")
	for _, f := range []struct{ verb, line string }{
		{"MLST", "MLST type*;size*;modify*;unix.mode*;"}, {"SIZE", "SIZE"}, {"MDTM", "MDTM"}, {"MFMT", "MFMT"},
		{"REST", "REST STREAM"}, {"EPSV", "EPSV"}, {"EPRT", "EPRT"}, {"OPTS", "UTF8"}} {
		if !c.srv.refuses(f.verb) {
			b.WriteString("\n " + f.line)
		}
	}
	if c.srv.opts.TLS != nil && !c.srv.refuses("AUTH") {
		b.WriteString("\n AUTH TLS\n PBSZ\n PROT")
	}
	for _, verb := range c.srv.opts.Sums {
		if verb == "HASH" {
			verb = "HASH SHA-1*;SHA-256;MD5;CRC32"
		}
		b.WriteString("\n " + verb)
	}
	b.WriteString("\n211 End.")
	return b.String()
}

func (c *session) changeDir(_ string, cmd Command) string {
	if f, ok := c.srv.Tree.Stat(cmd.Path); !ok || !f.Dir {
		return "550 No such directory."
	}
	c.cwd = cmd.Path
	return "250 Changed."
}

func (c *session) size(_ string, cmd Command) string {
	f, ok := c.srv.Tree.Stat(cmd.Path)
	if !ok || f.Dir {
		return "550 No such file."
	}
	return fmt.Sprintf("213 %d", f.Size)
}

func (c *session) mdtm(arg string, cmd Command) string {
	if stamp, _, ok := strings.Cut(arg, " "); ok && c.setsByMDTM(stamp) {
		return c.setTime(stamp, cmd.Path)
	}
	f, ok := c.srv.Tree.Stat(cmd.Path)
	if !ok {
		return "550 No such file."
	}
	return "213 " + f.MTime.Format(stampLayout)
}

func (c *session) mfmt(arg string, cmd Command) string {
	stamp, _, _ := strings.Cut(arg, " ")
	return c.setTime(stamp, cmd.Path)
}

func (c *session) setTime(stamp, path string) string {
	at, err := time.Parse(stampLayout, stamp)
	switch {
	case err != nil:
		return "501 Not a time."
	case !c.srv.Tree.SetTime(path, at):
		return "550 No such file."
	}
	return fmt.Sprintf("213 Modify=%s; %s", stamp, path)
}

func (c *session) mlst(_ string, cmd Command) string {
	f, ok := c.srv.Tree.Stat(cmd.Path)
	if !ok {
		return "550 No such file."
	}
	return "250-Here it is:\n " + facts(f) + " " + c.encode(cmd.Path) + "\n250 End."
}

func (c *session) renameFrom(_ string, cmd Command) string {
	c.from = ""
	if _, ok := c.srv.Tree.Stat(cmd.Path); !ok {
		return "550 No such file."
	}
	c.from = cmd.Path
	return "350 And what to?"
}

func (c *session) renameTo(_ string, cmd Command) string {
	from := c.from
	c.from = ""
	if from == "" {
		return "503 RNFR first."
	}
	return c.srv.Tree.rename(from, cmd.Path, !c.srv.opts.NoRenameOver)
}

func (c *session) restart(arg string, _ Command) string {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 0 {
		return "501 Not an offset."
	}
	c.rest = n
	return fmt.Sprintf("350 Restarting at %d.", n)
}

func (c *session) chmod(arg string, cmd Command) string {
	digits, _, _ := strings.Cut(arg, " ")
	mode, err := strconv.ParseUint(digits, 8, 12)
	switch {
	case err != nil:
		return "501 Not a mode."
	case !c.srv.Tree.Chmod(cmd.Path, uint32(mode)):
		return "550 No such file."
	}
	return "200 Mode changed."
}
