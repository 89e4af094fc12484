package wire

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// What a server may make us hold for one reply.
const (
	maxLine       = 16 << 10 // bytes of a line: a path of 4 KiB fits, also one with doubled quotes
	maxReplyLines = 4096
	maxReplyBytes = 256 << 10
	maxBatchBytes = 64 << 20 // the replies to a batch together
	perLine       = 32       // what a line costs beside its bytes
)

// Reply is one answer of the server.
type Reply struct {
	Code  int
	Lines []string // text without the code; the lines between first and last as they came
}

// Text is the reply's text in one line.
func (r Reply) Text() string { return strings.TrimSpace(strings.Join(r.Lines, " ")) }

func (r Reply) String() string { return fmt.Sprintf("%d %s", r.Code, r.Text()) }

// Class is the first digit: 2 is success, 3 goes on, 4 is later, 5 is no.
func (r Reply) Class() int { return r.Code / 100 }

// OK says that the command succeeded.
func (r Reply) OK() bool { return r.Class() == 2 }

// encryptWords are in the refusals of servers that take nothing in clear: 421, 530, 534,
// 550 and others are all in use for that.
var encryptWords = regexp.MustCompile(`(?i)\b(ssl|tls|encrypt|cleartext|secure (connection|control))`)

// WantsTLS says that something is refused for being in clear. It goes by the words, so that
// it is of use only where the reply names no file.
func (r Reply) WantsTLS() bool { return r.Class() >= 4 && encryptWords.MatchString(r.Text()) }

// render writes the reply as textproto wants to read it.
func (r Reply) render(code int) string {
	var b strings.Builder
	for i, l := range r.Lines {
		switch {
		case i == len(r.Lines)-1:
			fmt.Fprintf(&b, "%03d %s\r\n", code, l)
		case i == 0:
			fmt.Fprintf(&b, "%03d-%s\r\n", code, l)
		default:
			if !strings.HasPrefix(l, " ") {
				b.WriteByte(' ')
			}
			b.WriteString(l + "\r\n")
		}
	}
	return b.String()
}

var (
	errLongLine  = errors.New("a line of the reply is too long")
	errLongReply = errors.New("the reply is too long")
)

// malformed is a line that is no reply.
type malformed string

func (m malformed) Error() string {
	s := string(m)
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("not a reply: %q", s)
}

// readReply reads one reply.
func readReply(br *bufio.Reader) (Reply, error) {
	first, err := readLine(br)
	if err != nil {
		return Reply{}, err
	}
	code, more, ok := parseReplyLine(first)
	if !ok {
		return Reply{}, malformed(first)
	}
	r := Reply{Code: code, Lines: []string{rest(first)}}
	size := len(first)
	for more {
		l, err := readLine(br)
		if err != nil {
			return r, err
		}
		if size += len(l); size > maxReplyBytes || len(r.Lines) >= maxReplyLines {
			return r, errLongReply
		}
		if c, cont, ok := parseReplyLine(l); ok && c == code && !cont {
			r.Lines, more = append(r.Lines, rest(l)), false
		} else {
			r.Lines = append(r.Lines, l)
		}
	}
	return r, nil
}

func readLine(br *bufio.Reader) (string, error) {
	b, err := br.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return "", errLongLine
	}
	if err != nil {
		return "", err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return string(b), nil
}

// parseReplyLine reports the code, whether more lines follow, and whether the
// line has the form of a reply at all.
func parseReplyLine(l string) (code int, more, ok bool) {
	if len(l) < 3 || l[0] < '1' || l[0] > '6' {
		return 0, false, false
	}
	for i := range 3 {
		if l[i] < '0' || l[i] > '9' {
			return 0, false, false
		}
		code = code*10 + int(l[i]-'0')
	}
	if len(l) == 3 {
		return code, false, true
	}
	return code, l[3] == '-', l[3] == ' ' || l[3] == '-'
}

func rest(l string) string {
	if len(l) <= 4 {
		return ""
	}
	return l[4:]
}
