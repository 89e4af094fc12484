// Package certs makes certificates for tests: an authority, and what it signs, good
// or bad in one respect. Keys are of elliptic curves, which take no time to make.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Pair is a certificate and its key.
type Pair struct {
	PEM  []byte // the certificate
	Key  []byte // PEM
	Leaf *x509.Certificate
	TLS  tls.Certificate

	key *ecdsa.PrivateKey
}

// Options of a certificate; the zero value is a good one for this machine.
type Options struct {
	Hosts  []string      // names and addresses
	From   time.Duration // it becomes valid so long from now; 0 is an hour ago
	Until  time.Duration // it ends so long from now; 0 is in a day
	Client bool          // it is for a client
	Signer *Pair         // nil: itself
}

// Authority makes a certificate that signs others.
func Authority(t testing.TB) *Pair {
	t.Helper()
	return issue(t, Options{}, true)
}

// Issue makes a certificate.
func Issue(t testing.TB, o Options) *Pair {
	t.Helper()
	return issue(t, o, false)
}

func issue(t testing.TB, o Options, authority bool) *Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	if o.Hosts == nil {
		o.Hosts = []string{"127.0.0.1", "::1", "localhost"}
	}
	if o.From == 0 {
		o.From = -time.Hour
	}
	if o.Until == 0 {
		o.Until = 24 * time.Hour
	}
	c := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(o.From), NotAfter: time.Now().Add(o.Until),
		Subject: pkix.Name{CommonName: "ftpfs test " + o.Hosts[0]}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	switch {
	case authority:
		c.IsCA, c.KeyUsage, c.ExtKeyUsage, c.Subject.CommonName = true, x509.KeyUsageCertSign, nil, "ftpfs test authority"
	case o.Client:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	default:
		for _, h := range o.Hosts {
			if ip := net.ParseIP(h); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, h)
			}
		}
	}
	signer, signKey := c, key
	if o.Signer != nil {
		signer, signKey = o.Signer.Leaf, o.Signer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, &key.PublicKey, signKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &Pair{
		PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		key: key,
	}
	if p.TLS, err = tls.X509KeyPair(p.PEM, p.Key); err == nil {
		p.Leaf, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Pool is a pool of certificates that are believed.
func Pool(pairs ...*Pair) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, p := range pairs {
		pool.AddCert(p.Leaf)
	}
	return pool
}
