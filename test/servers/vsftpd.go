package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// vsftpd knows only system users, checked by PAM: every login is mapped to
// sessionUser, with the rights of a local user (else no SITE CHMOD, no MDTM).
func (s *Server) vsftpd() ([]string, error) {
	program, err := find("vsftpd")
	if err != nil {
		return nil, err
	}
	empty := filepath.Join(s.dir, "empty")
	if err := os.MkdirAll(empty, 0o555); err != nil {
		return nil, err
	}
	clients := orDefault(s.opts.MaxClients, 60)
	lines := append([]string{
		s.vsftpdListen(),
		fmt.Sprintf("listen_port=%d", s.Port),
		"background=NO",
		"anonymous_enable=NO",
		"local_enable=YES",
		"write_enable=YES",
		"guest_enable=YES",
		"guest_username=" + sessionUser,
		"virtual_use_local_privs=YES",
		"local_root=" + s.Root,
		"chroot_local_user=YES",
		"allow_writeable_chroot=YES",
		"local_umask=022",
		"file_open_mode=0666",
		"secure_chroot_dir=" + empty,
		"pam_service_name=" + pamService,
		"session_support=NO",
		"seccomp_sandbox=NO",
		"isolate=NO",
		"isolate_network=NO",
		"dirmessage_enable=NO",
		"connect_from_port_20=NO",
		"mdtm_write=YES",
		"use_localtime=NO",
		fmt.Sprintf("max_clients=%d", clients),
		"delay_failed_login=0",
		"xferlog_enable=YES",
		"xferlog_std_format=NO",
		"log_ftp_protocol=YES",
		"vsftpd_log_file=" + filepath.Join(s.dir, "vsftpd.log"),
	}, append(s.vsftpdTLS(), s.opts.Extra...)...)
	conf := filepath.Join(s.dir, "vsftpd.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{program, conf}, nil
}

func (s *Server) vsftpdListen() string {
	if s.opts.IPv6 {
		return "listen=NO\nlisten_ipv6=YES\nlisten_address6=" + s.Host
	}
	return "listen=YES\nlisten_address=" + s.Host
}

// vsftpdTLS insists on session reuse, which is the default, and on TLS's word for the
// end of an upload, which is not.
func (s *Server) vsftpdTLS() []string {
	t := s.opts.TLS
	if t == nil {
		return nil
	}
	lines := []string{"ssl_enable=YES", "require_ssl_reuse=YES", "strict_ssl_read_eof=YES", "ssl_ciphers=HIGH",
		"rsa_cert_file=" + filepath.Join(s.dir, "cert.pem"), "rsa_private_key_file=" + filepath.Join(s.dir, "key.pem")}
	if !t.Required {
		lines = append(lines, "force_local_logins_ssl=NO", "force_local_data_ssl=NO")
	}
	if t.Implicit {
		lines = append(lines, "implicit_ssl=YES")
	}
	return lines
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
