package servers

import (
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
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
	if out, err := exec.Command(python, isolated, "-c", "import pyftpdlib.handlers; pyftpdlib.handlers.TLS_FTPHandler").CombinedOutput(); err != nil {
		last := strings.TrimSpace(string(out))
		return fmt.Errorf("%s has no pyftpdlib with TLS (%v: %s); run test/deps.sh", python, err, last[strings.LastIndexByte(last, '\n')+1:])
	}
	return nil
}

func (s *Server) pyftpdlib() ([]string, error) {
	cert, key, how := "", "", ""
	if t := s.opts.TLS; t != nil {
		cert, key = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
		switch {
		case t.Implicit:
			how = "implicit"
		case t.Required:
			how = "required"
		}
	}
	extra := s.opts.Extra
	if s.opts.NoMLSD {
		extra = append([]string{"handler.proto_cmds = {k: v for k, v in handler.proto_cmds.items() if k not in ('MLSD', 'MLST')}"}, extra...)
	}
	return append([]string{python, isolated, "-W", "ignore", "-c", pyftpdlibScript,
		s.Host, fmt.Sprint(s.Port), s.Root, s.User, s.Password,
		fmt.Sprint(orDefault(s.opts.MaxClients, 60)), fmt.Sprint(sessionID), cert, key, how}, extra...), nil
}
