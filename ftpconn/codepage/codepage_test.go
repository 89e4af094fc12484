package codepage

import (
	"fmt"
	"strings"
	"testing"
)

func find(t testing.TB, name string) *Page {
	t.Helper()
	p, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all returns every page.
func all(t testing.TB) (out []*Page) {
	for _, n := range Names() {
		out = append(out, find(t, n))
	}
	return out
}

func TestNamesOfPages(t *testing.T) {
	for name, want := range map[string]string{
		"cp437": "cp437", "CP866": "cp866", "IBM850": "cp850", "ibm-866": "cp866", "windows-1251": "cp1251", "Win1252": "cp1252", "866": "cp866",
		"latin1": "iso-8859-1", "ISO8859-15": "iso-8859-15", "iso_8859_2": "iso-8859-2", "KOI8R": "koi8-r", "koi8-r": "koi8-r",
		"SJIS": "shift_jis", "Shift-JIS": "shift_jis", "cp932": "shift_jis", "GBK": "gbk", "gb2312": "gbk", "GB18030": "gb18030", "Big5": "big5",
		"EUC-JP": "euc-jp", "eucKR": "euc-kr", "cp949": "euc-kr", "macroman": "macintosh",
	} {
		if got := find(t, name).String(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{"cp12511": "cp1251", "koi8": "koi8-r", "shift_jisx": "shift_jis", "iso-8859-l": "iso-8859-1"} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), "did you mean "+want+"?") {
			t.Errorf("%s: %v, want the nearest, %s", name, err, want)
		}
	}
	for _, name := range []string{"", "xyzzyxyzzy", "utf-8"} {
		if p, err := Find(name); err == nil {
			t.Errorf("%q is %s", name, p)
		}
	}
	for name, want := range map[string]bool{"utf8": true, "UTF-8": true, "utf_8": true, "utf16": false, "": false} {
		if got := IsUTF8(name); got != want {
			t.Errorf("IsUTF8(%q) is %v", name, got)
		}
	}
}

func TestKnownNames(t *testing.T) {
	for _, c := range []struct{ page, server, local string }{
		{"cp437", "\x81ber", "über"}, {"cp850", "na\x8bve", "naïve"}, {"cp866", "\x8f\xe0\xa8\xa2\xa5\xe2", "Привет"},
		{"cp1251", "\xff\xe1\xeb\xee\xea\xee", "яблоко"}, {"koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"}, {"cp1252", "\x80 5", "€ 5"},
		{"iso-8859-1", "\xe9t\xe9", "été"}, {"iso-8859-15", "\xa4", "€"}, {"gbk", "\xc4\xe3\xba\xc3", "你好"},
		{"big5", "\xa5\x5c", "功"}, {"shift_jis", "\x95\x5c", "表"}, {"shift_jis", "\x83\x7c.txt", "ポ.txt"}, {"euc-jp", "\xc6\xfc", "日"},
		{"euc-kr", "\xc7\xd1", "한"}, {"gb18030", "\x81\x30\x81\x30", "\u0080"},
		{"cp1252", "plain", "plain"}, {"cp1252", "", ""},
		// What has no meaning: byte by byte.
		{"cp1252", "a\x81b", "a\xed\xb2\x81b"}, {"gbk", "\xff", "\xed\xb3\xbf"}, {"gbk", "\xc4\xe3\xff", "你\xed\xb3\xbf"}, {"shift_jis", "\x95", "\xed\xb2\x95"},
		// UTF-8 on a server that is not, of which cp1252 knows one byte only: it is told from the Á of the page.
		{"cp1252", "\xc3\x81", "Ã\xed\xb2\x81"}, {"cp1252", "\xc1", "Á"},
	} {
		p := find(t, c.page)
		if got := p.Decode(c.server); got != c.local {
			t.Errorf("%s: %q is %q here, want %q", c.page, c.server, got, c.local)
		}
		if got, err := p.Encode(c.local); err != nil || got != c.server {
			t.Errorf("%s: %q is %q there (%v), want %q", c.page, c.local, got, err, c.server)
		}
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	for _, c := range []struct{ page, local, why string }{
		{"cp437", "日本", "has no '日'"}, {"cp1251", "é", "has no 'é'"}, {"cp1252", "Ω", "has no 'Ω'"},
		{"cp1252", "\xc1", "not UTF-8"}, {"cp1252", "a\xffb", "not UTF-8"}, {"iso-8859-1", "\ufffd", "has no"},
		{"cp1252", "\xed\xb3\x81", "another name"},          // an escape for what is Á
		{"gbk", "\xed\xb3\x84\xed\xb3\xa3", "another name"}, // and for both halves of 你
		{"iso-8859-1", "\xed\xa0\x80", "not UTF-8"},         // another surrogate
	} {
		if got, err := find(t, c.page).Encode(c.local); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %q became %q, %v; want an error with %q", c.page, c.local, got, err, c.why)
		}
	}
}

