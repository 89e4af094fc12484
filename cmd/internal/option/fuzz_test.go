package option

import (
	"strings"
	"testing"
)

// FuzzErrorsHideThePassword: whatever is wrong with a list of options, the message
// does not show the password in it.
func FuzzErrorsHideThePassword(f *testing.F) {
	f.Add("secret-word", "uid=x")
	f.Add("secret,word!", "bogus")
	f.Add("se\\cret===", "timeout=,ro")
	f.Fuzz(func(t *testing.T, password, rest string) {
		if len(password) < 8 || strings.Contains(rest, password) || strings.ContainsAny(password, "\\\"") {
			return
		}
		o := Defaults()
		err := o.Parse("user=me,password=" + strings.ReplaceAll(password, ",", `\,`) + "," + rest)
		if err != nil && strings.Contains(err.Error(), password) {
			t.Fatalf("the password %q is in the error: %v", password, err)
		}
		if err == nil && o.Password != password && !strings.Contains(rest, "pass") && !strings.Contains(rest, "user") {
			t.Fatalf("the password %q was read as %q", password, o.Password)
		}
	})
}
