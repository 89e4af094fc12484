package wire

import (
	"strings"
	"testing"
)

// FuzzParsePort: an answer to EPSV or PASV names a port that can be connected to, or
// none.
func FuzzParsePort(f *testing.F) {
	for _, s := range []string{"Entering Extended Passive Mode (|||6446|)", "(|1|10.0.0.1|6446|)", "(|||0|)", "Entering Passive Mode (10,0,0,1,25,46).", "=10,0,0,1,0,0", ")(", "((|||1|))"} {
		f.Add(true, s)
		f.Add(false, s)
	}
	f.Fuzz(func(t *testing.T, extended bool, text string) {
		cmd := "PASV"
		if extended {
			cmd = "EPSV"
		}
		port, err := parsePort(cmd, text)
		if (err == nil) != (port > 0 && port < 1<<16) {
			t.Fatalf("%s %q: port %d, %v", cmd, text, port, err)
		}
		if err == nil && !strings.ContainsAny(text, "0123456789") {
			t.Fatalf("%s %q: port %d out of nothing", cmd, text, port)
		}
	})
}
