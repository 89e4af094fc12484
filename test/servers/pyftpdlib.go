package servers

import (
	_ "embed"
	"fmt"
	"os/exec"
	"strings"
)

//go:embed pyftpdlib.py
var pyftpdlibScript string

// The distribution's Python has the distribution's pyftpdlib; another one in
// PATH would not. isolated keeps it from importing the script beside this file
// instead.
const (
	python   = "/usr/bin/python3"
	isolated = "-I"
)

func pyftpdlibAvailable() error {
	if out, err := exec.Command(python, isolated, "-c", "import pyftpdlib").CombinedOutput(); err != nil {
		last := strings.TrimSpace(string(out))
		return fmt.Errorf("%s has no pyftpdlib (%v: %s); run test/deps.sh", python, err, last[strings.LastIndexByte(last, '\n')+1:])
	}
	return nil
}

func (s *Server) pyftpdlib() ([]string, error) {
	return append([]string{python, isolated, "-W", "ignore", "-c", pyftpdlibScript,
		s.Host, fmt.Sprint(s.Port), s.Root, s.User, s.Password,
		fmt.Sprint(orDefault(s.opts.MaxClients, 60)), fmt.Sprint(sessionID)}, s.opts.Extra...), nil
}
