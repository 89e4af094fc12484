package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func (s *Server) proftpd() ([]string, error) {
	program, err := find("proftpd")
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	passwd := fmt.Sprintf("%s:%s:%d:%d::%s:/bin/sh\n", s.User, passwordHash, sessionID, sessionID, s.Root)
	group := fmt.Sprintf(""+sessionUser+":x:%d:%s\n", sessionID, s.User)
	for name, text := range map[string]string{"passwd": passwd, "group": group} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	lines := append([]string{
		`ServerName "test"`,
		"ServerType standalone",
		"DefaultServer on",
		"DefaultAddress " + s.Host,
		fmt.Sprintf("Port %d", s.Port),
		"UseIPv6 " + map[bool]string{false: "off", true: "on"}[s.opts.IPv6],
		"UseReverseDNS off",
		"WtmpLog off",
		"TransferLog none",
		"SystemLog " + in("proftpd.log"),
		"ScoreboardFile " + in("scoreboard"),
		"PidFile " + in("proftpd.pid"),
		"DelayEngine off",
		"User " + sessionUser,
		"Group " + sessionUser,
		"Umask 022",
		"AllowOverwrite on",
		"AuthOrder mod_auth_file.c",
		"AuthPAM off",
		"AuthUserFile " + in("passwd"),
		"AuthGroupFile " + in("group"),
		"RequireValidShell off",
		"DefaultRoot ~",
		"TimeoutLinger 5",
		"MaxInstances 200",
		"MaxLoginAttempts 3",
		fmt.Sprintf("MaxClients %d", orDefault(s.opts.MaxClients, 60)),
	}, s.opts.Extra...)
	if s.opts.NoMLSD {
		lines = append(lines, "FactsAdvertise off", "<Limit MLSD MLST>", "DenyAll", "</Limit>")
	}
	want := []string{"mod_site_misc", "mod_digest"}
	if t := s.opts.TLS; t != nil {
		want = append(want, "mod_tls")
		lines = append(lines, "TLSEngine on", "TLSLog "+in("tls.log"), "TLSECCertificateFile "+in("cert.pem"), "TLSECCertificateKeyFile "+in("key.pem"))
		if t.Required {
			lines = append(lines, "TLSRequired on")
		}
		if t.Implicit {
			lines = append(lines, "TLSOptions UseImplicitSSL")
		}
	}
	// Debian loads SITE UTIME and its kin as a module, and HASH as another.
	modules := modules(program)
	for _, m := range want {
		if _, err := os.Stat(filepath.Join(modules, m+".so")); err == nil {
			lines = append([]string{"ModulePath " + modules, "LoadModule " + m + ".c"}, lines...)
		}
	}
	conf := in("proftpd.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{program, "-n", "-c", conf}, nil
}
