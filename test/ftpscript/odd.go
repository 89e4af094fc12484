package ftpscript

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Personality is a server as it is found somewhere, with what is odd about it.
type Personality struct {
	Name    string
	Options Options
}

// Line is what test/report makes a line of its table of, as of servers.Cell.
func (p Personality) Line(column string) string {
	listing := "MLSD"
	if slices.Contains(p.Options.Refuse, "MLSD") {
		listing = "LIST"
	}
	return fmt.Sprintf("cell: %s: scripted %s, plain, passive, %s", column, p.Name, listing)
}

// Odd are the personalities of this file: what a test of all odd servers goes through.
// IIS and FileZilla are made after public documentation and logs; they were never run.
func Odd() []Personality {
	return []Personality{
		{"IIS", IIS()},
		{"FileZilla Server", FileZilla()},
		{"DOS code page", DOSCodePage()},
		{"no rename over", NoReplace()},
		{"no REST", NoRestart(502)},
		{"REST is an error", NoRestart(501)},
		{"2 connections by 421 banner", Capped(CapGreeting, 2)},
		{"2 connections by 530 at PASS", Capped(CapPassword, 2)},
		{"2 connections by 421 at work", Capped(CapAtWork, 2)},
		{"1 connection by 421 banner", Capped(CapGreeting, 1)},
		{"1 connection by 530 at PASS", Capped(CapPassword, 1)},
		{"1 connection by 421 at work", Capped(CapAtWork, 1)},
		{"wrong address in PASV", WrongAddress()},
		{"idle timeout", IdleTimeout(300 * time.Millisecond)},
		{"times of +05:30", InZone(5*60 + 30)},
	}
}

// IIS is Microsoft's FTP service of IIS 7.5 and later, in a zone west of Greenwich:
// listings as of dir in the server's own time, no MLSD, times that can be read and not
// set, no modes, no rename over an existing name, names as of Windows, in UTF-8 only
// after OPTS UTF8 ON; commands that come in one segment may be lost, as lftp's list of
// such servers has it.
func IIS() Options {
	return Options{
		Greeting: "Microsoft FTP Service",
		System:   "Windows_NT",
		Feat: []string{"LANG EN*", "UTF8", "AUTH TLS;TLS-C;SSL;TLS-P;", "PBSZ", "PROT C;P;", "CCC", "HOST",
			"SIZE", "MDTM", "REST STREAM"},
		Refuse:       []string{"MLSD", "MLST", "MFMT", "SITE CHMOD", "SITE UTIME"},
		Windows:      true,
		Latin1:       true,
		DOSLines:     true,
		OneByOne:     true,
		NoRenameOver: true,
		NoSetTime:    true,
		Zone:         time.FixedZone("", -8*60*60),
		Reword: func(verb, reply string) string {
			words, ok := windowsWords[reply]
			switch {
			case ok:
				return words
			case verb == "OPTS" && reply == "200 Fine.":
				return "200 OPTS UTF8 command successful - UTF8 encoding now ON."
			case strings.HasPrefix(reply, "502 "), strings.HasPrefix(reply, "500 "):
				return "500 Command not understood."
			case strings.HasPrefix(reply, "250 "):
				return "250 " + verb + " command successful."
			}
			return reply
		},
	}
}

// windowsWords are the system's own words, which the server passes on.
var windowsWords = map[string]string{
	"150 Here it comes.":       "125 Data connection already open; Transfer starting.",
	"331 Password, please.":    "331 Password required",
	"230 Welcome.":             "230 User logged in.",
	"530 Login incorrect.":     "530 User cannot log in.",
	"350 And what to?":         "350 Requested file action pending further information.",
	"550 No such file.":        "550 The system cannot find the file specified. ",
	"550 No such directory.":   "550 The system cannot find the path specified. ",
	"553 No such directory.":   "550 The system cannot find the path specified. ",
	"550 Is a directory.":      "550 Access is denied. ",
	"550 Not a directory.":     "550 The directory name is invalid. ",
	"550 File exists.":         "550 Cannot create a file when that file already exists. ",
	"553 File exists.":         "550 Cannot create a file when that file already exists. ",
	"550 Directory not empty.": "550 The directory is not empty. ",
	"550 File name too long.":  "550 The filename or extension is too long. ",
	"553 File name too long.":  "550 The filename or extension is too long. ",
}

// FileZilla is FileZilla Server 1.x: modern, on Windows, but it renames over nothing, and
// takes the "-a" of LIST for a name.
func FileZilla() Options {
	return Options{
		Greeting:     "FileZilla Server 1.12.0",
		Windows:      true,
		NoFlags:      true,
		NoRenameOver: true,
		Refuse:       []string{"SITE CHMOD", "SITE UTIME"},
		NoSetTime:    true, // by MDTM; it has MFMT
	}
}

// DOSCodePage is an old box whose names are bytes in a code page such as 437, 850 or 866:
// put them into the Tree so. It knows neither UTF8 nor what came after RFC 959 but SIZE
// and MDTM.
func DOSCodePage() Options {
	return Options{
		Greeting:  "NAS FTP server ready.",
		Feat:      []string{"SIZE", "MDTM", "REST STREAM"},
		Refuse:    []string{"OPTS", "MLSD", "MLST", "MFMT", "EPSV", "EPRT", "SITE CHMOD", "SITE UTIME"},
		NoSetTime: true,
	}
}

// NoReplace renames over nothing.
func NoReplace() Options { return Options{NoRenameOver: true} }

// NoRestart refuses REST with this code.
func NoRestart(code int) Options {
	return Options{Answers: map[string]string{"REST": fmt.Sprintf("%d No restart here.", code)}}
}

// CapKind is where a cap on connections shows.
type CapKind uint8

const (
	CapGreeting CapKind = iota // 421 in place of the greeting
	CapPassword                // 530 for the right password
	CapAtWork                  // 421 for the first command after the login
)

// Capped lets n sessions in.
func Capped(kind CapKind, n int) Options {
	switch kind {
	case CapPassword:
		return Options{MaxLogins: n}
	case CapAtWork:
		return Options{MaxAtWork: n}
	}
	return Options{MaxSessions: n}
}

// WrongAddress is behind a NAT that it knows nothing of: PASV tells an address of the
// inner network, and there is no EPSV.
func WrongAddress() Options {
	return Options{PassiveHost: "192.168.203.77", Refuse: []string{"EPSV"}}
}

// IdleTimeout ends sessions that are idle for so long, which is half a minute on some
// servers, and less in tests that cannot wait.
func IdleTimeout(d time.Duration) Options { return Options{Idle: d} }

// InZone lists times in a zone so many minutes east of Greenwich, without MLSD.
func InZone(minutes int) Options {
	return Options{Refuse: []string{"MLSD", "MLST"}, Zone: time.FixedZone("", minutes*60)}
}
