package servers

import (
	"crypto/tls"
	"fmt"
)

// Encryption of the connections to a server.
type Encryption string

const (
	Plain    Encryption = "plain"
	Explicit Encryption = "explicit" // AUTH TLS
	Implicit Encryption = "implicit" // from the first byte on
)

// Cell is one way to speak with one kind of server: a cell of the matrix that tests go
// through.
type Cell struct {
	Kind       Kind
	Encryption Encryption
	Version    uint16 // of TLS, the highest that is spoken; 0 where there is none
	Active     bool   // the server makes the data connections
	MLSD       bool   // else listings are by LIST
}

// Cells is the whole matrix, with the cells that cannot be.
func Cells() (all []Cell) {
	for _, kind := range All {
		for _, how := range []Cell{{Encryption: Plain}, {Encryption: Explicit, Version: tls.VersionTLS12}, {Encryption: Explicit, Version: tls.VersionTLS13},
			{Encryption: Implicit, Version: tls.VersionTLS12}, {Encryption: Implicit, Version: tls.VersionTLS13}} {
			for _, active := range []bool{false, true} {
				for _, mlsd := range []bool{true, false} {
					c := how
					c.Kind, c.Active, c.MLSD = kind, active, mlsd
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// Missing says why there is no such cell, "" if there is.
func (c Cell) Missing() string {
	switch {
	case c.Kind == PureFTPd && c.Encryption == Implicit:
		return ErrNoImplicit.Error()
	case c.Kind == VSFTPD && c.MLSD:
		return "vsftpd has no MLSD"
	case c.Kind == PureFTPd && !c.MLSD:
		return ErrAlwaysMLSD.Error()
	}
	return ""
}

// Options of the server in this cell, with certificate and key in PEM.
func (c Cell) Options(cert, key []byte) Options {
	o := Options{NoMLSD: !c.MLSD}
	if c.Encryption != Plain {
		o.TLS = &TLS{Cert: cert, Key: key, Implicit: c.Encryption == Implicit, Required: c.Encryption == Explicit}
	}
	return o
}

// Protection is the encryption with its version.
func (c Cell) Protection() string {
	if c.Version == 0 {
		return string(c.Encryption)
	}
	return fmt.Sprintf("%s %s", c.Encryption, tls.VersionName(c.Version))
}

// Mode is who makes the data connections.
func (c Cell) Mode() string {
	if c.Active {
		return "active"
	}
	return "passive"
}

// Listing is the command for it.
func (c Cell) Listing() string {
	if c.MLSD {
		return "MLSD"
	}
	return "LIST"
}

// String names the cell, as a subtest is named.
func (c Cell) String() string {
	return fmt.Sprintf("%s %s %s %s", c.Kind, c.Protection(), c.Mode(), c.Listing())
}

// Line is what test/report makes a line of its table of: column is what was done in the
// cell.
func (c Cell) Line(column string) string {
	return fmt.Sprintf("cell: %s: %s, %s, %s, %s", column, c.Kind, c.Protection(), c.Mode(), c.Listing())
}
