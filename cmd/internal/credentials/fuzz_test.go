package credentials

import (
	"strings"
	"testing"
)

// FuzzNetrcQuoted writes an entry as ftp(1) would read it, between strange words, and
// finds it again.
func FuzzNetrcQuoted(f *testing.F) {
	f.Add("host", "me", "p w\"\\", "machine x login y password z")
	f.Add("h", "default", "machine", "macdef a\nb\n\n")
	f.Fuzz(func(t *testing.T, host, login, password, before string) {
		if host == "" || login == "" || strings.ContainsAny(before, "\"#") || strings.Contains(before, "macdef") || strings.Contains(before, "default") {
			return
		}
		quote := func(s string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
		// A keyword at its end would take the first of our words for its value.
		text := before + " x x machine " + quote(host) + " login " + quote(login) + " password " + quote(password)
		for _, e := range parseNetrc(text) {
			if e.host == host && e.login == login && e.password == password && e.hasPassword {
				return
			}
		}
		t.Fatalf("%q has an entry that is not found: %+v", text, parseNetrc(text))
	})
}

// FuzzFileRoundTrip: what stands after = is the password, byte for byte.
func FuzzFileRoundTrip(f *testing.F) {
	f.Add("me", " p=w# ")
	f.Add("dom\\me", "\ufeff\"")
	f.Fuzz(func(t *testing.T, user, password string) {
		got, err := parse("username=" + user + "\r\n# note\npassword=" + password + "\n")
		if clean(user) != nil || clean(password) != nil || strings.ContainsAny(user+password, "\r\n") {
			return
		}
		if err != nil || got.user != strings.TrimSpace(user) || got.password != password || !got.hasPassword {
			t.Fatalf("%q, %q were read as %+v, %v", user, password, got, err)
		}
	})
}
