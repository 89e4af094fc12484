package ftpconn

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// oddity is a set of things in a name that some server does not keep: it stores another
// name without a word, or takes the name for that of something else. The names are the
// server's bytes.
type oddity uint32

const (
	blankEnd     oddity = 1 << iota // Windows cuts it off, Pure-FTPd makes "_" of it
	dotEnd                          // Windows cuts it off
	blankStart                      //
	control                         // Pure-FTPd makes "_" of them
	backslash                       // Windows: a "/"
	colon                           // Windows: what follows is a stream of the file before it
	star                            // a pattern, to some servers and in some commands
	question                        //
	bracket                         //
	brace                           //
	composed                        // macOS takes the letter and its accent apart
	decomposed                      // others may put them together
	notUTF8                         // pyftpdlib makes U+FFFD of it
	telnet                          // 0xFF: ProFTPD takes two for one, Pure-FTPd for two
	trail                           // the second byte of a character is a "\" to who does not know the code page
	lengthy                         // more than longName bytes
	capitals                        // where cases are not told apart, they may not be kept either
	smalls                          //
	lastOddity   = smalls
	overNeighbor = blankEnd | dotEnd | blankStart | control | backslash | colon | trail // what hits another name on some server
)

// longName is the length from which on names are cut by some.
const longName = 64

// words for people.
var oddWords = map[oddity]string{blankEnd: "a blank at the end", dotEnd: "a dot at the end", blankStart: "a blank at the beginning",
	control: "control characters", backslash: "a backslash", colon: "a colon", star: "a star", question: "a question mark",
	bracket: "a bracket", brace: "a brace", composed: "letters with accents", decomposed: "accents apart from their letters", notUTF8: "bytes that are not UTF-8",
	telnet: "the byte 255", trail: "a character with a backslash for its second byte", lengthy: "so many characters", capitals: "capitals", smalls: "small letters"}

func (o oddity) String() string {
	var words []string
	for b := oddity(1); b <= lastOddity; b <<= 1 {
		if o&b != 0 {
			words = append(words, oddWords[b])
		}
	}
	return strings.Join(words, ", ")
}

// oddIn tells what is odd in the names of a path.
func oddIn(p string) (o oddity) {
	if plainPath(p) {
		return 0
	}
	for name := range strings.SplitSeq(p, "/") {
		o |= oddName(name)
	}
	return o
}

// plainPath is quick about most paths.
func plainPath(p string) bool {
	run := 0
	for i := range len(p) {
		c := p[i]
		switch {
		case c == '/':
			run = -1
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.' && i+1 < len(p) && p[i+1] != '/':
		case c == ' ' && run > 0 && i+1 < len(p) && p[i+1] != '/':
		default:
			return false
		}
		if run++; run > longName {
			return false
		}
	}
	return true
}

func oddName(name string) (o oddity) {
	if name == "" {
		return 0
	}
	if len(name) > longName {
		o |= lengthy
	}
	if c := name[len(name)-1]; c == ' ' || c == '\t' {
		o |= blankEnd
	}
	if name[len(name)-1] == '.' {
		o |= dotEnd
	}
	if name[0] == ' ' {
		o |= blankStart
	}
	high := false
	for i := range len(name) {
		switch c := name[i]; {
		case c < ' ' || c == 0x7f:
			o |= control
		case c == '\\' && i > 0 && name[i-1] >= 0x81 && !utf8.ValidString(name):
			o |= trail
		case c == '\\':
			o |= backslash
		case c == ':':
			o |= colon
		case c == '*':
			o |= star
		case c == '?':
			o |= question
		case c == '[':
			o |= bracket
		case c == '{':
			o |= brace
		case c == 0xff:
			o |= telnet
		}
		high = high || name[i] >= utf8.RuneSelf
	}
	switch {
	case !high:
	case !utf8.ValidString(name):
		o |= notUTF8
	default:
		if norm.NFD.String(name) != name {
			o |= composed
		}
		if norm.NFC.String(name) != name {
			o |= decomposed
		}
	}
	return o
}

// casesIn tells the cases of the letters of a path.
func casesIn(p string) (o oddity) {
	for i := range len(p) {
		switch c := p[i]; {
		case lower(c) != c:
			o |= capitals
		case upper(c) != c:
			o |= smalls
		}
	}
	return o
}

// odditiesOf is the inverse of String.
func odditiesOf(words string) (o oddity) {
	for word := range strings.SplitSeq(words, ", ") {
		for bit, w := range oddWords {
			if w == word {
				o |= bit
			}
		}
	}
	return o
}
