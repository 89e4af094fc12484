package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pureftpd writes the virtual users' file itself: pure-pw would hash the
// password so that each login takes seconds.
func (s *Server) pureftpd() ([]string, error) {
	program, err := find("pure-ftpd")
	if err != nil {
		return nil, err
	}
	pw, err := find("pure-pw")
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	passwd := fmt.Sprintf("%s:%s:%d:%d::%s/./::::::::::::\n", s.User, passwordHash, sessionID, sessionID, s.Root)
	if err := os.WriteFile(in("pureftpd.passwd"), []byte(passwd), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command(pw, "mkdb", in("pureftpd.pdb"), "-f", in("pureftpd.passwd")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pure-pw mkdb: %w: %s", err, out)
	}
	var protection []string
	if t := s.opts.TLS; t != nil {
		level := "1"
		switch {
		case t.Implicit:
			return nil, ErrNoImplicit
		case t.Required:
			level = "2"
		}
		protection = []string{"-Y", level, "-2", in("both.pem")}
	}
	clients := orDefault(s.opts.MaxClients, 60)
	return append([]string{program,
		"-S", fmt.Sprintf("%s,%d", s.Host, s.Port),
		"-l", "puredb:" + in("pureftpd.pdb"),
		"-g", in("pureftpd.pid"),
		"-A",                        // everybody is confined to the home directory
		"-E",                        // no anonymous logins
		"-H",                        // no look-ups of names
		"-u", fmt.Sprint(sessionID), // lowest user id that may log in
		"-U", "022:022",
		"-c", fmt.Sprint(clients),
		"-C", fmt.Sprint(clients),
		"-f", "none", // no syslog
	}, append(protection, s.opts.Extra...)...), nil
}
