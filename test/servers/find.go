package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pamService names the file below /etc/pam.d that test/deps.sh writes for vsftpd.
const pamService = "ftpfs-test"

// available tells why a kind cannot run here; nil when it can.
func (k Kind) available() error {
	if k == Pyftpdlib {
		return pyftpdlibAvailable()
	}
	if _, err := find(k.program()); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("it needs root, to change root and user")
	}
	switch k {
	case VSFTPD:
		if _, err := os.Stat("/etc/pam.d/" + pamService); err != nil {
			return fmt.Errorf("%w; run test/deps.sh as root", err)
		}
	case PureFTPd:
		_, err := find("pure-pw")
		return err
	}
	return nil
}

// encrypts tells why a kind that can run cannot speak TLS so.
func (k Kind) encrypts(t TLS) error {
	switch {
	case k == PureFTPd && t.Implicit:
		return ErrNoImplicit
	case k == ProFTPD:
		program, err := find(k.program())
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(modules(program), "mod_tls.so")); err != nil {
			return fmt.Errorf("it has no mod_tls: %w; run test/deps.sh", err)
		}
	}
	return nil
}

// modules is where a ProFTPD as Debian builds it has its modules.
func modules(program string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(program)), "lib/proftpd")
}

func (k Kind) program() string {
	if k == PureFTPd {
		return "pure-ftpd"
	}
	return string(k)
}

// find looks for a program below .deps and then where the system keeps it.
func find(name string) (string, error) {
	var tried []string
	if root, err := depsDir(); err == nil {
		tried = append(tried, filepath.Join(root, "usr/sbin"), filepath.Join(root, "usr/bin"))
	}
	for _, dir := range append(tried, "/usr/sbin", "/usr/local/sbin") {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	if full, err := exec.LookPath(name); err == nil {
		return full, nil
	}
	return "", fmt.Errorf("%s is not installed; run test/deps.sh", name)
}

// depsDir is .deps beside the go.mod above the working directory, which for a
// test is its package.
func depsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".deps"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = up
	}
}
