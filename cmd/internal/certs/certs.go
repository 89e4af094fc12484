// Package certs reads the files behind cacert=, cert= and key=: whom to believe, and
// what we show to a server that asks. It is done where the command was given, as that
// is where a relative name means something and where somebody reads the error. Keys
// that others can read are refused.
package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Files are the contents of the files, nil where none was named. They travel to the
// daemon over a pipe.
type Files struct {
	CA   []byte `json:"ca,omitempty"`
	Cert []byte `json:"cert,omitempty"`
	Key  []byte `json:"key,omitempty"`
}

const maxFile = 4 << 20

// Read reads and checks them; "" is no file. A certificate without a key file is
// looked up together with its key in the one file.
func Read(ca, cert, key string) (f Files, err error) {
	if ca != "" {
		if f.CA, err = read(ca, false); err != nil {
			return Files{}, fmt.Errorf("cacert=%s: %w", ca, err)
		}
		if _, err := f.Roots(); err != nil {
			return Files{}, fmt.Errorf("cacert=%s: %w", ca, err)
		}
	}
	if cert == "" && key == "" {
		return f, nil
	}
	if cert == "" {
		return Files{}, errors.New("key=FILE is of no use without cert=FILE")
	}
	if f.Cert, err = read(cert, key == ""); err != nil {
		return Files{}, fmt.Errorf("cert=%s: %w", cert, err)
	}
	f.Key = f.Cert
	if key != "" {
		if f.Key, err = read(key, true); err != nil {
			return Files{}, fmt.Errorf("key=%s: %w", key, err)
		}
	}
	if _, err := f.Own(); err != nil {
		if key == "" {
			return Files{}, fmt.Errorf("cert=%s: %w (a key in a file of its own is named with key=FILE)", cert, err)
		}
		return Files{}, fmt.Errorf("cert=%s,key=%s: %w", cert, key, err)
	}
	return f, nil
}

// Roots are the signers to believe; nil for the system's.
func (f Files) Roots() (*x509.CertPool, error) {
	if f.CA == nil {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(f.CA) {
		return nil, errors.New("no certificate in it (PEM, with BEGIN CERTIFICATE, is expected)")
	}
	return pool, nil
}

// Own is our certificate; nil when there is none.
func (f Files) Own() (*tls.Certificate, error) {
	if f.Cert == nil {
		return nil, nil
	}
	if bytes.Contains(f.Key, []byte("ENCRYPTED")) {
		return nil, errors.New("the key is protected by a passphrase, which nobody could give at a boot: openssl pkey -in KEY -out KEY2 makes one without")
	}
	if b, _ := pem.Decode(f.Cert); b == nil {
		return nil, errors.New("no certificate in it (PEM, with BEGIN CERTIFICATE, is expected)")
	}
	pair, err := tls.X509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// read reads a file; a secret one must be readable by nobody else, unless it holds a
// certificate and no key.
func read(name string, secret bool) ([]byte, error) {
	fd, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer fd.Close()
	fi, err := fd.Stat()
	switch {
	case err != nil:
		return nil, cause(err)
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is not a file")
	}
	b, err := io.ReadAll(io.LimitReader(fd, maxFile))
	public := bytes.Contains(b, []byte("BEGIN CERTIFICATE")) && !bytes.Contains(b, []byte("PRIVATE KEY"))
	if secret && fi.Mode().Perm()&0o077 != 0 && !public {
		return nil, fmt.Errorf("the key in it can be read by others (mode %04o); chmod 600 it", fi.Mode().Perm())
	}
	return b, cause(err)
}

func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
