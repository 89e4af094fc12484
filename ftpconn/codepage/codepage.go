// Package codepage turns the names of a server that does not speak UTF-8 into names of
// this machine, which are UTF-8, and back.
//
// Every name of the server has a name here, two of them never the same, and each leads
// back to the very bytes it came from: what a code page does not know, or knows twice, is
// shown byte by byte, as escapes that are no UTF-8 and so never met by chance (the lone
// surrogates U+DC80 to U+DCFF, as Python has them). The other way round a name is taken
// only if the server's listing will show it as it was given; all others are refused.
//
// It knows no protocol and no paths. Its pages are those that leave ASCII alone, so that
// "/" is "/" in each of them.
package codepage

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
)

// Page is a code page. It may be used by several goroutines.
type Page struct {
	name string
	enc  encoding.Encoding
}

// String is the name by which Find knows the page.
func (p *Page) String() string { return p.name }

// Decode returns the name here of one of the server's.
func (p *Page) Decode(server string) string {
	if ascii(server) {
		return server
	}
	if s, ok := p.whole(server); ok {
		return s
	}
	if s := p.pieces(server); p.leadsTo(s, server) {
		return s
	}
	return escaped(server)
}

// Encode returns the server's bytes for a name here. The error says what is wrong with
// the name.
func (p *Page) Encode(local string) (string, error) {
	if ascii(local) {
		return local, nil
	}
	s, err := p.bytes(local)
	if err != nil {
		return "", err
	}
	if p.Decode(s) != local {
		return "", fmt.Errorf("the code page %s would make another name of it", p.name)
	}
	return s, nil
}

func (p *Page) leadsTo(local, server string) bool {
	s, err := p.bytes(local)
	return err == nil && s == server
}

// whole decodes s if all of it has a meaning that leads back to s.
func (p *Page) whole(s string) (string, bool) {
	d, err := p.enc.NewDecoder().String(s)
	if err != nil || strings.ContainsRune(d, utf8.RuneError) {
		return "", false
	}
	back, err := p.enc.NewEncoder().String(d)
	return d, err == nil && back == s
}

// longest is the most bytes that stand for one character, in GB 18030.
const longest = 4

// pieces decodes s character by character, and escapes the bytes that are none.
func (p *Page) pieces(s string) string {
	var b strings.Builder
	for s != "" {
		n := 1
		if s[0] < utf8.RuneSelf {
			b.WriteByte(s[0])
		} else if d, length := p.first(s); length > 0 {
			b.WriteString(d)
			n = length
		} else {
			escape(&b, s[0])
		}
		s = s[n:]
	}
	return b.String()
}

// first decodes the character that s begins with; length 0 is none.
func (p *Page) first(s string) (d string, length int) {
	for n := 1; n <= min(longest, len(s)); n++ {
		if d, ok := p.whole(s[:n]); ok {
			return d, n
		}
	}
	return "", 0
}

// escaped has all of s, but ASCII, in escapes.
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(s[i])
		} else {
			escape(&b, s[i])
		}
	}
	return b.String()
}

// An escape is U+DC00 and the byte, written as UTF-8 would write it if it were allowed.
const escapeLen = 3

func escape(b *strings.Builder, c byte) {
	b.Write([]byte{0xed, 0xb0 | c>>6, 0x80 | c&0x3f})
}

func escapeIn(s string) (c byte, ok bool) {
	if len(s) < escapeLen || s[0] != 0xed || s[1] != 0xb2 && s[1] != 0xb3 || s[2]&0xc0 != 0x80 {
		return 0, false
	}
	return s[1]<<6 | s[2]&0x3f, true
}

var errNotUTF8 = errors.New("it is not UTF-8")

// bytes is what local says to the server, whether or not it leads back.
func (p *Page) bytes(local string) (string, error) {
	var b strings.Builder
	for s := local; s != ""; {
		if c, ok := escapeIn(s); ok {
			b.WriteByte(c)
			s = s[escapeLen:]
			continue
		}
		n := 0 // of UTF-8
		for n < len(s) {
			r, size := utf8.DecodeRuneInString(s[n:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			n += size
		}
		if n == 0 {
			return "", errNotUTF8
		}
		e, err := p.enc.NewEncoder().String(s[:n])
		if err != nil {
			return "", p.lacks(s[:n])
		}
		b.WriteString(e)
		s = s[n:]
	}
	return b.String(), nil
}

// lacks names the first character that is not in the page.
func (p *Page) lacks(s string) error {
	for _, r := range s {
		if _, err := p.enc.NewEncoder().String(string(r)); err != nil {
			return fmt.Errorf("the code page %s has no %q", p.name, r)
		}
	}
	return fmt.Errorf("the code page %s cannot write it", p.name)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