// ASCII is ASCII, and "/" nothing but "/", in every page.
func TestPagesLeaveASCIIAlone(t *testing.T) {
	for _, p := range all(t) {
		for c := range 0x80 {
			s := string(rune(c))
			if d, ok := p.whole(s); !ok || d != s {
				t.Errorf("%s: byte %#x is %q", p, c, d)
			}
			if b, err := p.enc.NewEncoder().String(s); err != nil || b != s {
				t.Errorf("%s: %q is written %q, %v", p, s, b, err)
			}
		}
		for a := 0x80; a < 0x100; a += 3 {
			for b := 0x2d; b < 0x100; b += 2 { // among them what is "/" in ASCII
				s := string([]byte{byte(a), byte(b)})
				if d := p.Decode(s); strings.ContainsAny(d, "/\x00\r\n") && !strings.ContainsAny(s[1:], "/\x00\r\n") {
					t.Errorf("%s: %q is %q", p, s, d)
				}
				thereAndBack(t, p, s)
			}
		}
	}
}

func thereAndBack(t testing.TB, p *Page, server string) {
	t.Helper()
	local := p.Decode(server)
	if back, err := p.Encode(local); err != nil || back != server {
		t.Errorf("%s: %q is %q here, and that is %q there (%v)", p, server, local, back, err)
	}
	if n := strings.Count(server, "/"); strings.Count(local, "/") != n {
		t.Errorf("%s: %q is %q here: another number of slashes", p, server, local)
	}
}

func hereAndBack(t testing.TB, p *Page, local string) {
	t.Helper()
	server, err := p.Encode(local)
	if err != nil {
		return
	}
	if back := p.Decode(server); back != local {
		t.Errorf("%s: %q is %q there, and that is %q here", p, local, server, back)
	}
}

// nameBytes is what a name may have on any file system that is met. Without a bound fuzzing
// lengthens its inputs for ever, since each loop that goes round more often counts as something
// new, and is soon at a few hundred executions a second with names of 15,000 bytes.
const nameBytes = 255

// FuzzNames: whatever a server's name is, it leads back; whatever is taken of a name here
// is shown as it was given.
func FuzzNames(f *testing.F) {
	for i, s := range []string{"a", "\x81ber", "\xff\xff", "\x95\x5c", "\xc4\xe3\xff\xc4", "\x81\x30\x81\x30\x81", "\x8f\xa2\xaf", "Привет", "日本語", "\xed\xb2\x81", "\xed\xb3", "a\u0301", "\ufffd", "\x88\x62", "\x80/\x80"} {
		f.Add(i, s)
	}
	ps := all(f)
	f.Fuzz(func(t *testing.T, i int, s string) {
		p, s := ps[(i%len(ps)+len(ps))%len(ps)], s[:min(len(s), nameBytes)]
		thereAndBack(t, p, s)
		hereAndBack(t, p, s)
	})
}

func ExamplePage_Decode() {
	p, _ := Find("cp866")
	fmt.Println(p.Decode("\x8f\xe0\xa8\xa2\xa5\xe2"))
	// Output: Привет
}
