// Package pin knows a certificate again: by the SHA-256 of its public key, as
// RFC 7469 and curl write it, or of the whole certificate, as openssl prints it. It
// owns how a pin is written and what it fits, and nothing of what follows from it.
package pin

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// Pin fits certificates with one public key, or one certificate only.
type Pin struct {
	sum   [sha256.Size]byte
	whole bool // of the certificate, not of its key
}

// Parse reads a pin: BASE64 of the key's sum, perhaps after "sha256//" as curl has it;
// or 64 hex digits of the certificate's sum, perhaps with colons, which is what
// openssl x509 -fingerprint -sha256 prints.
func Parse(s string) (Pin, error) {
	var p Pin
	digits := strings.ReplaceAll(s, ":", "")
	b, err := hex.DecodeString(digits)
	if p.whole = err == nil && len(digits) == 2*len(p.sum); !p.whole {
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimPrefix(s, "sha256//"), "="))
	}
	if err != nil || copy(p.sum[:], b) != len(p.sum) || len(b) != len(p.sum) {
		return Pin{}, errors.New("it is neither BASE64 of the SHA-256 of a public key nor the SHA-256 fingerprint of a certificate in hex digits")
	}
	return p, nil
}

// Of is the pin of a certificate's key: it goes on to fit when the certificate is
// renewed with the same key.
func Of(c *x509.Certificate) Pin { return Pin{sum: sha256.Sum256(c.RawSubjectPublicKeyInfo)} }

// Fits reports whether c is what the pin is of.
func (p Pin) Fits(c *x509.Certificate) bool {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	if p.whole {
		sum = sha256.Sum256(c.Raw)
	}
	return subtle.ConstantTimeCompare(sum[:], p.sum[:]) == 1
}

// String is what Parse reads.
func (p Pin) String() string {
	if p.whole {
		return hex.EncodeToString(p.sum[:])
	}
	return base64.StdEncoding.EncodeToString(p.sum[:])
}

// MarshalText and UnmarshalText carry a pin in JSON.
func (p Pin) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p *Pin) UnmarshalText(b []byte) (err error) {
	*p, err = Parse(string(b))
	return err
}
